package resource

import (
	"slices"
	"strings"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// filters checks the filters of a rule or, with fewer allowed, of a backend.
func (c *checker) filters(path string, filters []*configv1.HTTPRouteFilter, backend bool) {
	seen := map[string]bool{}
	for i, f := range filters {
		at := index(path, i)
		if f.GetType() == "" {
			c.fail(at+".type", "is missing")
			continue
		}
		c.oneOfSupported(at+".type", f.GetType(), []string{"RequestMirror", "CORS", "ExtensionRef", "ExternalAuth"},
			"RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")
		if seen[f.GetType()] {
			c.fail(at+".type", "%s is there twice", short(f.GetType()))
		}
		seen[f.GetType()] = true
		c.filterField(at, f)
		if backend && (f.GetRequestRedirect() != nil || f.GetUrlRewrite() != nil) {
			c.fail(at+".type", "%s is not supported in backendRefs", short(f.GetType()))
		}
		if m := f.GetRequestHeaderModifier(); m != nil {
			c.headerFilter(at+".requestHeaderModifier", m)
		}
		if m := f.GetResponseHeaderModifier(); m != nil {
			c.headerFilter(at+".responseHeaderModifier", m)
		}
		if r := f.GetRequestRedirect(); r != nil {
			c.redirect(at+".requestRedirect", r)
		}
		if r := f.GetUrlRewrite(); r != nil {
			if r.GetHostname() != "" {
				c.plainHostname(at+".urlRewrite.hostname", r.GetHostname())
			}
			c.pathModifier(at+".urlRewrite.path", r.GetPath())
		}
	}
	if seen["RequestRedirect"] && seen["URLRewrite"] {
		c.fail(path, "RequestRedirect and URLRewrite cannot be together")
	}
}

// filterField: the field named as the type is set, and only that.
func (c *checker) filterField(path string, f *configv1.HTTPRouteFilter) {
	for _, field := range []struct {
		kind, name string
		set        bool
	}{
		{"RequestHeaderModifier", "requestHeaderModifier", f.RequestHeaderModifier != nil},
		{"ResponseHeaderModifier", "responseHeaderModifier", f.ResponseHeaderModifier != nil},
		{"RequestRedirect", "requestRedirect", f.RequestRedirect != nil},
		{"URLRewrite", "urlRewrite", f.UrlRewrite != nil},
	} {
		switch {
		case field.kind == f.GetType() && !field.set:
			c.fail(path+"."+field.name, "is missing, type %s needs it", field.kind)
		case field.kind != f.GetType() && field.set:
			c.fail(path+"."+field.name, "must not be set with type %s", f.GetType())
		}
	}
}

func (c *checker) headerFilter(path string, f *configv1.HTTPHeaderFilter) {
	for list, headers := range map[string][]*configv1.HTTPHeader{".set": f.GetSet(), ".add": f.GetAdd()} {
		var seen []string
		for i, h := range headers {
			at := index(path+list, i)
			c.headerName(at+".name", h.GetName())
			if name := strings.ToLower(h.GetName()); slices.Contains(seen, name) {
				c.fail(at+".name", "%s is there twice", short(h.GetName()))
			} else {
				seen = append(seen, name)
			}
			if len(h.GetValue()) > 4096 || !isFieldValue(h.GetValue()) {
				c.fail(at+".value", "%s is not a header value", short(h.GetValue()))
			}
		}
	}
	for i, name := range f.GetRemove() {
		c.headerName(index(path+".remove", i), name)
	}
}

// headerName: the proxies refuse to change Host and pseudo-headers this way
// (Envoy: config.core.v3.HeaderValueOption, request_headers_to_remove).
func (c *checker) headerName(path, name string) {
	if !isToken(name) {
		c.fail(path, "%s is not a header name", short(name))
	} else if strings.EqualFold(name, "host") {
		c.fail(path, "Host cannot be changed by a header filter; use URLRewrite.hostname")
	}
}

func (c *checker) redirect(path string, r *configv1.HTTPRequestRedirectFilter) {
	c.oneOf(path+".scheme", r.GetScheme(), "http", "https")
	if r.GetHostname() != "" {
		c.plainHostname(path+".hostname", r.GetHostname())
	}
	c.port(path+".port", r.GetPort(), false)
	if code := r.GetStatusCode(); code != 0 && !slices.Contains([]int32{301, 302, 303, 307, 308}, code) {
		c.fail(path+".statusCode", "%d is not one of 301, 302, 303, 307, 308", code)
	}
	c.pathModifier(path+".path", r.GetPath())
}

func (c *checker) plainHostname(path, host string) {
	if strings.HasPrefix(host, "*") {
		c.fail(path, "%s must not have a wildcard", short(host))
		return
	}
	c.hostname(path, host)
}

func (c *checker) pathModifier(path string, m *configv1.HTTPPathModifier) {
	if m == nil {
		return
	}
	if m.GetType() == "" {
		c.fail(path+".type", "is missing (ReplaceFullPath or ReplacePrefixMatch)")
		return
	}
	c.oneOf(path+".type", m.GetType(), "ReplaceFullPath", "ReplacePrefixMatch")
	for _, field := range []struct {
		kind, name string
		value      *string
	}{
		{"ReplaceFullPath", "replaceFullPath", m.ReplaceFullPath},
		{"ReplacePrefixMatch", "replacePrefixMatch", m.ReplacePrefixMatch},
	} {
		at := path + "." + field.name
		switch {
		case field.kind == m.GetType() && field.value == nil:
			c.fail(at, "is missing, type %s needs it", field.kind)
		case field.kind != m.GetType() && field.value != nil:
			c.fail(at, "must not be set with type %s", m.GetType())
		case field.value != nil:
			c.replacement(at, *field.value)
		}
	}
}

func (c *checker) replacement(path, value string) {
	if len(value) > 1024 || value != "" && !strings.HasPrefix(value, "/") || strings.ContainsAny(value, "?#") {
		c.fail(path, "%s is not a path", short(value))
		return
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			c.fail(path, "%s has characters that a path cannot have", short(value))
			return
		}
	}
}

// prefixRewrite: ReplacePrefixMatch is defined for path prefixes only; as in
// the Gateway API a rule with it has one match, of that type.
func (c *checker) prefixRewrite(path string, rule *configv1.HTTPRouteRule) {
	for i, f := range rule.GetFilters() {
		at := index(path+".filters", i)
		switch {
		case f.GetUrlRewrite().GetPath().GetType() == "ReplacePrefixMatch":
			at += ".urlRewrite.path.type"
		case f.GetRequestRedirect().GetPath().GetType() == "ReplacePrefixMatch":
			at += ".requestRedirect.path.type"
		default:
			continue
		}
		for _, m := range rule.GetMatches() {
			if kind := m.GetPath().GetType(); kind != "" && kind != "PathPrefix" {
				c.fail(at, "ReplacePrefixMatch needs path matches of type PathPrefix, not %s", kind)
				break
			}
		}
		if len(rule.GetMatches()) > 1 {
			c.fail(at, "ReplacePrefixMatch needs exactly one match, there are %d", len(rule.GetMatches()))
		}
	}
}
