// Package bus is Hawser's use of NATS: the connection, embedded or remote,
// the names of streams and subjects, and publishing. The messages are those
// of hawser.bus.v1.
//
// Guarantees: a revision event is published at least once and, within the
// stream's duplicate window, stored once; events of a mesh are stored in the
// order in which they are published. A connection heals by itself, from the
// first attempt on: Connect does not fail because the server is not there
// yet.
//
// Limits: the bus is a cache of the store, not the truth. It may lose what
// it has; consumers notice gaps and read the range from the config API. An
// event larger than MaxEventBytes goes without its changes.
package bus
