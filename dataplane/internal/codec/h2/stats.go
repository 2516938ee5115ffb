package h2

import "github.com/hawser-mesh/hawser/dataplane/internal/stats"

// The indices of the statistics in Schema.
const (
	statDroppedUnderscores = iota
	statGoAwaySent
	statHeaderOverflow
	statHeaderListTooLarge
	statHeadersNoStream
	statEmptyFlood
	statPriorityFlood
	statWindowUpdateFlood
	statKeepaliveTimeout
	statMetadataEmptyFrames
	statControlFlood
	statOutboundFlood
	statRejectedUnderscores
	statMessagingError
	statRxReset
	statRefusedErrors
	statTrailers
	statFlushTimeout
	statTxReset
	statDownstreamConnections
	statUpstreamConnections
	statOutboundFrames
	statOutboundControl
	statPendingSend
	statStreamsActive
	statDeferredClose
)

// schema lists Envoy's HTTP/2 codec statistics; it never changes.
var schema = newSchema()

func newSchema() *stats.Schema {
	return stats.NewSchema(
		stats.C("dropped_headers_with_underscores"),
		stats.C("goaway_sent"),
		stats.C("header_overflow"),
		stats.C("header_list_size_too_large"),
		stats.C("headers_cb_no_stream"),
		stats.C("inbound_empty_frames_flood"),
		stats.C("inbound_priority_frames_flood"),
		stats.C("inbound_window_update_frames_flood"),
		stats.C("keepalive_timeout"),
		stats.C("metadata_empty_frames"),
		stats.C("outbound_control_flood"),
		stats.C("outbound_flood"),
		stats.C("requests_rejected_with_underscores_in_headers"),
		stats.C("rx_messaging_error"),
		stats.C("rx_reset"),
		stats.C("stream_refused_errors"),
		stats.C("trailers"),
		stats.C("tx_flush_timeout"),
		stats.C("tx_reset"),
		stats.C("nghttp2_downstream_connections"),
		stats.C("nghttp2_upstream_connections"),
		stats.G("outbound_frames_active"),
		stats.G("outbound_control_frames_active"),
		stats.G("pending_send_bytes"),
		stats.G("streams_active"),
		stats.G("deferred_stream_close"),
	)
}

// Stats are the handles of one scope's statistics. It is immutable and shared
// by all codecs of the scope; the zero value counts for nobody.
type Stats struct {
	group                                                              *stats.Group
	droppedUnderscores, goAwaySent, headerOverflow, headerListTooLarge stats.Counter
	headersNoStream                                                    stats.Counter
	emptyFlood, priorityFlood, windowUpdateFlood                       stats.Counter
	keepaliveTimeout, controlFlood, outboundFlood, rejectedUnderscores stats.Counter
	messagingError, rxReset, txReset, refusedErrors                    stats.Counter
	trailers, flushTimeout, downstreamConns, upstreamConns             stats.Counter
	outboundFrames, outboundControl, pendingSend, streamsActive        stats.Gauge
}

// NewStats returns the statistics of downstream codecs, "http2.".
func NewStats(s *stats.Store) *Stats { return NewStatsAt(s, "http2.") }

// NewStatsAt returns the statistics under a prefix, for upstream codecs
// "cluster.<name>.http2.".
func NewStatsAt(s *stats.Store, prefix string) *Stats {
	g := s.Group(prefix, schema)
	return &Stats{
		group:              g,
		droppedUnderscores: g.Counter(statDroppedUnderscores), goAwaySent: g.Counter(statGoAwaySent),
		headerOverflow: g.Counter(statHeaderOverflow), headerListTooLarge: g.Counter(statHeaderListTooLarge),
		headersNoStream: g.Counter(statHeadersNoStream),
		emptyFlood:      g.Counter(statEmptyFlood), priorityFlood: g.Counter(statPriorityFlood),
		windowUpdateFlood: g.Counter(statWindowUpdateFlood), keepaliveTimeout: g.Counter(statKeepaliveTimeout),
		controlFlood: g.Counter(statControlFlood), outboundFlood: g.Counter(statOutboundFlood),
		rejectedUnderscores: g.Counter(statRejectedUnderscores), messagingError: g.Counter(statMessagingError),
		rxReset: g.Counter(statRxReset), txReset: g.Counter(statTxReset),
		refusedErrors: g.Counter(statRefusedErrors),
		trailers:      g.Counter(statTrailers), flushTimeout: g.Counter(statFlushTimeout),
		downstreamConns: g.Counter(statDownstreamConnections), upstreamConns: g.Counter(statUpstreamConnections),
		outboundFrames: g.Gauge(statOutboundFrames), outboundControl: g.Gauge(statOutboundControl),
		pendingSend: g.Gauge(statPendingSend), streamsActive: g.Gauge(statStreamsActive),
	}
}

// Release gives the names back; call it when no codec uses them any more.
func (s *Stats) Release() { s.group.Release() }
