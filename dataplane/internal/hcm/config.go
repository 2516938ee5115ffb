package hcm

import (
	"net/netip"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uuidv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Builder decodes what stands inside of a HttpConnectionManager.
type Builder interface {
	// Routes compiles an inline route configuration.
	Routes(m *routev3.RouteConfiguration, p fieldpath.Path) (RouteProvider, error)
	// RDS gets a route configuration by name.
	RDS(m *hcmv3.Rds, statPrefix string, p fieldpath.Path) (RouteProvider, error)
	// Filters builds the HTTP filters.
	Filters(list []*hcmv3.HttpFilter, statPrefix string, p fieldpath.Path) ([]NamedFilter, error)
	// Logs builds the access loggers.
	Logs(list []*accesslogv3.AccessLog, p fieldpath.Path) ([]streaminfo.Logger, error)
	// LocalReply compiles local_reply_config.
	LocalReply(m *hcmv3.LocalReplyConfig, p fieldpath.Path) (LocalReply, error)
}

// Decode compiles a HttpConnectionManager at p, which support.Unpack has
// checked. o holds what is not of the message: Listener, Runtime and the like.
func Decode(m *hcmv3.HttpConnectionManager, o Options, strict bool, b Builder, p fieldpath.Path) (*Options, error) {
	o.StatPrefix = m.GetStatPrefix()
	o.Codec = map[hcmv3.HttpConnectionManager_CodecType]CodecType{
		hcmv3.HttpConnectionManager_HTTP1: CodecHTTP1, hcmv3.HttpConnectionManager_HTTP2: CodecHTTP2,
	}[m.GetCodecType()]
	names(m, &o)
	timeouts(m, &o)
	paths(m, &o)
	var err error
	for _, step := range []func() error{
		func() error { return codecs(m, &o, strict, p) },
		func() error { return o.identity(m, p) },
		func() error { o.Routes, err = routes(m, b, p); return err },
		func() error {
			o.Filters, err = b.Filters(m.GetHttpFilters(), o.StatPrefix, p.Field("http_filters"))
			return err
		},
		func() error { o.AccessLogs, err = b.Logs(m.GetAccessLog(), p.Field("access_log")); return err },
		func() error {
			if m.GetLocalReplyConfig() != nil {
				o.LocalReply, err = b.LocalReply(m.GetLocalReplyConfig(), p.Field("local_reply_config"))
			}
			return err
		},
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &o, nil
}

func names(m *hcmv3.HttpConnectionManager, o *Options) {
	o.ServerName = m.GetServerName()
	if o.ServerName == "" {
		o.ServerName = "envoy"
	}
	switch m.GetServerHeaderTransformation() {
	case hcmv3.HttpConnectionManager_APPEND_IF_ABSENT:
		o.ServerTransform = ServerAppendIfAbsent
	case hcmv3.HttpConnectionManager_PASS_THROUGH:
		o.ServerTransform = ServerPassThrough
	}
	o.Via = m.GetVia()
	o.AddUserAgent = m.GetAddUserAgent().GetValue()
	o.SchemeOverwrite = m.GetSchemeHeaderTransformation().GetSchemeToOverwrite()
	o.GenerateRequestID = given(m.GetGenerateRequestId(), true)
	o.PreserveRequestID = m.GetPreserveExternalRequestId()
	o.RequestIDResponse = m.GetAlwaysSetRequestIdInResponse()
	o.Proxy100 = m.GetProxy_100Continue()
	o.ForwardedPort = m.GetAppendXForwardedPort()
	if len(m.GetUpgradeConfigs()) > 0 {
		o.Upgrades = map[string]bool{}
		for _, u := range m.GetUpgradeConfigs() {
			o.Upgrades[strings.ToLower(u.GetUpgradeType())] = given(u.GetEnabled(), true)
		}
	}
}

// Envoy's defaults for durations.
const (
	defaultIdle         = time.Hour
	defaultStreamIdle   = 5 * time.Minute
	defaultDrain        = 5 * time.Second
	defaultDelayedClose = time.Second
)

func timeouts(m *hcmv3.HttpConnectionManager, o *Options) {
	c := m.GetCommonHttpProtocolOptions()
	o.IdleTimeout = after(c.GetIdleTimeout(), defaultIdle)
	o.MaxDuration = after(c.GetMaxConnectionDuration(), 0)
	o.MaxStream = after(c.GetMaxStreamDuration(), 0)
	o.MaxRequests = c.GetMaxRequestsPerConnection().GetValue()
	o.StreamIdle = after(m.GetStreamIdleTimeout(), defaultStreamIdle)
	o.RequestTimeout = after(m.GetRequestTimeout(), 0)
	o.HeadersTimeout = after(m.GetRequestHeadersTimeout(), 0)
	o.DrainTimeout = after(m.GetDrainTimeout(), defaultDrain)
	o.DelayedClose = after(m.GetDelayedCloseTimeout(), defaultDelayedClose)
}

func paths(m *hcmv3.HttpConnectionManager, o *Options) {
	o.NormalizePath = given(m.GetNormalizePath(), false)
	o.MergeSlashes = m.GetMergeSlashes()
	switch m.GetPathWithEscapedSlashesAction() {
	case hcmv3.HttpConnectionManager_REJECT_REQUEST:
		o.EscapedSlashes = SlashesReject
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT:
		o.EscapedSlashes = SlashesRedirect
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD:
		o.EscapedSlashes = SlashesForward
	}
	o.StripMatchingPort = m.GetStripMatchingHostPort()
	o.StripAnyPort = m.GetStripAnyHostPort()
	o.StripTrailingDot = m.GetStripTrailingHostDot()
	o.StreamErrorOnInvalid = m.GetStreamErrorOnInvalidHttpMessage().GetValue()
}

func codecs(m *hcmv3.HttpConnectionManager, o *Options, strict bool, p fieldpath.Path) (err error) {
	l := DecodeLimits(m.GetCommonHttpProtocolOptions(), m.GetMaxRequestHeadersKb().GetValue())
	l.StreamError, l.Strict = o.StreamErrorOnInvalid, strict
	o.MaxHeadersKiB = l.MaxHeadersKiB
	if o.HTTP1, err = DecodeHTTP1(m.GetHttpProtocolOptions(), l, p.Field("http_protocol_options")); err != nil {
		return err
	}
	o.HTTP2, err = DecodeHTTP2(m.GetHttp2ProtocolOptions(), l, p.Field("http2_protocol_options"))
	return err
}

// identity decodes who the client is taken for.
func (o *Options) identity(m *hcmv3.HttpConnectionManager, p fieldpath.Path) error {
	o.UseRemoteAddress = m.GetUseRemoteAddress().GetValue()
	o.TrustedHops = m.GetXffNumTrustedHops()
	o.SkipXFFAppend = m.GetSkipXffAppend()
	o.DefaultInternal = m.GetInternalAddressConfig().GetUnixSockets()
	var err error
	if o.InternalRanges, err = cidrs(m.GetInternalAddressConfig().GetCidrRanges(), p.Field("internal_address_config.cidr_ranges")); err != nil {
		return err
	}
	if e := m.GetRequestIdExtension(); e != nil {
		u := new(uuidv3.UuidRequestIdConfig)
		if err := support.Unpack(e.GetTypedConfig(), u, p.Field("request_id_extension.typed_config")); err != nil {
			return err
		}
	}
	return nil
}

func cidrs(list []*corev3.CidrRange, p fieldpath.Path) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, r := range list {
		ip, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			return nil, p.Index(i).Field("address_prefix").Errorf("malformed IP address: %s", r.GetAddressPrefix())
		}
		prefix, err := ip.Prefix(min(int(r.GetPrefixLen().GetValue()), ip.BitLen()))
		if err != nil {
			return nil, p.Index(i).Wrap(err)
		}
		out = append(out, prefix)
	}
	return out, nil
}

func routes(m *hcmv3.HttpConnectionManager, b Builder, p fieldpath.Path) (RouteProvider, error) {
	switch k := m.GetRouteSpecifier().(type) {
	case *hcmv3.HttpConnectionManager_RouteConfig:
		return b.Routes(k.RouteConfig, p.Field("route_config"))
	case *hcmv3.HttpConnectionManager_Rds:
		return b.RDS(k.Rds, m.GetStatPrefix(), p.Field("rds"))
	}
	return nil, p.Errorf("route_specifier is required")
}

func after(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}

func given(v *wrapperspb.BoolValue, def bool) bool {
	if v == nil {
		return def
	}
	return v.GetValue()
}
