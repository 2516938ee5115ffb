// Package hcm is the HTTP connection manager: the network filter that turns a
// connection into streams, gives each its identity (request id, forwarded
// headers, normalised path), runs its filters, and ends it with statistics and
// access logs.
// Source: envoy.extensions.filters.network.http_connection_manager.v3.
package hcm
