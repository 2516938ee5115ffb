package resource

import (
	"fmt"
	"slices"
	"strings"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Lookup gives the resources that there will be once the change set is
// committed; ok is false where there is none.
type Lookup func(Key) (r *configv1.Resource, ok bool, err error)

// Link is a reference from one resource to another.
type Link struct {
	Path string
	To   Key
}

// Links lists what a resource that Check accepted refers to.
func Links(r *configv1.Resource) []Link {
	spec, bad := Decode(r)
	if len(bad) > 0 {
		return nil
	}
	var links []Link
	add := func(path, kind, namespace, name string) {
		if namespace == "" {
			namespace = r.GetMetadata().GetNamespace()
		}
		links = append(links, Link{path, Key{kind, namespace, name}})
	}
	switch spec := spec.(type) {
	case *configv1.GatewaySpec:
		for i, l := range spec.GetListeners() {
			for j, ref := range l.GetTls().GetCertificateRefs() {
				path := index(index("spec.listeners", i)+".tls.certificateRefs", j)
				add(path, EnvoyResource, ref.GetNamespace(), ref.GetName())
			}
		}
	case *configv1.HTTPRouteSpec:
		for i, ref := range spec.GetParentRefs() {
			kind := Gateway
			if ref.GetKind() == Service {
				kind = Service
			}
			add(index("spec.parentRefs", i), kind, ref.GetNamespace(), ref.GetName())
		}
		for i, rule := range spec.GetRules() {
			for j, ref := range rule.GetBackendRefs() {
				add(index(index("spec.rules", i)+".backendRefs", j), Service, ref.GetNamespace(), ref.GetName())
			}
		}
	}
	return links
}

// CheckLinks finds the references of a resource, which Check accepted, that
// lead nowhere or to something that does not fit.
func CheckLinks(r *configv1.Resource, lookup Lookup) (Violations, error) {
	c := &linkChecker{checker: checker{resource: r}, lookup: lookup}
	spec, bad := Decode(r)
	if len(bad) > 0 {
		return bad, nil
	}
	links := Links(r)
	switch spec := spec.(type) {
	case *configv1.GatewaySpec:
		for _, link := range links {
			c.secret(link)
		}
	case *configv1.HTTPRouteSpec:
		for i, ref := range spec.GetParentRefs() {
			if ref.GetKind() == Service {
				c.servicePort(links[i], ref.GetPort(), ".port")
			} else {
				c.gatewayParent(links[i], ref, spec)
			}
		}
		next := len(spec.GetParentRefs())
		for _, rule := range spec.GetRules() {
			for _, ref := range rule.GetBackendRefs() {
				c.servicePort(links[next], ref.GetPort(), ".port")
				next++
			}
		}
	}
	for i := range c.violations {
		c.violations[i].Field = KeyOf(r).String() + ": " + c.violations[i].Field
	}
	return c.violations, c.err
}

type linkChecker struct {
	checker
	lookup Lookup
	err    error
}

// target finds what a link leads to.
func (c *linkChecker) target(link Link) *configv1.Resource {
	r, ok, err := c.lookup(link.To)
	if err != nil {
		c.err = err
		return nil
	}
	if !ok {
		c.fail(link.Path+".name", "there is no %s", link.To)
		return nil
	}
	return r
}

func (c *linkChecker) secret(link Link) {
	r := c.target(link)
	if r == nil {
		return
	}
	spec, _ := Decode(r)
	envoy := spec.(*configv1.EnvoyResourceSpec)
	if envoy.GetType() != TypeSecret {
		c.fail(link.Path+".name", "%s is a %s, not a SECRET", link.To, envoy.GetType())
		return
	}
	if envoy.GetResource().GetFields()["tls_certificate"] == nil && envoy.GetResource().GetFields()["tlsCertificate"] == nil {
		c.fail(link.Path+".name", "%s has no tls_certificate", link.To)
	}
}

func (c *linkChecker) servicePort(link Link, port int32, field string) {
	r := c.target(link)
	if r == nil {
		return
	}
	spec, _ := Decode(r)
	var ports []string
	for _, p := range spec.(*configv1.ServiceSpec).GetPorts() {
		ports = append(ports, fmt.Sprint(p.GetPort()))
		if port == 0 || p.GetPort() == port {
			if p.GetProtocol() == "TCP" && port != 0 {
				c.fail(link.Path+field, "port %d of %s is TCP, which an HTTPRoute cannot use", port, link.To)
			}
			return
		}
	}
	c.fail(link.Path+field, "%s has no port %d (it has %s)", link.To, port, strings.Join(ports, ", "))
}

func (c *linkChecker) gatewayParent(link Link, ref *configv1.ParentRef, route *configv1.HTTPRouteSpec) {
	r := c.target(link)
	if r == nil {
		return
	}
	spec, _ := Decode(r)
	listeners := spec.(*configv1.GatewaySpec).GetListeners()
	listeners = slices.DeleteFunc(slices.Clone(listeners), func(l *configv1.GatewayListener) bool {
		return ref.GetSectionName() != "" && l.GetName() != ref.GetSectionName()
	})
	if len(listeners) == 0 {
		c.fail(link.Path+".sectionName", "%s has no listener %s", link.To, short(ref.GetSectionName()))
		return
	}
	listeners = slices.DeleteFunc(listeners, func(l *configv1.GatewayListener) bool {
		return ref.GetPort() != 0 && l.GetPort() != ref.GetPort()
	})
	if len(listeners) == 0 {
		c.fail(link.Path+".port", "%s has no such listener on port %d", link.To, ref.GetPort())
		return
	}
	listeners = slices.DeleteFunc(listeners, func(l *configv1.GatewayListener) bool {
		return l.GetAllowedRoutes().GetNamespaces().GetFrom() != "All" && link.To.Namespace != c.resource.GetMetadata().GetNamespace()
	})
	if len(listeners) == 0 {
		c.fail(link.Path+".namespace", "%s does not allow routes of namespace %s (allowedRoutes.namespaces.from)",
			link.To, c.resource.GetMetadata().GetNamespace())
		return
	}
	if len(route.GetHostnames()) == 0 {
		return
	}
	for _, l := range listeners {
		for _, host := range route.GetHostnames() {
			if HostnamesMeet(l.GetHostname(), host) {
				return
			}
		}
	}
	c.fail("spec.hostnames", "none is within the hostnames of the listeners of %s", link.To)
}

// HostnamesMeet tells whether some host name is matched by both; empty
// matches all, "*.example.com" all that end in ".example.com".
func HostnamesMeet(a, b string) bool {
	covers := func(wild, name string) bool {
		suffix, ok := strings.CutPrefix(wild, "*")
		return ok && strings.HasSuffix(name, suffix) && name != suffix
	}
	return a == "" || b == "" || a == b || covers(a, b) || covers(b, a)
}

// GatewayConflicts finds listeners of a Gateway that no proxy could serve
// beside those of another.
func GatewayConflicts(r, other *configv1.Resource) Violations {
	if KeyOf(r) == KeyOf(other) || !meet(ProxyClusters(r), ProxyClusters(other)) {
		return nil
	}
	a, _ := Decode(r)
	b, _ := Decode(other)
	var bad Violations
	for i, l := range a.(*configv1.GatewaySpec).GetListeners() {
		for _, o := range b.(*configv1.GatewaySpec).GetListeners() {
			if reason := ListenerConflict(l, o); reason != "" {
				bad = append(bad, Violation{
					Field:   KeyOf(r).String() + ": " + index("spec.listeners", i),
					Message: fmt.Sprintf("%s in %s (listener %s)", reason, KeyOf(other), o.GetName()),
				})
			}
		}
	}
	return bad
}
