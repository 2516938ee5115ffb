package resource

import (
	"net/netip"
	"strconv"
	"time"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Bounds of a Workload's ttl.
const (
	MinTTL = time.Second
	MaxTTL = 24 * time.Hour
)

func (c *checker) service(spec *configv1.ServiceSpec) {
	if n := len(spec.GetPorts()); n == 0 || n > 64 {
		c.fail("spec.ports", "has %d entries, must have 1 to 64", n)
	}
	names, numbers := map[string]bool{}, map[int32]bool{}
	for i, p := range spec.GetPorts() {
		at := index("spec.ports", i)
		c.port(at+".port", p.GetPort(), true)
		c.port(at+".targetPort", p.GetTargetPort(), false)
		c.oneOf(at+".protocol", p.GetProtocol(), "HTTP", "HTTP2", "TCP")
		if p.GetName() != "" && !isLabel(p.GetName()) {
			c.fail(at+".name", "%s is not a DNS label", short(p.GetName()))
		}
		if numbers[p.GetPort()] {
			c.fail(at+".port", "%d is there twice", p.GetPort())
		}
		if name := PortName(p); names[name] {
			c.fail(at+".name", "%s is there twice", short(name))
		}
		names[PortName(p)], numbers[p.GetPort()] = true, true
	}
	if len(spec.GetSelector()) == 0 {
		c.fail("spec.selector", "is empty; it must name labels of workloads")
	}
	for _, key := range sortedKeys(spec.GetSelector()) {
		if !isQualified(key) || !isLabelValue(spec.GetSelector()[key]) {
			c.fail("spec.selector."+key, "%s is not a label", short(key+"="+spec.GetSelector()[key]))
		}
	}
	c.oneOf("spec.loadBalancing", spec.GetLoadBalancing(), "LEAST_REQUEST", "ROUND_ROBIN", "RANDOM")
	c.positive("spec.connectTimeout", spec.GetConnectTimeout())
	if h := spec.GetHealthCheck(); h != nil {
		if h.GetHttpPath() != "" {
			c.pathValue("spec.healthCheck.httpPath", &configv1.HTTPPathMatch{Type: "Exact", Value: h.GetHttpPath()})
		}
		c.positive("spec.healthCheck.interval", h.GetInterval())
		c.positive("spec.healthCheck.timeout", h.GetTimeout())
		c.between("spec.healthCheck.unhealthyThreshold", int64(h.GetUnhealthyThreshold()), 0, 1000)
		c.between("spec.healthCheck.healthyThreshold", int64(h.GetHealthyThreshold()), 0, 1000)
	}
}

func (c *checker) positive(path, value string) {
	if d := c.duration(path, value); value != "" && d == 0 && len(c.violations) == 0 {
		c.fail(path, "must be longer than zero")
	}
}

// PortName is the name by which workloads know a Service's port.
func PortName(p *configv1.ServicePort) string {
	if p.GetName() != "" {
		return p.GetName()
	}
	return strconv.Itoa(int(p.GetPort()))
}

func (c *checker) workload(spec *configv1.WorkloadSpec) {
	if spec.GetAddress() == "" {
		c.fail("spec.address", "is missing")
	} else if a, err := netip.ParseAddr(spec.GetAddress()); err != nil || a.Zone() != "" {
		c.fail("spec.address", "%s is not an IP address", short(spec.GetAddress()))
	} else if a.IsUnspecified() || a.IsMulticast() {
		c.fail("spec.address", "%s cannot be connected to", short(spec.GetAddress()))
	}
	for _, name := range sortedKeys(spec.GetPorts()) {
		if !isLabel(name) {
			c.fail("spec.ports."+name, "is not a DNS label")
		}
		c.port("spec.ports."+name, spec.GetPorts()[name], true)
	}
	if spec.Weight != nil {
		c.between("spec.weight", int64(spec.GetWeight()), 1, 128)
	}
	c.oneOf("spec.health", spec.GetHealth(), "HEALTHY", "DRAINING", "UNHEALTHY")
	if ttl := c.duration("spec.ttl", spec.GetTtl()); spec.GetTtl() != "" && (ttl < MinTTL || ttl > MaxTTL) {
		c.fail("spec.ttl", "%s is not within %v to %v", short(spec.GetTtl()), MinTTL, MaxTTL)
	}
}
