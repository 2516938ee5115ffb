package resource

import (
	"net/http"
	"regexp"
	"strings"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Bounds of an HTTPRoute. The Gateway API allows 16 rules for the sake of
// etcd; more are fine here.
const (
	maxRules    = 256
	maxMatches  = 64
	maxBackends = 64
	maxWeight   = 1_000_000
)

func (c *checker) httpRoute(spec *configv1.HTTPRouteSpec) {
	for i, ref := range spec.GetParentRefs() {
		c.parentRef(index("spec.parentRefs", i), ref)
	}
	for i, host := range spec.GetHostnames() {
		c.hostname(index("spec.hostnames", i), host)
	}
	if len(spec.GetRules()) > maxRules {
		c.fail("spec.rules", "has %d entries, at most %d are allowed", len(spec.GetRules()), maxRules)
	}
	names := map[string]bool{}
	for i, rule := range spec.GetRules() {
		path := index("spec.rules", i)
		if name := rule.GetName(); name != "" {
			if !isSubdomain(name) {
				c.fail(path+".name", "%s is not a DNS subdomain", short(name))
			} else if names[name] {
				c.fail(path+".name", "%s is there twice", short(name))
			}
			names[name] = true
		}
		c.rule(path, rule)
	}
}

func (c *checker) parentRef(path string, ref *configv1.ParentRef) {
	c.oneOf(path+".kind", ref.GetKind(), Gateway, Service)
	switch {
	case ref.Group == nil:
	case ref.GetKind() == Service && ref.GetGroup() != "" && ref.GetGroup() != hawserGroup:
		c.fail(path+".group", "%s has no Service (expected \"\" or %s)", short(ref.GetGroup()), hawserGroup)
	case ref.GetKind() != Service && ref.GetGroup() != gatewayGroup:
		c.fail(path+".group", "%s has no Gateway (expected %s)", short(ref.GetGroup()), gatewayGroup)
	}
	if ref.GetName() == "" {
		c.fail(path+".name", "is missing")
	}
	if ref.GetKind() == Service && ref.GetSectionName() != "" {
		c.fail(path+".sectionName", "must not be set for a Service")
	}
	c.port(path+".port", ref.GetPort(), false)
}

func (c *checker) rule(path string, rule *configv1.HTTPRouteRule) {
	if n := len(rule.GetMatches()); n > maxMatches {
		c.fail(path+".matches", "has %d entries, at most %d are allowed", n, maxMatches)
	}
	for i, match := range rule.GetMatches() {
		c.match(index(path+".matches", i), match)
	}
	c.filters(path+".filters", rule.GetFilters(), false)
	c.prefixRewrite(path, rule)
	if n := len(rule.GetBackendRefs()); n > maxBackends {
		c.fail(path+".backendRefs", "has %d entries, at most %d are allowed", n, maxBackends)
	}
	redirects := false
	for _, f := range rule.GetFilters() {
		redirects = redirects || f.GetRequestRedirect() != nil
	}
	if redirects && len(rule.GetBackendRefs()) > 0 {
		c.fail(path+".backendRefs", "must be empty with a RequestRedirect filter")
	}
	for i, ref := range rule.GetBackendRefs() {
		c.backendRef(index(path+".backendRefs", i), ref)
	}
	request := c.duration(path+".timeouts.request", rule.GetTimeouts().GetRequest())
	try := c.duration(path+".timeouts.backendRequest", rule.GetTimeouts().GetBackendRequest())
	if request != 0 && try > request {
		c.fail(path+".timeouts.backendRequest", "%s is longer than the request timeout %s",
			rule.GetTimeouts().GetBackendRequest(), rule.GetTimeouts().GetRequest())
	}
	if retry := rule.GetRetry(); retry != nil {
		for i, code := range retry.GetCodes() {
			c.between(index(path+".retry.codes", i), int64(code), 400, 599)
		}
		c.between(path+".retry.attempts", int64(retry.GetAttempts()), 0, 100)
		if backoff := c.duration(path+".retry.backoff", retry.GetBackoff()); retry.GetBackoff() != "" && backoff == 0 {
			c.fail(path+".retry.backoff", "must be longer than zero")
		}
	}
}

func (c *checker) match(path string, m *configv1.HTTPRouteMatch) {
	if p := m.GetPath(); p != nil {
		c.oneOf(path+".path.type", p.GetType(), "PathPrefix", "Exact", "RegularExpression")
		c.pathValue(path+".path.value", p)
	}
	if m.GetMethod() != "" {
		c.oneOf(path+".method", m.GetMethod(), http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
			http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, http.MethodPatch)
	}
	seen := map[string]bool{}
	for i, h := range m.GetHeaders() {
		at := index(path+".headers", i)
		if !isToken(h.GetName()) {
			c.fail(at+".name", "%s is not a header name", short(h.GetName()))
		}
		if name := strings.ToLower(h.GetName()); seen[name] {
			c.fail(at+".name", "%s is there twice", short(h.GetName()))
		} else {
			seen[name] = true
		}
		c.matchValue(at, h.GetType(), h.GetValue())
	}
	clear(seen)
	for i, q := range m.GetQueryParams() {
		at := index(path+".queryParams", i)
		if q.GetName() == "" || len(q.GetName()) > 256 {
			c.fail(at+".name", "%s must have 1 to 256 characters", short(q.GetName()))
		}
		if seen[q.GetName()] {
			c.fail(at+".name", "%s is there twice", short(q.GetName()))
		}
		seen[q.GetName()] = true
		c.matchValue(at, q.GetType(), q.GetValue())
	}
}

func (c *checker) matchValue(path, kind, value string) {
	c.oneOf(path+".type", kind, "Exact", "RegularExpression")
	if value == "" || len(value) > 4096 {
		c.fail(path+".value", "must have 1 to 4096 characters")
	} else if kind == "RegularExpression" {
		c.regex(path+".value", value)
	} else if !isFieldValue(value) {
		c.fail(path+".value", "%s has control characters", short(value))
	}
}

func (c *checker) regex(path, pattern string) {
	if _, err := regexp.Compile(pattern); err != nil {
		c.fail(path, "%s is not an RE2 regular expression: %s", short(pattern),
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// pathValue follows the rules of the Gateway API's HTTPPathMatch.
func (c *checker) pathValue(path string, p *configv1.HTTPPathMatch) {
	value := p.GetValue()
	if len(value) > 1024 {
		c.fail(path, "is longer than 1024 characters")
		return
	}
	if p.GetType() == "RegularExpression" {
		if value == "" {
			c.fail(path, "is missing, type RegularExpression needs it")
			return
		}
		c.regex(path, value)
		return
	}
	if value == "" {
		return
	}
	if !strings.HasPrefix(value, "/") {
		c.fail(path, "%s does not start with \"/\"", short(value))
	}
	for _, part := range []string{"//", "/./", "/../", "%2f", "%2F", "#", "?"} {
		if strings.Contains(value, part) {
			c.fail(path, "%s must not contain %q", short(value), part)
		}
	}
	if strings.HasSuffix(value, "/..") || strings.HasSuffix(value, "/.") {
		c.fail(path, "%s must not end with a dot segment", short(value))
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			c.fail(path, "%s has characters that a path cannot have", short(value))
			break
		}
	}
}

func (c *checker) backendRef(path string, ref *configv1.HTTPBackendRef) {
	if ref.GetGroup() != "" && ref.GetGroup() != hawserGroup {
		c.fail(path+".group", "%s is not supported (supported: \"\", %s)", short(ref.GetGroup()), hawserGroup)
	}
	c.oneOf(path+".kind", ref.GetKind(), Service)
	if ref.GetName() == "" {
		c.fail(path+".name", "is missing")
	}
	if ref.GetNamespace() != "" && ref.GetNamespace() != c.resource.GetMetadata().GetNamespace() {
		c.fail(path+".namespace", "%s is another namespace, which needs a ReferenceGrant; that is not supported",
			short(ref.GetNamespace()))
	}
	if ref.GetPort() == 0 {
		c.fail(path+".port", "is missing")
	} else {
		c.port(path+".port", ref.GetPort(), true)
	}
	if ref.Weight != nil {
		c.between(path+".weight", int64(ref.GetWeight()), 0, maxWeight)
	}
	c.filters(path+".filters", ref.GetFilters(), true)
}

// isFieldValue: RFC 9110 section 5.5, without obs-text's trouble: no control
// characters but tab.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
