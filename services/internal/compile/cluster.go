package compile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// ClusterName is the name of the cluster, and of its assignment, of a
// Service's port; for gRPC clients also that of listener and routes.
func ClusterName(namespace, name string, port int32) string {
	return fmt.Sprintf("%s%s/%s/%d", resource.ReservedPrefix, namespace, name, port)
}

// ads is the source "where this came from".
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func pack(m proto.Message) (*anypb.Any, error) {
	a := new(anypb.Any)
	err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true})
	return a, err
}

// add makes a resource and puts it into made.
func add(made map[outputKey]output, name string, m proto.Message, to audience, sources []*configv1.ResourceRef, refs ...xdsserver.Ref) error {
	r, err := xdsserver.NewResource(name, m, sources, refs...)
	if err != nil {
		return err
	}
	made[outputKey{r.Body.GetTypeUrl(), name}] = output{to, r}
	return nil
}

// compileClusters makes the clusters of a Service, in one form for proxies
// and one for gRPC clients, which know less.
func (m *Mesh) compileClusters(key resource.Key, changed *changeList) error {
	made, grpc := map[outputKey]output{}, map[outputKey]output{}
	if s := m.services[key]; s != nil {
		for _, p := range s.spec.GetPorts() {
			name := ClusterName(key.Namespace, key.Name, p.GetPort())
			c, err := cluster(name, s.spec, p)
			if err != nil {
				return err
			}
			refs := xdsserver.Ref{TypeURL: xdsserver.TypeEndpoint, Name: name}
			sources := []*configv1.ResourceRef{s.ref}
			if err := add(made, name, c, audience{grpc: notGRPC}, sources, refs); err != nil {
				return err
			}
			if err := add(grpc, name, grpcCluster(c), audience{grpc: onlyGRPC}, sources, refs); err != nil {
				return err
			}
		}
	}
	m.replace(unitKey{key, "clusters"}, made, changed)
	m.replace(unitKey{key, "grpc clusters"}, grpc, changed)
	return nil
}

// defaultConnectTimeout of a Service.
const defaultConnectTimeout = 5 * time.Second

func cluster(name string, spec *configv1.ServiceSpec, p *configv1.ServicePort) (*clusterv3.Cluster, error) {
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
		ConnectTimeout:       durationpb.New(duration(spec.GetConnectTimeout(), defaultConnectTimeout)),
		LbPolicy:             clusterv3.Cluster_LEAST_REQUEST,
		CircuitBreakers:      breakers(spec.GetCircuitBreaker()),
	}
	switch spec.GetLoadBalancing() {
	case "ROUND_ROBIN":
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	case "RANDOM":
		c.LbPolicy = clusterv3.Cluster_RANDOM
	}
	if h := spec.GetHealthCheck(); h != nil {
		c.HealthChecks = []*corev3.HealthCheck{healthCheck(h, p)}
		// A workload that was taken away is gone, whatever the checks say.
		c.IgnoreHealthOnHostRemoval = true
	}
	if p.GetProtocol() == "HTTP2" {
		options, err := pack(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}}}}})
		if err != nil {
			return nil, err
		}
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
	}
	return c, nil
}

// grpcCluster leaves what a gRPC client refuses: it has no RANDOM, and it
// does not check health this way.
func grpcCluster(c *clusterv3.Cluster) *clusterv3.Cluster {
	g := &clusterv3.Cluster{
		Name: c.GetName(), ClusterDiscoveryType: c.GetClusterDiscoveryType(), EdsClusterConfig: c.GetEdsClusterConfig(),
		LbPolicy: c.GetLbPolicy(), CircuitBreakers: c.GetCircuitBreakers(),
	}
	if g.LbPolicy == clusterv3.Cluster_RANDOM {
		g.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	}
	return g
}

func breakers(b *configv1.CircuitBreaker) *clusterv3.CircuitBreakers {
	if b == nil {
		return nil
	}
	value := func(v *uint32) *wrapperspb.UInt32Value {
		if v == nil {
			return nil
		}
		return wrapperspb.UInt32(*v)
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: value(b.MaxConnections), MaxPendingRequests: value(b.MaxPendingRequests),
		MaxRequests: value(b.MaxRequests), MaxRetries: value(b.MaxRetries),
	}}}
}

