package decode

import (
	"math"
	"regexp"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

var compile = regexp.Compile

// RouteConfig decodes a RouteConfiguration of RDS. Its clusters need not
// exist, unless it says so.
func (d *Decoder) RouteConfig(a *anypb.Any, version string) (*route.Table, error) {
	m, p := new(routev3.RouteConfiguration), fieldpath.Path{}
	hash, raw, err := d.resource(a, m, p)
	if err != nil {
		return nil, err
	}
	t, err := d.table(m, p, false)
	if err != nil {
		return nil, err
	}
	t.Version, t.Hash, t.Raw = version, hash, raw
	return t, nil
}

// StaticRouteConfig decodes a RouteConfiguration inside a listener, whose
// messages are checked already. Its clusters must exist, unless it says not.
func (d *Decoder) StaticRouteConfig(m *routev3.RouteConfiguration, p fieldpath.Path) (*route.Table, error) {
	t, err := d.table(m, p, true)
	if err != nil {
		return nil, err
	}
	t.Static = true
	t.Hash, t.Raw, err = hashOf(m)
	return t, err
}

// routes decodes one table.
type routes struct {
	d        *Decoder
	table    *route.Table
	validate bool // clusters must exist
}

func (d *Decoder) table(m *routev3.RouteConfiguration, p fieldpath.Path, validate bool) (*route.Table, error) {
	t := &route.Table{
		Name: m.GetName(), Updated: time.Now(), IgnorePort: m.GetIgnorePortInHostMatching(), MostSpecificWins: m.GetMostSpecificHeaderMutationsWins(),
		MaxDirectBody: u32(m.GetMaxDirectResponseBodySizeBytes(), defaultDirectBody), ValidateClusters: boolean(m.GetValidateClusters(), validate),
	}
	for _, n := range m.GetInternalOnlyHeaders() {
		t.InternalOnly = append(t.InternalOnly, strings.ToLower(n))
	}
	r := routes{d, t, t.ValidateClusters && d.deps.HasCluster != nil}
	var err error
	if t.Mutation, err = d.mutation(m, p); err != nil {
		return nil, err
	}
	if t.FilterConfigs, err = r.perFilter(m.GetTypedPerFilterConfig(), p); err != nil {
		return nil, err
	}
	domains := map[string]bool{}
	for i, v := range m.GetVirtualHosts() {
		at := p.Field("virtual_hosts").Index(i)
		for j, dom := range v.GetDomains() {
			if err := domain(dom, domains, at.Field("domains").Index(j)); err != nil {
				return nil, err
			}
		}
		h, err := r.virtualHost(v, at)
		if err != nil {
			return nil, err
		}
		t.Hosts = append(t.Hosts, h)
	}
	t.Build()
	return t, nil
}

func domain(name string, seen map[string]bool, p fieldpath.Path) error {
	name = strings.ToLower(name)
	if seen[name] {
		return p.Errorf("Only unique values for domains are permitted. Duplicate entry of domain %s", name)
	}
	seen[name] = true
	return nil
}

// bodyLimit is how much of a body is kept for a retry, in bytes; nil: not said.
func bodyLimit(m interface {
	GetPerRequestBufferLimitBytes() *wrapperspb.UInt32Value
	GetRequestBodyBufferLimit() *wrapperspb.UInt64Value
},
) *uint32 {
	var v uint32
	switch {
	case m.GetRequestBodyBufferLimit() != nil:
		v = uint32(min(m.GetRequestBodyBufferLimit().GetValue(), math.MaxUint32))
	case m.GetPerRequestBufferLimitBytes() != nil:
		v = m.GetPerRequestBufferLimitBytes().GetValue()
	default:
		return nil
	}
	return &v
}

func (r *routes) virtualHost(m *routev3.VirtualHost, p fieldpath.Path) (*route.VirtualHost, error) {
	h := &route.VirtualHost{
		Name: m.GetName(), Domains: m.GetDomains(), Metadata: metadata(m.GetMetadata()),
		AttemptCount: m.GetIncludeRequestAttemptCount(), AttemptCountInResponse: m.GetIncludeAttemptCountInResponse(),
		IncludeTimeoutRetry: m.GetIncludeIsTimeoutRetryHeader(),
	}
	switch m.GetRequireTls() {
	case routev3.VirtualHost_EXTERNAL_ONLY:
		h.RequireTLS = route.TLSExternalOnly
	case routev3.VirtualHost_ALL:
		h.RequireTLS = route.TLSAll
	}
	h.RetryBodyLimit = bodyLimit(m)
	var err error
	if h.Mutation, err = r.d.mutation(m, p); err != nil {
		return nil, err
	}
	if h.Retry, err = r.retry(m.GetRetryPolicy(), p.Field("retry_policy")); err != nil {
		return nil, err
	}
	if h.FilterConfigs, err = r.perFilter(m.GetTypedPerFilterConfig(), p); err != nil {
		return nil, err
	}
	for i, x := range m.GetRoutes() {
		rt, err := r.route(x, h, p.Field("routes").Index(i))
		if err != nil {
			return nil, err
		}
		h.Routes = append(h.Routes, rt)
	}
	return h, nil
}

func (r *routes) route(m *routev3.Route, h *route.VirtualHost, p fieldpath.Path) (*route.Route, error) {
	out := &route.Route{Name: m.GetName(), Metadata: metadata(m.GetMetadata()), RetryBodyLimit: h.RetryBodyLimit}
	if b := bodyLimit(m); b != nil {
		out.RetryBodyLimit = b
	}
	if err := r.match(m.GetMatch(), out, p.Field("match")); err != nil {
		return nil, err
	}
	var err error
	if out.Mutation, err = r.d.mutation(m, p); err != nil {
		return nil, err
	}
	if out.FilterConfigs, err = r.perFilter(m.GetTypedPerFilterConfig(), p); err != nil {
		return nil, err
	}
	switch k := m.GetAction().(type) {
	case *routev3.Route_Route:
		out.Kind = route.ActionForward
		out.Forward, err = r.forward(k.Route, h, p.Field("route"))
	case *routev3.Route_Redirect:
		out.Kind = route.ActionRedirect
		out.Redirect, err = redirect(k.Redirect, p.Field("redirect"))
	case *routev3.Route_DirectResponse:
		out.Kind = route.ActionDirect
		out.Direct, err = r.direct(k.DirectResponse, p.Field("direct_response"))
	case *routev3.Route_NonForwardingAction:
		out.Kind = route.ActionNonForwarding
	}
	return out, err
}

func (r *routes) match(m *routev3.RouteMatch, out *route.Route, p fieldpath.Path) (err error) {
	out.Path.IgnoreCase = !boolean(m.GetCaseSensitive(), true)
	switch k := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		out.Path.Kind, out.Path.Text = route.PathPrefix, k.Prefix
	case *routev3.RouteMatch_Path:
		out.Path.Kind, out.Path.Text = route.PathExact, k.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		out.Path.Kind, out.Path.Text = route.PathSeparatedPrefix, k.PathSeparatedPrefix
	case *routev3.RouteMatch_SafeRegex:
		out.Path.Kind = route.PathRegex
		if out.Path.Regex, err = regex(k.SafeRegex.GetRegex()); err != nil {
			return p.Field("safe_regex.regex").Errorf("%q: %w", k.SafeRegex.GetRegex(), err)
		}
	case *routev3.RouteMatch_ConnectMatcher_:
		out.Path.Kind = route.PathConnect
	}
	if out.Headers, err = matcher.DecodeHeaders(m.GetHeaders(), p.Field("headers")); err != nil {
		return err
	}
	if out.Queries, err = matcher.DecodeQueries(m.GetQueryParameters(), p.Field("query_parameters")); err != nil {
		return err
	}
	out.GRPC = m.GetGrpc() != nil
	out.Fraction = fraction(m.GetRuntimeFraction())
	if t := m.GetTlsContext(); t != nil {
		out.TLS = &route.TLSMatch{}
		if t.GetPresented() != nil {
			v := t.GetPresented().GetValue()
			out.TLS.Presented = &v
		}
		if t.GetValidated() != nil {
			v := t.GetValidated().GetValue()
			out.TLS.Validated = &v
		}
	}
	return nil
}

// perFilter decodes typed_per_filter_config.
func (r *routes) perFilter(m map[string]*anypb.Any, p fieldpath.Path) (map[string]any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	out := make(map[string]any, len(m))
	for name, a := range m {
		at := p.Field("typed_per_filter_config").Key(name)
		optional := false
		if a.MessageName() == "envoy.config.route.v3.FilterConfig" {
			f := new(routev3.FilterConfig)
			if err := support.Unpack(a, f, at); err != nil {
				return nil, err
			}
			optional, a = f.GetIsOptional(), f.GetConfig()
			if f.GetDisabled() {
				out[name] = route.FilterDisabled
				r.table.Switches = true
				continue
			}
			if a == nil {
				out[name] = route.FilterEnabled
				continue
			}
		}
		c, err := r.d.build(r.d.deps.Registry.PerRoute, name, a, Context{}, at)
		if err != nil {
			if optional {
				continue
			}
			return nil, err
		}
		out[name] = c
	}
	return out, nil
}
