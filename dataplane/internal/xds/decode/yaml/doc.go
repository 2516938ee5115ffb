// Package yaml reads configuration files as Envoy reads them: YAML, JSON and
// the binary and text forms of protobuf.
//
// It takes what protojson refuses and Envoy does not: field names and enum
// values in either case, a single value where a list is expected, trailing
// commas in JSON, the booleans of YAML 1.1. It refuses what Envoy refuses, and
// keys that stand twice: unknown fields, wrong types, an @type that is not
// linked in (registry.go lists them). Every error names the field's path and
// the line.
package yaml
