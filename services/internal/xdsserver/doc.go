// Package xdsserver is the stream engine of the xDS v3 transport protocol:
// the aggregated service and the service of each type, incremental (delta)
// and state of the world, for any type of resource.
//
// A View is what one class of clients is to have: an immutable table for each
// type, shared by all streams of the class. A Session is one stream: it
// remembers the table that it has brought its client up to and what the
// client lacks of it, takes requests and says what to send next. It is a pure
// state machine; Server runs one per stream.
//
// Guarantees:
//   - A client that keeps its stream open and answers converges to the latest
//     view, whatever it subscribes to and however views and requests
//     interleave. Views that a slow client did not get to are skipped.
//   - A resource is sent when its version differs from the one that the
//     client was sent last, or when the client asks anew; so a rejected
//     version is not repeated. A client that reconnects with the versions
//     that it should have is sent nothing.
//   - Make before break: clusters and endpoints go ahead of the listeners and
//     routes that may refer to them, which wait for the client's answer, and
//     for it to ask for the endpoints of new clusters; removals go in reverse
//     order when everything else was answered. A client that does not answer
//     or ask delays this by GateTimeout at most.
//   - No lock is shared by streams. Work for a change is in proportion to the
//     change, not to the table.
//
// Limits: maxInFlight unanswered responses of a type, maxTypes types,
// maxNames subscriptions a stream.
package xdsserver
