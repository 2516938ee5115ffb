// Package resource knows the kinds of configuration: it parses documents,
// decodes and checks specs, follows references, selects by labels, hashes
// and compares. It is pure: no I/O, no clock. The config API, the
// distributor and the command line all use it, so that an error reads the
// same wherever it is found.
//
// Guarantees: every function that checks reports all offending fields, each
// with its path, in the order of the document; what Parse and Check accept,
// Decode decodes, for ever. A spec is decoded strictly: an unknown field, a
// wrong type or a value that is known but not supported is a violation.
//
// Limits: MaxManifest bytes, 1 MiB a YAML document, MaxResources resources in
// one change set, MaxDepth levels of nesting.
package resource
