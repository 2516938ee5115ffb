package hcm

import "github.com/hawser-mesh/hawser/dataplane/internal/stats"

// schema is the statistics under "http.<stat_prefix>.".
var schema = stats.NewSchema(
	stats.G("downstream_cx_active"),
	stats.C("downstream_cx_delayed_close_timeout"),
	stats.C("downstream_cx_destroy"),
	stats.C("downstream_cx_destroy_active_rq"),
	stats.C("downstream_cx_destroy_local"),
	stats.C("downstream_cx_destroy_local_active_rq"),
	stats.C("downstream_cx_destroy_remote"),
	stats.C("downstream_cx_destroy_remote_active_rq"),
	stats.C("downstream_cx_drain_close"),
	stats.G("downstream_cx_http1_active"),
	stats.C("downstream_cx_http1_soft_drain"),
	stats.C("downstream_cx_http1_total"),
	stats.G("downstream_cx_http2_active"),
	stats.C("downstream_cx_http2_total"),
	stats.G("downstream_cx_http3_active"),
	stats.C("downstream_cx_http3_total"),
	stats.C("downstream_cx_idle_timeout"),
	stats.C("downstream_cx_max_duration_reached"),
	stats.C("downstream_cx_max_requests_reached"),
	stats.C("downstream_cx_overload_disable_keepalive"),
	stats.C("downstream_cx_protocol_error"),
	stats.G("downstream_cx_rx_bytes_buffered"),
	stats.C("downstream_cx_rx_bytes_total"),
	stats.G("downstream_cx_ssl_active"),
	stats.C("downstream_cx_ssl_total"),
	stats.C("downstream_cx_total"),
	stats.G("downstream_cx_tx_bytes_buffered"),
	stats.C("downstream_cx_tx_bytes_total"),
	stats.G("downstream_cx_upgrades_active"),
	stats.C("downstream_cx_upgrades_total"),
	stats.C("downstream_flow_control_paused_reading_total"),
	stats.C("downstream_flow_control_resumed_reading_total"),
	stats.C("downstream_rq_1xx"),
	stats.C("downstream_rq_2xx"),
	stats.C("downstream_rq_3xx"),
	stats.C("downstream_rq_4xx"),
	stats.C("downstream_rq_5xx"),
	stats.G("downstream_rq_active"),
	stats.C("downstream_rq_completed"),
	stats.C("downstream_rq_failed_path_normalization"),
	stats.C("downstream_rq_header_timeout"),
	stats.C("downstream_rq_http1_total"),
	stats.C("downstream_rq_http2_total"),
	stats.C("downstream_rq_http3_total"),
	stats.C("downstream_rq_idle_timeout"),
	stats.C("downstream_rq_max_duration_reached"),
	stats.C("downstream_rq_non_relative_path"),
	stats.C("downstream_rq_overload_close"),
	stats.C("downstream_rq_redirected_with_normalized_path"),
	stats.C("downstream_rq_rejected_via_ip_detection"),
	stats.C("downstream_rq_response_before_rq_complete"),
	stats.C("downstream_rq_rx_reset"),
	stats.C("downstream_rq_timeout"),
	stats.C("downstream_rq_too_large"),
	stats.C("downstream_rq_too_many_premature_resets"),
	stats.C("downstream_rq_total"),
	stats.C("downstream_rq_tx_reset"),
	stats.C("downstream_rq_ws_on_non_ws_route"),
	stats.C("rs_too_large"),
	stats.H("downstream_cx_length_ms", stats.UnitMilliseconds),
	stats.H("downstream_rq_time", stats.UnitMilliseconds),
	stats.C("tracing.client_enabled"),
	stats.C("tracing.health_check"),
	stats.C("tracing.not_traceable"),
	stats.C("tracing.random_sampling"),
	stats.C("tracing.service_forced"),
)

const (
	statCxActive = iota
	statCxDelayedCloseTimeout
	statCxDestroy
	statCxDestroyActiveRq
	statCxDestroyLocal
	statCxDestroyLocalActiveRq
	statCxDestroyRemote
	statCxDestroyRemoteActiveRq
	statCxDrainClose
	statCxHttp1Active
	statCxHttp1SoftDrain
	statCxHttp1Total
	statCxHttp2Active
	statCxHttp2Total
	statCxHttp3Active
	statCxHttp3Total
	statCxIdleTimeout
	statCxMaxDurationReached
	statCxMaxRequestsReached
	statCxOverloadDisableKeepalive
	statCxProtocolError
	statCxRxBytesBuffered
	statCxRxBytesTotal
	statCxSslActive
	statCxSslTotal
	statCxTotal
	statCxTxBytesBuffered
	statCxTxBytesTotal
	statCxUpgradesActive
	statCxUpgradesTotal
	statFlowControlPausedReadingTotal
	statFlowControlResumedReadingTotal
	statRq1xx
	statRq2xx
	statRq3xx
	statRq4xx
	statRq5xx
	statRqActive
	statRqCompleted
	statRqFailedPathNormalization
	statRqHeaderTimeout
	statRqHttp1Total
	statRqHttp2Total
	statRqHttp3Total
	statRqIdleTimeout
	statRqMaxDurationReached
	statRqNonRelativePath
	statRqOverloadClose
	statRqRedirectedWithNormalizedPath
	statRqRejectedViaIpDetection
	statRqResponseBeforeRqComplete
	statRqRxReset
	statRqTimeout
	statRqTooLarge
	statRqTooManyPrematureResets
	statRqTotal
	statRqTxReset
	statRqWsOnNonWsRoute
	statRsTooLarge
	statCxLengthMs
	statRqTime
)

// listenerSchema is the statistics under "listener.<…>.http.<stat_prefix>.".
var listenerSchema = stats.NewSchema(
	stats.C("downstream_rq_1xx"), stats.C("downstream_rq_2xx"), stats.C("downstream_rq_3xx"),
	stats.C("downstream_rq_4xx"), stats.C("downstream_rq_5xx"), stats.C("downstream_rq_completed"),
)

const listenerCompleted = 5
