// Package async makes the proxy's own requests: every callout (authorization,
// rate limits, keys, tracing, configuration over envoy_grpc) goes through it,
// so that each honours its cluster's balancing, TLS, breakers and statistics.
//
// A Client belongs to one worker; everything that it does, and every callback,
// happens there. A call ends with exactly one last callback, or with none when
// its owner resets it. Start gives the stream itself, Send collects a response,
// GRPC frames messages. Requests are held for retries only as far as
// Options.BufferLimit allows.
package async