func healthCheck(h *configv1.ServiceHealthCheck, p *configv1.ServicePort) *corev3.HealthCheck {
	check := &corev3.HealthCheck{
		Timeout:            durationpb.New(duration(h.GetTimeout(), 2*time.Second)),
		Interval:           durationpb.New(duration(h.GetInterval(), 10*time.Second)),
		UnhealthyThreshold: wrapperspb.UInt32(uint32(cmp.Or(h.GetUnhealthyThreshold(), 2))),
		HealthyThreshold:   wrapperspb.UInt32(uint32(cmp.Or(h.GetHealthyThreshold(), 2))),
		HealthChecker:      &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
	}
	if h.GetHttpPath() != "" && p.GetProtocol() != "TCP" {
		http := &corev3.HealthCheck_HttpHealthCheck{Path: h.GetHttpPath()}
		if p.GetProtocol() == "HTTP2" {
			http.CodecClientType = typev3.CodecClientType_HTTP2
		}
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: http}
	}
	return check
}

// duration reads a duration that was checked; empty gives def.
func duration(text string, def time.Duration) time.Duration {
	if text == "" {
		return def
	}
	d, err := resource.ParseDuration(text)
	if err != nil {
		return def
	}
	return d
}

// maxSources bounds the workloads that stand behind an assignment in reports.
const maxSources = 100

// compileEndpoints makes the assignments of a Service.
func (m *Mesh) compileEndpoints(key resource.Key, changed *changeList) error {
	made := map[outputKey]output{}
	if s := m.services[key]; s != nil {
		sources := []*configv1.ResourceRef{s.ref}
		members := make([]*workload, 0, len(s.members))
		for _, k := range sortedKeys(s.members) {
			members = append(members, s.members[k])
			if len(sources) < maxSources {
				sources = append(sources, s.members[k].ref)
			}
		}
		for _, p := range s.spec.GetPorts() {
			name := ClusterName(key.Namespace, key.Name, p.GetPort())
			if err := add(made, name, assignment(name, p, members), audience{}, sources); err != nil {
				return err
			}
		}
	}
	m.replace(unitKey{key, "endpoints"}, made, changed)
	return nil
}

// assignment groups the endpoints by locality. A locality has the weight of
// its endpoints: gRPC clients leave out those without one, and with it the
// share of an endpoint is its own weight.
func assignment(name string, p *configv1.ServicePort, members []*workload) *endpointv3.ClusterLoadAssignment {
	a := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	type place struct{ region, zone, sub string }
	groups := map[place]*endpointv3.LocalityLbEndpoints{}
	var places []place
	group := func(l *configv1.Locality) *endpointv3.LocalityLbEndpoints {
		at := place{l.GetRegion(), l.GetZone(), l.GetSubZone()}
		if groups[at] == nil {
			groups[at] = &endpointv3.LocalityLbEndpoints{LoadBalancingWeight: wrapperspb.UInt32(0),
				Locality: &corev3.Locality{Region: at.region, Zone: at.zone, SubZone: at.sub}}
			places = append(places, at)
		}
		return groups[at]
	}
	type socket struct {
		host string
		port int32
	}
	seen := map[socket]bool{}
	for _, w := range members {
		at := socket{w.spec.GetAddress(), targetPort(p, w)}
		if seen[at] {
			continue // gRPC clients refuse an assignment that has one twice
		}
		seen[at] = true
		g := group(w.spec.GetLocality())
		e := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: socketAddress(at.host, uint32(at.port))}}}
		weight := uint32(1)
		if w.spec.Weight != nil {
			weight = w.spec.GetWeight()
			e.LoadBalancingWeight = wrapperspb.UInt32(weight)
		}
		switch w.spec.GetHealth() {
		case "DRAINING":
			e.HealthStatus = corev3.HealthStatus_DRAINING
		case "UNHEALTHY":
			e.HealthStatus = corev3.HealthStatus_UNHEALTHY
		}
		g.LoadBalancingWeight.Value += weight
		g.LbEndpoints = append(g.LbEndpoints, e)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.zone, b.zone), cmp.Compare(a.sub, b.sub))
	})
	for _, at := range places {
		a.Endpoints = append(a.Endpoints, groups[at])
	}
	return a
}

func targetPort(p *configv1.ServicePort, w *workload) int32 {
	if p.GetTargetPort() != 0 {
		return p.GetTargetPort()
	}
	if port, ok := w.spec.GetPorts()[resource.PortName(p)]; ok {
		return port
	}
	return p.GetPort()
}

func socketAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

// compileRaw passes an EnvoyResource on.
func (m *Mesh) compileRaw(key resource.Key, changed *changeList) error {
	made := map[outputKey]output{}
	if r := m.raw[key]; r != nil {
		to := audience{clusters: r.spec.GetProxies().GetClusters(), ids: r.spec.GetProxies().GetIds()}
		if err := add(made, r.name, r.message, to, []*configv1.ResourceRef{key.Ref()}); err != nil {
			return err
		}
	}
	m.replace(unitKey{key, ""}, made, changed)
	return nil
}
