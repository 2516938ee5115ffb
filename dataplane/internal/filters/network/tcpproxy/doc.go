// Package tcpproxy joins a connection to one of a cluster, byte for byte.
// Source: envoy.extensions.filters.network.tcp_proxy.v3.
//
// Phases: new connection (reading is off) -> host chosen -> connecting, again
// up to max_connect_attempts -> joined -> one half closed -> closed. Each side's
// high watermark stops reading the other.
package tcpproxy
