// Package store keeps the truth: the resources of a mesh, their history, the
// outbox of revisions that the bus has not got yet, tokens, leases of
// workloads and the audit record. It runs on Postgres and on SQLite, with
// the same statements.
//
// Guarantees:
//   - Update holds the mesh's lock: writers of a mesh are one after another,
//     whatever the number of processes. Revisions of a mesh are 1, 2, 3, ...
//     without a gap.
//   - Resources, links, history, outbox and audit record of a change are
//     written in one transaction: all of it is there or nothing.
//   - View reads one consistent state.
//   - What Update returned nil for survives the death of the process, and on
//     Postgres and with SQLite's synchronous=FULL that of the machine.
//
// Limits: SQLite is for one process. An error that is none of the Err values
// means that the database did not answer as it should: the outcome of an
// Update is then unknown, and repeating it is right, for a change set that
// is already there changes nothing.
package store
