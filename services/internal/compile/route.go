package compile

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// candidate is a rule of a route that may serve a host, by one of its
// matches.
type candidate struct {
	route *httpRoute
	rule  *configv1.HTTPRouteRule
	match *configv1.HTTPRouteMatch
	// host is the route's host name by which the request got here.
	host            string
	ruleNo, matchNo int
}

// candidates lists the matches of a route, for one host name of it.
func candidates(r *httpRoute, host string) []candidate {
	var list []candidate
	rules := r.spec.GetRules()
	if len(rules) == 0 {
		rules = []*configv1.HTTPRouteRule{{}}
	}
	for i, rule := range rules {
		matches := rule.GetMatches()
		if len(matches) == 0 {
			matches = []*configv1.HTTPRouteMatch{{}}
		}
		for j, match := range matches {
			list = append(list, candidate{r, rule, match, host, i, j})
		}
	}
	return list
}

// order puts candidates into the precedence of the Gateway API (HTTPRouteSpec
// hostnames and HTTPRouteRule matches): host name, path, method, number of
// headers, of query parameters; then the older route, its name, and its own
// order. Regular expressions, of which the API says nothing, come between
// exact paths and prefixes.
func order(list []candidate) {
	kind := func(c candidate) int {
		switch c.match.GetPath().GetType() {
		case "Exact":
			return 0
		case "RegularExpression":
			return 1
		}
		return 2
	}
	exactHost := func(c candidate) int {
		if c.host == "" || strings.HasPrefix(c.host, "*") {
			return 1
		}
		return 0
	}
	method := func(c candidate) int {
		if c.match.GetMethod() == "" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(exactHost(a), exactHost(b)),
			cmp.Compare(len(b.host), len(a.host)),
			cmp.Compare(kind(a), kind(b)),
			cmp.Compare(len(pathPrefix(b.match)), len(pathPrefix(a.match))),
			cmp.Compare(method(a), method(b)),
			cmp.Compare(len(b.match.GetHeaders()), len(a.match.GetHeaders())),
			cmp.Compare(len(b.match.GetQueryParams()), len(a.match.GetQueryParams())),
			cmp.Compare(a.route.created, b.route.created),
			a.route.key.Compare(b.route.key),
			cmp.Compare(a.ruleNo, b.ruleNo),
			cmp.Compare(a.matchNo, b.matchNo),
		)
	})
}

// pathPrefix is the path of a match; of a prefix without the slash at its
// end, which says nothing.
func pathPrefix(m *configv1.HTTPRouteMatch) string {
	value := m.GetPath().GetValue()
	switch m.GetPath().GetType() {
	case "Exact":
		return cmp.Or(value, "/")
	case "RegularExpression":
		return value
	}
	return cmp.Or(strings.TrimRight(value, "/"), "/")
}

// dialect is what a kind of clients understands.
type dialect struct {
	// grpc clients know no path_separated_prefix.
	grpc bool
	// port of the listener, for redirects; zero where there is none.
	port int32
}

// routes compiles candidates in the order in which they are.
func routes(list []candidate, d dialect) []*routev3.Route {
	made := make([]*routev3.Route, len(list))
	for i, c := range list {
		made[i] = c.compile(d)
	}
	return made
}

func (c candidate) compile(d dialect) *routev3.Route {
	r := &routev3.Route{Match: c.compileMatch(d)}
	add, remove := headers(c.rule.GetFilters(), (*configv1.HTTPRouteFilter).GetRequestHeaderModifier)
	r.RequestHeadersToAdd, r.RequestHeadersToRemove = add, remove
	add, remove = headers(c.rule.GetFilters(), (*configv1.HTTPRouteFilter).GetResponseHeaderModifier)
	r.ResponseHeadersToAdd, r.ResponseHeadersToRemove = add, remove
	for _, f := range c.rule.GetFilters() {
		if f.GetRequestRedirect() != nil {
			r.Action = &routev3.Route_Redirect{Redirect: redirect(f.GetRequestRedirect(), c.match, d)}
			return r
		}
	}
	action := &routev3.RouteAction{}
	if !c.backends(action) {
		// No backend has a share: the Gateway API wants a 500.
		r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500}}
		return r
	}
	for _, f := range c.rule.GetFilters() {
		if f.GetUrlRewrite() != nil {
			rewrite(f.GetUrlRewrite(), c.match, action)
		}
	}
	c.timing(action)
	r.Action = &routev3.Route_Route{Route: action}
	return r
}

