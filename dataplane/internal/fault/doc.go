// Package fault says what went wrong with a connection or stream, and where:
// errors with kind, source and retryability, Envoy's response flags
// (%RESPONSE_FLAGS%) and the constants of its response code details
// (%RESPONSE_CODE_DETAILS%).
package fault
