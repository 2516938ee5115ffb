package decode

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

func (r *routes) forward(m *routev3.RouteAction, h *route.VirtualHost, p fieldpath.Path) (*route.Forward, error) {
	f := &route.Forward{
		PrefixRewrite: m.GetPrefixRewrite(), AppendForwardedHost: m.GetAppendXForwardedHost(),
		Timeout: duration(m.GetTimeout(), defaultRouteTimeout), IdleTimeout: optional(m.GetIdleTimeout()),
		NotFoundCode: notFoundCode(m.GetClusterNotFoundResponseCode()), Retry: h.Retry,
	}
	if m.GetPriority() == corev3.RoutingPriority_HIGH {
		f.Priority = config.PriorityHigh
	}
	var err error
	if err = r.target(m, f, p); err != nil {
		return nil, err
	}
	if f.RegexRewrite, err = rewrite(m.GetRegexRewrite(), p.Field("regex_rewrite")); err != nil {
		return nil, err
	}
	if f.PrefixRewrite != "" && f.RegexRewrite != nil {
		return nil, p.Errorf("Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy")
	}
	switch k := m.GetHostRewriteSpecifier().(type) {
	case *routev3.RouteAction_HostRewriteLiteral:
		f.HostRewrite = k.HostRewriteLiteral
	case *routev3.RouteAction_AutoHostRewrite:
		f.AutoHostRewrite = k.AutoHostRewrite.GetValue()
	case *routev3.RouteAction_HostRewriteHeader:
		f.HostHeader = strings.ToLower(k.HostRewriteHeader)
	case *routev3.RouteAction_HostRewritePathRegex:
		if f.HostPathRegex, err = rewrite(k.HostRewritePathRegex, p.Field("host_rewrite_path_regex")); err != nil {
			return nil, err
		}
	}
	if m.GetRetryPolicy() != nil {
		if f.Retry, err = r.retry(m.GetRetryPolicy(), p.Field("retry_policy")); err != nil {
			return nil, err
		}
	}
	grpcTimeouts(m, f)
	f.Upgrades, err = upgrades(m.GetUpgradeConfigs(), p.Field("upgrade_configs"))
	return f, err
}

func notFoundCode(c routev3.RouteAction_ClusterNotFoundResponseCode) int {
	switch c {
	case routev3.RouteAction_NOT_FOUND:
		return 404
	case routev3.RouteAction_INTERNAL_SERVER_ERROR:
		return 500
	}
	return 503
}

// grpcTimeouts decodes the limits that grpc-timeout is subject to.
func grpcTimeouts(m *routev3.RouteAction, f *route.Forward) {
	f.MaxGRPCTimeout = optional(m.GetMaxGrpcTimeout()) //nolint:staticcheck // still in use
	if s := m.GetMaxStreamDuration(); s != nil {
		f.MaxStream = &route.MaxStream{
			Duration: optional(s.GetMaxStreamDuration()), GRPCHeaderMax: optional(s.GetGrpcTimeoutHeaderMax()),
			GRPCHeaderOffset: duration(s.GetGrpcTimeoutHeaderOffset(), 0),
		}
	}
}

func upgrades(list []*routev3.RouteAction_UpgradeConfig, p fieldpath.Path) (map[string]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]bool{}
	for i, u := range list {
		t := strings.ToLower(u.GetUpgradeType())
		if _, twice := out[t]; twice {
			return nil, p.Index(i).Errorf("Duplicate upgrade %s", u.GetUpgradeType())
		}
		out[t] = boolean(u.GetEnabled(), true)
	}
	return out, nil
}

// target decodes where requests go.
func (r *routes) target(m *routev3.RouteAction, f *route.Forward, p fieldpath.Path) error {
	switch k := m.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		f.Cluster = k.Cluster
		return r.known(k.Cluster, p.Field("cluster"))
	case *routev3.RouteAction_ClusterHeader:
		f.ClusterHeader = strings.ToLower(k.ClusterHeader)
	case *routev3.RouteAction_WeightedClusters:
		return r.weighted(k.WeightedClusters, f, p.Field("weighted_clusters"))
	}
	return nil
}

func (r *routes) known(cluster string, p fieldpath.Path) error {
	if r.validate && !r.d.deps.HasCluster(cluster) {
		return p.Errorf("route: unknown cluster '%s'", cluster)
	}
	return nil
}

