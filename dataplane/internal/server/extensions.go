package server

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	directv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"
	echov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/echo/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/http/router"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/network/directresponse"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/network/echo"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/network/tcpproxy"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport/tls"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode"
)

// registry lists the extensions that the process has.
func (s *Server) registry(logs accesslog.Files) *decode.Registry {
	const e = "envoy.extensions."
	reg := decode.NewRegistry()
	n := len(s.threads.workers) + 1 // the control loop serves admin
	reg.Network = map[string]decode.Factory{
		e + "filters.network.http_connection_manager.v3.HttpConnectionManager": func(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
			o, err := ctx.Decoder.HCM(ctx, a, p)
			if err != nil {
				return nil, err
			}
			return hcm.NewFactory(o, s.store, n, s.codecs), nil
		},
		e + "filters.network.tcp_proxy.v3.TcpProxy":     s.tcpProxy,
		e + "filters.network.echo.v3.Echo":              echoFilter,
		e + "filters.network.direct_response.v3.Config": directResponse,
	}
	reg.HTTP = map[string]decode.Factory{
		e + "filters.http.router.v3.Router": func(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
			c, err := router.Decode(a, ctx.StatPrefix, runtimeView{s.runtime}, ctx.AccessLogs, p)
			if err != nil {
				return nil, err
			}
			return router.NewFactory(c, s.store, s.manager, n), nil
		},
	}
	raw := func(decode.Context, *anypb.Any, fieldpath.Path) (any, error) { return transport.RawFactory{}, nil }
	reg.TransportSocketDown = map[string]decode.Factory{
		e + "transport_sockets.raw_buffer.v3.RawBuffer":     raw,
		e + "transport_sockets.tls.v3.DownstreamTlsContext": s.downstreamTLS,
	}
	reg.TransportSocketUp = map[string]decode.Factory{
		e + "transport_sockets.raw_buffer.v3.RawBuffer":   raw,
		e + "transport_sockets.tls.v3.UpstreamTlsContext": s.upstreamTLS,
	}
	reg.AccessLog = map[string]decode.Factory{}
	for _, name := range accesslog.MessageNames() {
		reg.AccessLog[name] = func(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
			return logs.Decode(a, ctx.LogFilter, p)
		}
	}
	return reg
}

// terminal says whether a network filter ends its chain.
func terminal(factory any) bool {
	switch factory.(type) {
	case *hcm.Factory, *tcpproxy.Factory, echo.Factory, *directresponse.Factory:
		return true
	}
	return false
}

func (s *Server) tcpProxy(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	m := new(tcpv3.TcpProxy)
	if err := support.Unpack(a, m, p); err != nil {
		return nil, err
	}
	c, err := tcpproxy.Decode(m, p, func(l []*accesslogv3.AccessLog, at fieldpath.Path) ([]streaminfo.Logger, error) {
		return ctx.AccessLogs(l, at)
	})
	if err != nil {
		return nil, err
	}
	return tcpproxy.NewFactory(c, s.store, s.manager), nil
}

func echoFilter(_ decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	return echo.Factory{}, support.Unpack(a, new(echov3.Echo), p)
}

func directResponse(_ decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	m := new(directv3.Config)
	if err := support.Unpack(a, m, p); err != nil {
		return nil, err
	}
	if m.GetResponse() == nil {
		return &directresponse.Factory{}, nil
	}
	data, err := support.Data(m.GetResponse(), p.Field("response"))
	return &directresponse.Factory{Response: data}, err
}

func (s *Server) downstreamTLS(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	m := new(tlsv3.DownstreamTlsContext)
	if err := support.Unpack(a, m, p); err != nil {
		return nil, err
	}
	c, err := tls.Downstream(m, p)
	if err != nil {
		return nil, err
	}
	return tls.NewServer(c, s.store, "listener."+ctx.Listener+".ssl.", len(s.threads.workers)+1), nil
}

func (s *Server) upstreamTLS(ctx decode.Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	m := new(tlsv3.UpstreamTlsContext)
	if err := support.Unpack(a, m, p); err != nil {
		return nil, err
	}
	c, err := tls.Upstream(m, p)
	if err != nil {
		return nil, err
	}
	return tls.NewClient(c, s.store, "cluster."+ctx.StatPrefix+".ssl.", len(s.threads.workers)+1), nil
}

// logConnection writes a listener's access logs when a connection ends, or
// when it has no filter chain (c is nil).
func logConnection(w *event.Worker, l *config.Listener, info *network.Info, c *network.Conn) {
	if len(l.AccessLogs) == 0 {
		return
	}
	i := connectionInfo(w, info, c)
	for _, x := range l.AccessLogs {
		x.(streaminfo.Logger).Log(w, i)
	}
}
