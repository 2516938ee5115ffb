// Package formatter evaluates Envoy's command operators: %REQ(:PATH)% and its
// kin, in access logs, header values and local replies.
//
// Formats are compiled once; evaluating one appends to the caller's buffer and
// allocates nothing for the common operators. An operator without a value
// gives "-" in text, null in JSON, and nothing where empty values are omitted.
package formatter