func (r *routes) weighted(m *routev3.WeightedCluster, f *route.Forward, p fieldpath.Path) error {
	f.RuntimeKey = m.GetRuntimeKeyPrefix()
	f.WeightHeader = strings.ToLower(m.GetHeaderName())
	for i, x := range m.GetClusters() {
		at := p.Field("clusters").Index(i)
		w := &route.WeightedCluster{
			Name: x.GetName(), Header: strings.ToLower(x.GetClusterHeader()), Weight: uint64(x.GetWeight().GetValue()), HostRewrite: x.GetHostRewriteLiteral(),
		}
		if (w.Name == "") == (w.Header == "") {
			return at.Errorf("one of name and cluster_header is required")
		}
		if w.Name != "" {
			if err := r.known(w.Name, at.Field("name")); err != nil {
				return err
			}
		}
		var err error
		if w.Mutation, err = r.d.mutation(x, at); err != nil {
			return err
		}
		if w.FilterConfigs, err = r.perFilter(x.GetTypedPerFilterConfig(), at); err != nil {
			return err
		}
		f.TotalWeight += w.Weight
		f.Weighted = append(f.Weighted, w)
	}
	if f.TotalWeight == 0 {
		return p.Errorf("Sum of weights in the weighted_cluster must be greater than 0.")
	}
	if f.TotalWeight > 1<<32-1 {
		return p.Errorf("The sum of weights of all weighted clusters of route exceeds 4294967295")
	}
	if t := m.GetTotalWeight(); t != nil && uint64(t.GetValue()) != f.TotalWeight { //nolint:staticcheck // still in use
		return p.Field("total_weight").Errorf("Sum of weights in the weighted_cluster should add up to %d", t.GetValue())
	}
	return nil
}

// retry decodes a RetryPolicy at p; nil is nil.
func (r *routes) retry(m *routev3.RetryPolicy, p fieldpath.Path) (*route.Retry, error) {
	if m == nil {
		return nil, nil
	}
	out := &route.Retry{
		On: route.ParseRetryOn(m.GetRetryOn(), true, true), Max: u32(m.GetNumRetries(), 1),
		PerTryTimeout: duration(m.GetPerTryTimeout(), 0), PerTryIdle: duration(m.GetPerTryIdleTimeout(), 0),
		Base: defaultBackOff, Limit: 10 * defaultBackOff, MaxHostAttempts: 1,
	}
	if n := m.GetHostSelectionRetryMaxAttempts(); n > 0 {
		out.MaxHostAttempts = int(n)
	}
	for _, s := range m.GetRetriableStatusCodes() {
		out.Statuses = append(out.Statuses, int(s))
	}
	if b := m.GetRetryBackOff(); b != nil {
		out.Base = b.GetBaseInterval().AsDuration()
		out.Limit = duration(b.GetMaxInterval(), 10*out.Base)
		if out.Limit < out.Base {
			return nil, p.Field("retry_back_off").Errorf("max_interval must greater than or equal to the base_interval")
		}
	}
	if b := m.GetRateLimitedRetryBackOff(); b != nil {
		out.RateLimited = &route.RateLimitedBackoff{Max: duration(b.GetMaxInterval(), defaultResetLimit)}
		for _, h := range b.GetResetHeaders() {
			out.RateLimited.Headers = append(out.RateLimited.Headers, route.ResetHeader{
				Name: strings.ToLower(h.GetName()), Unix: h.GetFormat() == routev3.RetryPolicy_UNIX_TIMESTAMP,
			})
		}
	}
	var err error
	if out.Headers, err = matcher.DecodeHeaders(m.GetRetriableHeaders(), p.Field("retriable_headers")); err != nil {
		return nil, err
	}
	if out.RequestHeaders, err = matcher.DecodeHeaders(m.GetRetriableRequestHeaders(), p.Field("retriable_request_headers")); err != nil {
		return nil, err
	}
	for i, h := range m.GetRetryHostPredicate() {
		at := p.Field("retry_host_predicate").Index(i).Field("typed_config")
		if a := h.GetTypedConfig(); a != nil || h.GetName() != "envoy.retry_host_predicates.previous_hosts" {
			if err := support.Unpack(a, new(previousv3.PreviousHostsPredicate), at); err != nil {
				return nil, err
			}
		}
		out.PreviousHosts = true
	}
	return out, nil
}

func redirect(m *routev3.RedirectAction, p fieldpath.Path) (*route.Redirect, error) {
	out := &route.Redirect{
		HTTPS: m.GetHttpsRedirect(), Scheme: m.GetSchemeRedirect(), Host: m.GetHostRedirect(), Port: m.GetPortRedirect(),
		Path: m.GetPathRedirect(), PrefixRewrite: m.GetPrefixRewrite(), StripQuery: m.GetStripQuery(),
	}
	out.Code = map[routev3.RedirectAction_RedirectResponseCode]int{
		routev3.RedirectAction_MOVED_PERMANENTLY: 301, routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
		routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308,
	}[m.GetResponseCode()]
	var err error
	out.RegexRewrite, err = rewrite(m.GetRegexRewrite(), p.Field("regex_rewrite"))
	return out, err
}

func (r *routes) direct(m *routev3.DirectResponseAction, p fieldpath.Path) (*route.Direct, error) {
	out := &route.Direct{Status: int(m.GetStatus())}
	body, err := support.Data(m.GetBody(), p.Field("body"))
	if err != nil {
		return nil, err
	}
	if uint32(len(body)) > r.table.MaxDirectBody {
		return nil, p.Field("body").Errorf("response body size is %d bytes; maximum is %d", len(body), r.table.MaxDirectBody)
	}
	out.Body = string(body)
	if f := m.GetBodyFormat(); f != nil {
		d, err := formatter.Decode(f, p.Field("body_format"), r.d.deps.Formats)
		if err != nil {
			return nil, err
		}
		out.Format, out.ContentType = d, d.BodyType()
	}
	return out, nil
}
