package decode

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/localreply"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// HCM decodes a HttpConnectionManager at p; the Registry's factory of that
// message makes an hcm.Factory of what it returns.
func (d *Decoder) HCM(ctx Context, a *anypb.Any, p fieldpath.Path) (*hcm.Options, error) {
	m := new(hcmv3.HttpConnectionManager)
	if err := support.Unpack(a, m, p); err != nil {
		return nil, err
	}
	o := hcm.Options{
		Listener: ctx.Listener, NodeID: d.deps.ServiceNode, Cluster: d.deps.ServiceCluster, HealthFailed: d.deps.HealthFailed,
	}
	if d.deps.Runtime != nil {
		o.Runtime = d.deps.Runtime
	}
	return hcm.Decode(m, o, d.deps.Strict, hcmBuilder{d, ctx}, p)
}

// hcmBuilder implements hcm.Builder.
type hcmBuilder struct {
	d   *Decoder
	ctx Context
}

func (b hcmBuilder) Routes(m *routev3.RouteConfiguration, p fieldpath.Path) (hcm.RouteProvider, error) {
	t, err := b.d.StaticRouteConfig(m, p)
	if err != nil {
		return nil, err
	}
	return hcm.FixedRoutes{Table: t}, nil
}

func (b hcmBuilder) RDS(m *hcmv3.Rds, statPrefix string, p fieldpath.Path) (hcm.RouteProvider, error) {
	s, err := Source(m.GetConfigSource(), p.Field("config_source"))
	if err != nil {
		return nil, err
	}
	r, err := b.d.deps.Acquire(m.GetRouteConfigName(), s, "http."+statPrefix+".")
	return r, p.Wrap(err)
}

func (b hcmBuilder) Logs(list []*accesslogv3.AccessLog, p fieldpath.Path) ([]streaminfo.Logger, error) {
	return b.d.accessLogs(list, b.ctx, p)
}

func (b hcmBuilder) LocalReply(m *hcmv3.LocalReplyConfig, p fieldpath.Path) (hcm.LocalReply, error) {
	deps := localreply.Deps{Formats: b.d.deps.Formats, Headers: func(list []*corev3.HeaderValueOption, p fieldpath.Path) ([]route.HeaderOp, error) {
		return HeaderOps(list, b.d.deps.Formats, p)
	}}
	if b.d.deps.Runtime != nil {
		deps.Runtime = b.d.deps.Runtime
	}
	c, err := localreply.Decode(m, deps, p)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Filters builds HTTP filters; the last one must be terminal, and only it.
func (b hcmBuilder) Filters(list []*hcmv3.HttpFilter, statPrefix string, p fieldpath.Path) ([]hcm.NamedFilter, error) {
	ctx := b.ctx
	ctx.StatPrefix = statPrefix
	var out []hcm.NamedFilter
	for i, m := range list {
		at := p.Index(i).Field("typed_config")
		x, err := b.d.build(b.d.deps.Registry.HTTP, m.GetName(), m.GetTypedConfig(), ctx, at)
		if err != nil {
			if m.GetIsOptional() && b.d.absent(m.GetTypedConfig()) {
				continue
			}
			return nil, err
		}
		f, ok := x.(filter.Factory)
		if !ok {
			return nil, at.Errorf("%s is no HTTP filter", m.GetName())
		}
		last := i == len(list)-1
		terminal := m.GetTypedConfig().MessageName() == routerMessage
		if terminal != last {
			return nil, p.Index(i).Errorf("%s: %s", m.GetName(), terminalProblem(last, "http"))
		}
		if terminal && m.GetDisabled() {
			return nil, p.Index(i).Field("disabled").Errorf("the terminal filter %s must not be disabled", m.GetName())
		}
		out = append(out, hcm.NamedFilter{Name: m.GetName(), Factory: f, Disabled: m.GetDisabled()})
	}
	return out, nil
}

// routerMessage is the only terminal HTTP filter.
const routerMessage = "envoy.extensions.filters.http.router.v3.Router"

// absent says whether no HTTP filter is registered for a message.
func (d *Decoder) absent(a *anypb.Any) bool {
	return a == nil || d.deps.Registry.HTTP[string(a.MessageName())] == nil
}
