package decode

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// httpOptions is the key of HttpProtocolOptions.
const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// protocol decodes which version of HTTP is spoken, and how.
func (d *Decoder) protocol(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	at := p.Field("typed_extension_protocol_options")
	for k, a := range m.GetTypedExtensionProtocolOptions() {
		if k != httpOptions {
			return at.Key(k).Errorf("Didn't find a registered network or http filter or protocol options implementation for name: '%s'", k)
		}
		o := new(httpv3.HttpProtocolOptions)
		a, err := typed(a, at.Key(k))
		if err != nil {
			return err
		}
		if err := support.Unpack(a, o, at.Key(k)); err != nil {
			return err
		}
		return d.typedProtocol(o, c, at.Key(k))
	}
	//nolint:staticcheck // the deprecated fields are still in use
	u := upstreamOptions{
		common: m.GetCommonHttpProtocolOptions(), http1: m.GetHttpProtocolOptions(), http2: m.GetHttp2ProtocolOptions(),
		upstream: m.GetUpstreamHttpProtocolOptions(), mode: config.ExplicitHTTP1,
	}
	switch {
	case m.GetProtocolSelection() == clusterv3.Cluster_USE_DOWNSTREAM_PROTOCOL: //nolint:staticcheck // the same
		u.mode = config.UseDownstream
	case u.http2 != nil:
		u.mode = config.ExplicitHTTP2
	}
	return d.upstreamProtocol(u, c, p)
}

type upstreamOptions struct {
	common   *corev3.HttpProtocolOptions
	http1    *corev3.Http1ProtocolOptions
	http2    *corev3.Http2ProtocolOptions
	upstream *corev3.UpstreamHttpProtocolOptions
	mode     config.ProtocolMode
}

func (d *Decoder) typedProtocol(m *httpv3.HttpProtocolOptions, c *config.Cluster, p fieldpath.Path) error {
	u := upstreamOptions{common: m.GetCommonHttpProtocolOptions(), upstream: m.GetUpstreamHttpProtocolOptions()}
	switch k := m.GetUpstreamProtocolOptions().(type) {
	case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_:
		p = p.Field("explicit_http_config")
		u.http1, u.http2 = k.ExplicitHttpConfig.GetHttpProtocolOptions(), k.ExplicitHttpConfig.GetHttp2ProtocolOptions()
		if u.mode = config.ExplicitHTTP1; u.http2 != nil {
			u.mode = config.ExplicitHTTP2
		}
	case *httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig:
		p = p.Field("use_downstream_protocol_config")
		u.http1, u.http2 = k.UseDownstreamProtocolConfig.GetHttpProtocolOptions(), k.UseDownstreamProtocolConfig.GetHttp2ProtocolOptions()
		u.mode = config.UseDownstream
	case *httpv3.HttpProtocolOptions_AutoConfig:
		p = p.Field("auto_config")
		u.http1, u.http2 = k.AutoConfig.GetHttpProtocolOptions(), k.AutoConfig.GetHttp2ProtocolOptions()
		u.mode = config.AutoALPN
	}
	return d.upstreamProtocol(u, c, p)
}

func (d *Decoder) upstreamProtocol(u upstreamOptions, c *config.Cluster, p fieldpath.Path) error {
	l := hcm.DecodeLimits(u.common, u32(u.common.GetMaxResponseHeadersKb(), 0))
	l.Strict = d.deps.Strict
	o := config.UpstreamProtocol{
		Mode: u.mode, IdleTimeout: duration(u.common.GetIdleTimeout(), defaultIdleTimeout),
		MaxDuration: duration(u.common.GetMaxConnectionDuration(), 0), MaxHeaders: l.MaxHeaders, MaxHeadersKiB: l.MaxHeadersKiB,
		MaxStreamTime: duration(u.common.GetMaxStreamDuration(), 0),
		AutoSNI:       u.upstream.GetAutoSni(), AutoSANVerify: u.upstream.GetAutoSanValidation(), OverrideSNIHeader: u.upstream.GetOverrideAutoSniHeader(),
	}
	if n := u.common.GetMaxRequestsPerConnection(); n != nil {
		c.MaxRequestsPerConnection = n.GetValue()
	}
	var err error
	if o.HTTP1, err = hcm.DecodeHTTP1(u.http1, l, p.Field("http_protocol_options")); err != nil {
		return err
	}
	if o.HTTP2, err = hcm.DecodeHTTP2(u.http2, l, p.Field("http2_protocol_options")); err != nil {
		return err
	}
	c.Protocol = o
	return nil
}
