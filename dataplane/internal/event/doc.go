// Package event holds the worker: one goroutine, locked to its thread, that
// runs an event loop over non-blocking sockets, timers and posted functions.
//
// A connection, its streams, its filters, its timers and the upstream
// connections that it uses live and die on one worker. Everything here must be
// called on the worker's own goroutine, except Post and Stop.
//
// Order inside one turn of the loop: wait for events; read the clock; run the
// handlers of ready sockets; expire timers; run posted functions; run tasks
// that were scheduled meanwhile until none is left (flushes, deferred
// destruction). So whatever was put off to "the end of this turn" sees the
// state after all events of the turn.
package event
