package decode

import (
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// assignment decodes a ClusterLoadAssignment that is checked already. names
// says whether endpoints may be DNS names.
func assignment(m *endpointv3.ClusterLoadAssignment, names bool, p fieldpath.Path) (*config.Assignment, error) {
	a := &config.Assignment{ClusterName: m.GetClusterName(), Policy: config.AssignmentPolicy{
		Overprovisioning: u32(m.GetPolicy().GetOverprovisioningFactor(), defaultOverprovision),
		StaleAfter:       duration(m.GetPolicy().GetEndpointStaleAfter(), 0),
		WeightedPriority: m.GetPolicy().GetWeightedPriorityHealth(),
	}}
	for _, o := range m.GetPolicy().GetDropOverloads() {
		f := o.GetDropPercentage()
		a.Policy.Drops = append(a.Policy.Drops, config.Drop{
			Category: o.GetCategory(), Share: min(1, float64(f.GetNumerator())/float64(denominator(f.GetDenominator()))),
		})
	}
	for i, l := range m.GetEndpoints() {
		at := p.Field("endpoints").Index(i)
		out := config.LocalityEndpoints{
			Locality: locality(l.GetLocality()), Weight: u32(l.GetLoadBalancingWeight(), 0), Priority: l.GetPriority(), Metadata: metadata(l.GetMetadata()),
		}
		for j, e := range l.GetLbEndpoints() {
			x, err := endpoint(e, names, at.Field("lb_endpoints").Index(j))
			if err != nil {
				return nil, err
			}
			out.Endpoints = append(out.Endpoints, x)
		}
		a.Localities = append(a.Localities, out)
	}
	return a, nil
}

var healthStates = map[corev3.HealthStatus]config.Health{
	corev3.HealthStatus_UNKNOWN: config.HealthUnknown, corev3.HealthStatus_HEALTHY: config.HealthHealthy,
	corev3.HealthStatus_UNHEALTHY: config.HealthUnhealthy, corev3.HealthStatus_DRAINING: config.HealthDraining,
	corev3.HealthStatus_TIMEOUT: config.HealthTimeout, corev3.HealthStatus_DEGRADED: config.HealthDegraded,
}

func endpoint(m *endpointv3.LbEndpoint, names bool, p fieldpath.Path) (config.Endpoint, error) {
	x := m.GetEndpoint()
	e := config.Endpoint{
		Hostname: x.GetHostname(), Weight: u32(m.GetLoadBalancingWeight(), 1), Health: healthStates[m.GetHealthStatus()],
		Metadata: metadata(m.GetMetadata()),
		HealthCheck: config.EndpointHealthCheck{
			Port: uint16(x.GetHealthCheckConfig().GetPortValue()), Hostname: x.GetHealthCheckConfig().GetHostname(),
			Disabled: x.GetHealthCheckConfig().GetDisableActiveHealthCheck(),
		},
	}
	var err error
	at := p.Field("endpoint.address")
	if e.Address, e.Host, e.Port, err = anyAddress(x.GetAddress(), at); err != nil {
		return e, err
	}
	if e.Host == "" {
		e.Port = 0
	} else if !names {
		_, err := ipAddress(x.GetAddress(), at)
		return e, err
	}
	if h := x.GetHealthCheckConfig().GetAddress(); h != nil {
		if e.HealthCheck.Address, err = ipAddress(h, p.Field("endpoint.health_check_config.address")); err != nil {
			return e, err
		}
	}
	return e, nil
}
