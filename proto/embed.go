// Package proto holds Hawser's protocol definitions. The generated code is
// under gen, one package per proto package; README.md tells how they work
// together.
package proto

import _ "embed"

// OpenAPI is the OpenAPI v2 document of the config API's REST form, in JSON.
//
//go:embed openapi/hawser.swagger.json
var OpenAPI []byte
