// Package router is the last HTTP filter: it follows the matched route, asks a
// cluster's pool for a stream, and joins request and response, with timeouts
// and retries.
//
// Phases of a request: route found -> cluster and host chosen -> waiting for a
// connection -> request sent -> response begun -> complete. A reset, a timeout
// or a retriable response before "response begun" may lead back to the choice
// of a host; afterwards it can only end the stream.
package router
