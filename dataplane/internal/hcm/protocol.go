package hcm

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	preservev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Limits are what the options of both versions of HTTP share.
type Limits struct {
	MaxHeaders    uint32
	MaxHeadersKiB uint32
	Underscores   config.UnderscoreAction
	// StreamError is stream_error_on_invalid_http_message, the default of the
	// versions' own override.
	StreamError bool
	Strict      bool
}

// Envoy's defaults for headers.
const (
	defaultMaxHeaders    = 100
	defaultMaxHeadersKiB = 60
)

// DecodeLimits decodes HttpProtocolOptions; kib is what else bounds headers, 0
// for the default.
func DecodeLimits(o *corev3.HttpProtocolOptions, kib uint32) Limits {
	l := Limits{MaxHeaders: defaultMaxHeaders, MaxHeadersKiB: kib}
	if kib == 0 {
		l.MaxHeadersKiB = defaultMaxHeadersKiB
	}
	if o.GetMaxHeadersCount() != nil {
		l.MaxHeaders = o.GetMaxHeadersCount().GetValue()
	}
	switch o.GetHeadersWithUnderscoresAction() {
	case corev3.HttpProtocolOptions_REJECT_REQUEST:
		l.Underscores = config.RejectUnderscore
	case corev3.HttpProtocolOptions_DROP_HEADER:
		l.Underscores = config.DropUnderscore
	}
	return l
}

// DecodeHTTP1 decodes Http1ProtocolOptions at p; nil gives the defaults.
func DecodeHTTP1(o *corev3.Http1ProtocolOptions, l Limits, p fieldpath.Path) (config.HTTP1Options, error) {
	c := config.HTTP1Options{
		AllowAbsoluteURL: o.GetAllowAbsoluteUrl() == nil || o.GetAllowAbsoluteUrl().GetValue(),
		AcceptHTTP10:     o.GetAcceptHttp_10(), DefaultHost10: o.GetDefaultHostForHttp_10(), EnableTrailers: o.GetEnableTrailers(),
		AllowChunkedLength: o.GetAllowChunkedLength(), OverrideStreamError: l.StreamError, AllowCustomMethods: o.GetAllowCustomMethods(),
		FullyQualifiedURL: o.GetSendFullyQualifiedUrl(), MaxHeaders: l.MaxHeaders, MaxHeadersKiB: l.MaxHeadersKiB,
		Underscores: l.Underscores, Strict: l.Strict,
	}
	if v := o.GetOverrideStreamErrorOnInvalidHttpMessage(); v != nil {
		c.OverrideStreamError = v.GetValue()
	}
	switch k := o.GetHeaderKeyFormat().GetHeaderFormat().(type) {
	case *corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords_:
		c.ProperCase = true
	case *corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter:
		at := p.Field("header_key_format.stateful_formatter.typed_config")
		if err := support.Unpack(k.StatefulFormatter.GetTypedConfig(), new(preservev3.PreserveCaseFormatterConfig), at); err != nil {
			return c, err
		}
		c.PreserveCase = true
	}
	return c, nil
}

// DecodeHTTP2 decodes Http2ProtocolOptions at p; nil gives the defaults.
func DecodeHTTP2(o *corev3.Http2ProtocolOptions, l Limits, p fieldpath.Path) (config.HTTP2Options, error) {
	u := func(v *wrapperspb.UInt32Value, def uint32) uint32 {
		if v == nil {
			return def
		}
		return v.GetValue()
	}
	c := config.HTTP2Options{
		HPACKTableSize: u(o.GetHpackTableSize(), 4096), MaxConcurrentStreams: u(o.GetMaxConcurrentStreams(), 1024),
		InitialStreamWindow: u(o.GetInitialStreamWindowSize(), 16<<20), InitialConnWindow: u(o.GetInitialConnectionWindowSize(), 24<<20),
		AllowConnect: o.GetAllowConnect(), AllowMetadata: o.GetAllowMetadata(),
		MaxOutboundFrames: u(o.GetMaxOutboundFrames(), 10_000), MaxOutboundControl: u(o.GetMaxOutboundControlFrames(), 1000),
		MaxEmptyInbound:      u(o.GetMaxConsecutiveInboundFramesWithEmptyPayload(), 1),
		MaxPriorityPerStream: u(o.GetMaxInboundPriorityFramesPerStream(), 100),
		MaxWindowUpdates:     u(o.GetMaxInboundWindowUpdateFramesPerDataFrameSent(), 10),
		StreamResetBurst:     1000, StreamResetRate: 33,
		OverrideStreamError: l.StreamError || o.GetStreamErrorOnInvalidHttpMessaging(), //nolint:staticcheck // still in use
		MaxHeaders:          l.MaxHeaders, MaxHeadersKiB: l.MaxHeadersKiB, Underscores: l.Underscores, Strict: l.Strict,
	}
	if v := o.GetOverrideStreamErrorOnInvalidHttpMessage(); v != nil {
		c.OverrideStreamError = v.GetValue()
	}
	if k := o.GetConnectionKeepalive(); k != nil {
		c.PingInterval, c.PingTimeout = k.GetInterval().AsDuration(), k.GetTimeout().AsDuration()
		c.PingJitter, c.PingIdle = 15, k.GetConnectionIdleInterval().AsDuration()
		if k.GetIntervalJitter() != nil {
			c.PingJitter = k.GetIntervalJitter().GetValue()
		}
		if c.PingInterval == 0 && c.PingIdle == 0 {
			return c, p.Field("connection_keepalive").Errorf("interval or connection_idle_interval is required")
		}
	}
	for _, w := range []struct {
		name string
		size uint32
	}{{"initial_stream_window_size", c.InitialStreamWindow}, {"initial_connection_window_size", c.InitialConnWindow}} {
		if w.size < 65535 || w.size > 1<<31-1 {
			return c, p.Field(w.name).Errorf("%d is not between 65535 and 2147483647", w.size)
		}
	}
	return c, nil
}
