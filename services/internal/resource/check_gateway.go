package resource

import (
	"fmt"
	"slices"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// maxListeners of one Gateway, as in the Gateway API.
const maxListeners = 64

func (c *checker) gateway(spec *configv1.GatewaySpec) {
	if spec.GetGatewayClassName() == "" {
		c.fail("spec.gatewayClassName", "is missing")
	}
	if n := len(spec.GetListeners()); n == 0 || n > maxListeners {
		c.fail("spec.listeners", "has %d entries, must have 1 to %d", n, maxListeners)
	}
	names := map[string]bool{}
	for i, l := range spec.GetListeners() {
		path := index("spec.listeners", i)
		if !isSubdomain(l.GetName()) {
			c.fail(path+".name", "%s is not a DNS subdomain", short(l.GetName()))
		} else if names[l.GetName()] {
			c.fail(path+".name", "%s is there twice", short(l.GetName()))
		}
		names[l.GetName()] = true
		c.listener(path, l)
		for j, other := range spec.GetListeners()[:i] {
			if reason := ListenerConflict(l, other); reason != "" {
				c.fail(path, "%s as %s", reason, index("spec.listeners", j))
			}
		}
	}
	for i, cluster := range ProxyClusters(c.resource) {
		if slices.Contains(ProxyClusters(c.resource)[:i], cluster) {
			c.fail("metadata.annotations."+ProxyClustersAnnotation, "%s is there twice", short(cluster))
		}
	}
}

// ListenerConflict tells why two listeners cannot be served by one proxy;
// empty if they can. A port has one protocol, and a host name is told apart
// by nothing else.
func ListenerConflict(a, b *configv1.GatewayListener) string {
	switch {
	case a.GetPort() != b.GetPort():
		return ""
	case a.GetProtocol() != b.GetProtocol():
		return fmt.Sprintf("port %d has another protocol (%s)", a.GetPort(), b.GetProtocol())
	case a.GetHostname() == b.GetHostname():
		return fmt.Sprintf("port %d has the same hostname %s", a.GetPort(), short(a.GetHostname()))
	}
	return ""
}

func (c *checker) listener(path string, l *configv1.GatewayListener) {
	if l.GetHostname() != "" {
		c.hostname(path+".hostname", l.GetHostname())
	}
	c.port(path+".port", l.GetPort(), true)
	switch l.GetProtocol() {
	case "":
		c.fail(path+".protocol", "is missing (HTTP or HTTPS)")
	case "HTTP":
		if l.Tls != nil {
			c.fail(path+".tls", "must not be set with protocol HTTP")
		}
	case "HTTPS":
		if l.Tls == nil {
			c.fail(path+".tls", "is missing, protocol HTTPS needs it")
		} else {
			c.listenerTLS(path+".tls", l.GetTls())
		}
	default:
		c.oneOfSupported(path+".protocol", l.GetProtocol(), []string{"TLS", "TCP", "UDP"}, "HTTP", "HTTPS")
	}
	allowed := l.GetAllowedRoutes()
	c.oneOfSupported(path+".allowedRoutes.namespaces.from", allowed.GetNamespaces().GetFrom(),
		[]string{"Selector", "None"}, "Same", "All")
	for i, k := range allowed.GetKinds() {
		at := index(path+".allowedRoutes.kinds", i)
		if k.GetGroup() != "" && k.GetGroup() != gatewayGroup {
			c.fail(at+".group", "%s is not supported (supported: %s)", short(k.GetGroup()), gatewayGroup)
		}
		c.oneOfSupported(at+".kind", k.GetKind(), []string{"GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"}, HTTPRoute)
	}
}

func (c *checker) listenerTLS(path string, tls *configv1.GatewayTLS) {
	c.oneOfSupported(path+".mode", tls.GetMode(), []string{"Passthrough"}, "Terminate")
	if len(tls.GetCertificateRefs()) == 0 {
		c.fail(path+".certificateRefs", "is empty")
	}
	for i, ref := range tls.GetCertificateRefs() {
		at := index(path+".certificateRefs", i)
		if ref.GetGroup() != "" && ref.GetGroup() != hawserGroup {
			c.fail(at+".group", "%s is not supported", short(ref.GetGroup()))
		}
		c.oneOf(at+".kind", ref.GetKind(), "Secret", EnvoyResource)
		if ref.GetName() == "" {
			c.fail(at+".name", "is missing")
		}
		if ref.GetNamespace() != "" && ref.GetNamespace() != c.resource.GetMetadata().GetNamespace() {
			c.fail(at+".namespace", "%s is another namespace, which needs a ReferenceGrant; that is not supported",
				short(ref.GetNamespace()))
		}
	}
}

const (
	gatewayGroup = "gateway.networking.k8s.io"
	hawserGroup  = "hawser.dev"
)
