// Package envoyjson decodes the JSON form of Envoy v3 messages as Envoy
// reads it, and reports everything that is wrong at once, each with its path.
//
// It takes what protojson refuses and Envoy does not: field names in either
// case, enum values in any case, a single value where a list is expected. It
// refuses what either refuses: unknown fields, wrong types, an @type that is
// not linked in (registry.go lists them), and values that break the rules of
// the message (protoc-gen-validate), inside of Any too.
package envoyjson