func (c candidate) compileMatch(d dialect) *routev3.RouteMatch {
	m := &routev3.RouteMatch{}
	path := pathPrefix(c.match)
	switch c.match.GetPath().GetType() {
	case "Exact":
		m.PathSpecifier = &routev3.RouteMatch_Path{Path: path}
	case "RegularExpression":
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: path}}
	default:
		switch {
		case path == "/":
			m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: path}
		case d.grpc:
			m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regexp.QuoteMeta(path) + "(/.*)?"}}
		default:
			m.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: path}
		}
	}
	if method := c.match.GetMethod(); method != "" {
		m.Headers = append(m.Headers, headerMatch(":method", "", method))
	}
	for _, h := range c.match.GetHeaders() {
		m.Headers = append(m.Headers, headerMatch(h.GetName(), h.GetType(), h.GetValue()))
	}
	for _, q := range c.match.GetQueryParams() {
		m.QueryParameters = append(m.QueryParameters, &routev3.QueryParameterMatcher{
			Name: q.GetName(),
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{
				StringMatch: stringMatch(q.GetType(), q.GetValue())},
		})
	}
	return m
}

func headerMatch(name, kind, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: stringMatch(kind, value)}}
}

func stringMatch(kind, value string) *matcherv3.StringMatcher {
	if kind == "RegularExpression" {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: value}}}
	}
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

// backends sets the cluster or the weighted clusters; false if no backend
// gets anything.
func (c candidate) backends(a *routev3.RouteAction) bool {
	type share struct {
		ref    *configv1.HTTPBackendRef
		weight uint32
	}
	var shares []share
	for _, ref := range c.rule.GetBackendRefs() {
		weight := uint32(1)
		if ref.Weight != nil {
			weight = uint32(ref.GetWeight())
		}
		if weight > 0 {
			shares = append(shares, share{ref, weight})
		}
	}
	if len(shares) == 0 {
		return false
	}
	name := func(ref *configv1.HTTPBackendRef) string {
		return ClusterName(cmp.Or(ref.GetNamespace(), c.route.key.Namespace), ref.GetName(), ref.GetPort())
	}
	if len(shares) == 1 && len(shares[0].ref.GetFilters()) == 0 {
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: name(shares[0].ref)}
		return true
	}
	weighted := &routev3.WeightedCluster{}
	for _, s := range shares {
		w := &routev3.WeightedCluster_ClusterWeight{Name: name(s.ref), Weight: wrapperspb.UInt32(s.weight)}
		w.RequestHeadersToAdd, w.RequestHeadersToRemove = headers(s.ref.GetFilters(), (*configv1.HTTPRouteFilter).GetRequestHeaderModifier)
		w.ResponseHeadersToAdd, w.ResponseHeadersToRemove = headers(s.ref.GetFilters(), (*configv1.HTTPRouteFilter).GetResponseHeaderModifier)
		weighted.Clusters = append(weighted.Clusters, w)
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}
	return true
}

// headers compiles header modifiers.
func headers(filters []*configv1.HTTPRouteFilter, of func(*configv1.HTTPRouteFilter) *configv1.HTTPHeaderFilter) (add []*corev3.HeaderValueOption, remove []string) {
	option := func(h *configv1.HTTPHeader, action corev3.HeaderValueOption_HeaderAppendAction) {
		add = append(add, &corev3.HeaderValueOption{
			// A per cent sign begins a command for Envoy.
			Header:         &corev3.HeaderValue{Key: h.GetName(), Value: strings.ReplaceAll(h.GetValue(), "%", "%%")},
			AppendAction:   action,
			KeepEmptyValue: h.GetValue() == "",
		})
	}
	for _, f := range filters {
		m := of(f)
		for _, h := range m.GetSet() {
			option(h, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
		}
		for _, h := range m.GetAdd() {
			option(h, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
		}
		remove = append(remove, m.GetRemove()...)
	}
	return add, remove
}

func redirect(f *configv1.HTTPRequestRedirectFilter, match *configv1.HTTPRouteMatch, d dialect) *routev3.RedirectAction {
	a := &routev3.RedirectAction{HostRedirect: f.GetHostname()}
	if f.GetScheme() != "" {
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: f.GetScheme()}
	}
	a.PortRedirect = redirectPort(f, d.port)
	switch p := f.GetPath(); p.GetType() {
	case "ReplaceFullPath":
		a.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: cmp.Or(p.GetReplaceFullPath(), "/")}
	case "ReplacePrefixMatch":
		if regex, prefix := prefixRewrite(p.GetReplacePrefixMatch(), match); regex != nil {
			a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: regex}
		} else {
			a.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: prefix}
		}
	}
	switch f.GetStatusCode() {
	case 301:
		a.ResponseCode = routev3.RedirectAction_MOVED_PERMANENTLY
	case 303:
		a.ResponseCode = routev3.RedirectAction_SEE_OTHER
	case 307:
		a.ResponseCode = routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		a.ResponseCode = routev3.RedirectAction_PERMANENT_REDIRECT
	default:
		a.ResponseCode = routev3.RedirectAction_FOUND
	}
	return a
}

