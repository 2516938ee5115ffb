// Package tls is the TLS transport, on both sides: crypto/tls over a connection
// in memory. The handshake runs on a goroutine, because it computes and waits;
// the record layer is driven on the worker. What is configured is a snapshot
// that a factory may swap, without touching the connections that are there.
package tls
