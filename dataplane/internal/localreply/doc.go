// Package localreply changes the responses that the proxy makes itself
// (envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig):
// the first mapper whose filter matches sets status, headers and body, then the
// body is formatted.
package localreply