// redirectPort follows HTTPRequestRedirectFilter.port of the Gateway API:
// without one it is the scheme's, or, without a scheme, the listener's. What
// the scheme implies is left out where a request's Host has no port either.
func redirectPort(f *configv1.HTTPRequestRedirectFilter, listener int32) uint32 {
	known := map[string]int32{"http": 80, "https": 443}[f.GetScheme()]
	switch {
	case f.GetPort() != 0 && (f.GetPort() != known || listener != 80 && listener != 443):
		return uint32(f.GetPort())
	case f.GetPort() != 0:
		return 0
	case f.GetScheme() != "" && listener != 80 && listener != 443 && listener != 0:
		return uint32(known)
	case f.GetScheme() == "" && listener != 80 && listener != 443:
		return uint32(listener)
	}
	return 0
}

func rewrite(f *configv1.HTTPURLRewriteFilter, match *configv1.HTTPRouteMatch, a *routev3.RouteAction) {
	if f.GetHostname() != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: f.GetHostname()}
	}
	switch p := f.GetPath(); p.GetType() {
	case "ReplaceFullPath":
		a.RegexRewrite = regexRewrite("^/.*$", cmp.Or(p.GetReplaceFullPath(), "/"))
	case "ReplacePrefixMatch":
		a.RegexRewrite, a.PrefixRewrite = prefixRewrite(p.GetReplacePrefixMatch(), match)
	}
}

// prefixRewrite replaces a prefix of whole segments. Envoy's prefix_rewrite
// replaces characters, which goes wrong with a slash too many or too few
// where the prefix or its replacement is the root.
func prefixRewrite(replacement string, match *configv1.HTTPRouteMatch) (*matcherv3.RegexMatchAndSubstitute, string) {
	prefix, to := pathPrefix(match), strings.TrimRight(replacement, "/")
	switch {
	case prefix == "/":
		return nil, to + "/"
	case to == "":
		return regexRewrite("^"+regexp.QuoteMeta(prefix)+"/*", "/"), ""
	}
	return nil, to
}

func regexRewrite(pattern, to string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{
		Pattern: &matcherv3.RegexMatcher{Regex: pattern}, Substitution: strings.ReplaceAll(to, `\`, `\\`)}
}

// timing sets timeouts and retries. A timeout of one try needs a retry policy
// in Envoy; without retries it is the whole request's too.
func (c candidate) timing(a *routev3.RouteAction) {
	t := c.rule.GetTimeouts()
	if t.GetRequest() != "" {
		a.Timeout = durationpb.New(duration(t.GetRequest(), 0))
	}
	try := duration(t.GetBackendRequest(), 0)
	retry := c.rule.GetRetry()
	attempts := uint32(1)
	if retry.GetAttempts() != 0 || retry != nil && retry.Attempts != nil {
		attempts = uint32(retry.GetAttempts())
	}
	if retry == nil || attempts == 0 {
		if try > 0 {
			a.Timeout = durationpb.New(try)
		}
		return
	}
	policy := &routev3.RetryPolicy{RetryOn: "connect-failure,refused-stream,reset", NumRetries: wrapperspb.UInt32(attempts)}
	if len(retry.GetCodes()) > 0 {
		policy.RetryOn += ",retriable-status-codes"
		for _, code := range retry.GetCodes() {
			policy.RetriableStatusCodes = append(policy.RetriableStatusCodes, uint32(code))
		}
	}
	if try > 0 {
		policy.PerTryTimeout = durationpb.New(try)
	}
	if backoff := duration(retry.GetBackoff(), 0); backoff > 0 {
		policy.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(max(backoff, time.Millisecond)), MaxInterval: durationpb.New(10 * backoff)}
	}
	a.RetryPolicy = policy
}
