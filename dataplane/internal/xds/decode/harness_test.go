package decode

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog/file"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/http/router"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/runtime"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport/tls"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode/yaml"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// whole decodes bootstraps as the server does, with what the extensions decode
// to in place of their factories.
type whole struct {
	decoder   *Decoder
	boot      *Bootstrap
	clusters  []*config.Cluster
	listeners []*config.Listener
	managers  []*hcm.Options
}

type noFilter struct{}

func (noFilter) AddTo(*filter.Manager) {}

type noRoutes struct{ hcm.RouteProvider }

func decodeWhole(t testing.TB, m *bootstrapv3.Bootstrap) (*whole, error) {
	t.Helper()
	w := &whole{}
	var err error
	if w.boot, err = ReadBootstrap(m, Overrides{}); err != nil {
		return nil, err
	}
	if _, err := runtime.New(w.boot.Runtime, stats.NewStore()); err != nil {
		return nil, err
	}
	files := file.NewManager(time.Hour, 1, stats.NewStore())
	t.Cleanup(files.Close)
	logs := accesslog.Files{Manager: files, Workers: 1}
	known := map[string]bool{}
	reg := &Registry{AccessLog: map[string]Factory{}}
	for _, n := range accesslog.MessageNames() {
		reg.AccessLog[n] = func(ctx Context, a *anypb.Any, p fieldpath.Path) (any, error) {
			return logs.Decode(a, ctx.LogFilter, p)
		}
	}
	reg.HTTP = map[string]Factory{routerMessage: func(ctx Context, a *anypb.Any, p fieldpath.Path) (any, error) {
		_, err := router.Decode(a, ctx.StatPrefix, nil, ctx.AccessLogs, p)
		return noFilter{}, err
	}}
	reg.Network = map[string]Factory{
		"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": func(ctx Context, a *anypb.Any, p fieldpath.Path) (any, error) {
			o, err := ctx.Decoder.HCM(ctx, a, p)
			w.managers = append(w.managers, o)
			return o, err
		},
	}
	for _, n := range []string{"tcp_proxy.v3.TcpProxy", "echo.v3.Echo", "direct_response.v3.Config"} {
		reg.Network["envoy.extensions.filters.network."+n] = checkOnly
	}
	reg.ListenerFilter = map[string]Factory{"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": checkOnly}
	reg.TransportSocketDown = map[string]Factory{"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext": func(_ Context, a *anypb.Any, p fieldpath.Path) (any, error) {
		m := new(tlsv3.DownstreamTlsContext)
		if err := support.Unpack(a, m, p); err != nil {
			return nil, err
		}
		return tls.Downstream(m, p)
	}}
	reg.TransportSocketUp = map[string]Factory{"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext": func(_ Context, a *anypb.Any, p fieldpath.Path) (any, error) {
		m := new(tlsv3.UpstreamTlsContext)
		if err := support.Unpack(a, m, p); err != nil {
			return nil, err
		}
		return tls.Upstream(m, p)
	}}
	w.decoder = New(Deps{
		Registry:   reg,
		HasCluster: func(n string) bool { return known[n] },
		Acquire:    func(string, *config.Source, string) (hcm.RouteProvider, error) { return noRoutes{}, nil },
		AdminLog: func(path string) (streaminfo.Logger, error) {
			f, err := files.Open(path)
			return accesslog.NewFile(f, nil, nil, 1), err
		},
		Terminal: func(any) bool { return true },
	})
	if w.clusters, err = w.decoder.StaticClusters(w.boot); err != nil {
		return nil, err
	}
	for _, c := range w.clusters {
		known[c.Name] = true
	}
	for i, a := range w.boot.Listeners {
		l, err := w.decoder.Listener(a, "")
		if err != nil {
			return nil, Under(w.boot.ListenerPath(i), err)
		}
		w.listeners = append(w.listeners, l)
	}
	_, err = w.decoder.AdminLogs(w.boot)
	return w, err
}

// checkOnly stands for an extension whose decoding is its own package's.
func checkOnly(_ Context, a *anypb.Any, p fieldpath.Path) (any, error) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return nil, p.Wrap(err)
	}
	return a, support.Unpack(a, m, p)
}

func decodeText(t testing.TB, text string) (*whole, error) {
	t.Helper()
	m, _, err := yaml.Bootstrap("", text, yaml.Options{})
	if err != nil {
		return nil, err
	}
	return decodeWhole(t, m)
}

// Every bootstrap of a folder (HAWSER_CONFIGS) is decoded, and what is refused
// is listed: a survey, not a test of its own.
func TestSurvey(t *testing.T) {
	dir := os.Getenv("HAWSER_CONFIGS")
	if dir == "" {
		return
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(n)
		_, err = decodeText(t, string(data))
		if errors.Is(err, os.ErrNotExist) || err == nil {
			t.Logf("ok %s", name)
			continue
		}
		t.Logf("REFUSED %s: %s", name, strings.ReplaceAll(err.Error(), "\n", "\n    "))
	}
}
