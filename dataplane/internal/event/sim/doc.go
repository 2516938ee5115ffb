// Package sim is a kernel in memory for tests: sockets, connections and
// readiness under a seed, in one thread. Reads and writes may be partial,
// connecting takes a turn, and the order of events is random but repeatable:
// a failing seed replays exactly.
package sim
