// Package configapi is the service through which a mesh is configured: gRPC
// and REST from one definition (hawser.config.v1), on the store, with the
// outbox relayed to the bus and the distributors' reports gathered.
//
// Guarantees:
//   - A change set is committed whole, as one revision, or not at all; all
//     that is wrong with it is told in one answer. A distributor can compile
//     whatever was committed.
//   - A committed revision reaches the bus at least once and in order, also
//     when bus or process die in between.
//   - The service starts in any order with store and bus and recovers from
//     the loss of either by itself. Without the store calls fail with
//     UNAVAILABLE; without the bus they succeed, and consumers are behind.
//   - An audit record is written for each write: with the commit if it was
//     committed, else on its own.
//
// Limits: one mesh; manifests under 10 MiB, parsed few at a time; the state
// of the rollout is soft (internal/rollout).
package configapi
