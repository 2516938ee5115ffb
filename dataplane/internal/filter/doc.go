// Package filter is the contract of HTTP filters and the manager that runs
// them, with Envoy's semantics.
//
// A request passes the filters in order (decode direction), the last of which
// is the router; the response passes them in the opposite order (encode
// direction) and then goes to the codec. A filter may stop the iteration and
// continue it later, from a callback on the same worker; it may keep or replace
// data, and answer by itself (SendLocalReply). Whatever happens, OnDestroy is
// called once, and nothing after it.
package filter
