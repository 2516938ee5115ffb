// Package admin answers the admin interface: the endpoints, parameters, texts
// and JSON shapes of Envoy's.
//
// Handlers are pure functions from a Request to a Response over the interfaces
// in Sources; how requests reach them (a listener with a connection manager of
// its own, as in Envoy) is the composition root's business. They run on one
// goroutine and may take milliseconds: never on a worker that serves traffic.
package admin
