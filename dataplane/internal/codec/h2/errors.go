package h2

import "github.com/hawser-mesh/hawser/dataplane/internal/fault"

// Envoy's details of streams (%RESPONSE_CODE_DETAILS%).
const (
	detailRemoteReset    = "http2.remote_reset"
	detailRemoteRefuse   = "http2.remote_refuse"
	detailInvalidField   = "http2.invalid.header.field"
	detailMessaging      = "http2.violation.of.messaging.rule"
	detailUnknown        = "http2.unknown.nghttp2.error"
	detailEmptyFlood     = "http2.inbound_empty_frames_flood"
	detailTooManyHeaders = "http2.too_many_headers"
	detailListTooLarge   = "http2.header_list_size_too_large"
	detailUnderscore     = "http2.unexpected_underscore"
)

// Envoy's texts of codec errors: what follows "codec_error:" in the details of
// streams that have none of their own.
const (
	textProtocol         = "The user callback function failed"
	textMagic            = "Received bad client magic byte string"
	textEmptyFlood       = "Too many consecutive frames with an empty payload"
	textPriorityFlood    = "Too many PRIORITY frames"
	textWindowFlood      = "Too many WINDOW_UPDATE frames"
	textControlFlood     = "Too many control frames in the outbound queue."
	textOutboundFlood    = "Too many frames in the outbound queue."
	closePingTimeout     = "http2_ping_timeout"
	closeProtocolViolate = "http2_connection_protocol_violation"
)

// violation is a connection error. A protocol error counts as
// downstream_cx_protocol_error or upstream_cx_protocol_error; a flood
// (fault.KindOverflow) does not.
func (c *conn) violation(kind fault.Kind, text string) error {
	e := &fault.Error{Kind: kind, Source: fault.Upstream, Flag: fault.UpstreamProtocolError, Detail: text}
	if c.server {
		e.Source, e.Flag = fault.Downstream, fault.DownstreamProtocolError
	}
	return e
}

// fail ends the connection without a word, as Envoy does when a frame is
// well-formed but not allowed.
func (c *conn) fail() error { return c.failCode(codeProtocol) }

// failCode is fail with the code that a strict codec announces.
func (c *conn) failCode(code errorCode) error {
	if c.opt.Strict {
		return c.failGoAway(code)
	}
	return c.violation(fault.KindProtocol, textProtocol)
}

// failStream is fail for a frame that belongs to a stream, which learns so.
func (c *conn) failStream(s *strm) error {
	if s != nil {
		s.setDetail(detailUnknown)
	}
	return c.fail()
}

// failGoAway ends the connection after a GOAWAY.
func (c *conn) failGoAway(code errorCode) error {
	c.writeGoAway(c.lastPeerID, code)
	return c.violation(fault.KindProtocol, textProtocol)
}

// flood ends the connection because the peer costs too much.
func (c *conn) flood(text string) error { return c.violation(fault.KindOverflow, text) }
