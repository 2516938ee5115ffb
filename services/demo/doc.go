// Package demo is the workload of the examples: a small HTTP/1.1 service that
// says who it is, may be slow or flaky on purpose, and registers itself with
// the config API as a Workload that lives by heartbeats.
package demo
