package decode

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Cluster decodes a Cluster of CDS.
func (d *Decoder) Cluster(a *anypb.Any, version string) (*config.Cluster, error) {
	m, p := new(clusterv3.Cluster), fieldpath.Path{}
	hash, raw, err := d.resource(a, m, p)
	if err != nil {
		return nil, err
	}
	c, err := d.cluster(m, p)
	if err != nil {
		return nil, err
	}
	c.AddedViaAPI, c.Version, c.Hash, c.Raw = true, version, hash, raw
	return c, nil
}

// StaticClusters decodes the clusters of the bootstrap.
func (d *Decoder) StaticClusters(b *Bootstrap) ([]*config.Cluster, error) {
	var out []*config.Cluster
	names := map[string]bool{}
	for i, m := range b.Message.GetStaticResources().GetClusters() {
		p := fieldpath.New("static_resources").Field("clusters").Index(i)
		if names[m.GetName()] {
			return nil, p.Field("name").Errorf("cluster manager: duplicate cluster '%s'", m.GetName())
		}
		names[m.GetName()] = true
		c, err := d.cluster(m, p)
		if err != nil {
			return nil, err
		}
		c.Static = true
		if c.Hash, c.Raw, err = hashOf(m); err != nil {
			return nil, p.Wrap(err)
		}
		out = append(out, c)
	}
	return out, nil
}

func (d *Decoder) cluster(m *clusterv3.Cluster, p fieldpath.Path) (*config.Cluster, error) {
	c := &config.Cluster{
		Name: m.GetName(), StatName: m.GetAltStatName(),
		ConnectTimeout: duration(m.GetConnectTimeout(), defaultConnectTimeout),
		BufferLimit:    u32(m.GetPerConnectionBufferLimitBytes(), defaultBufferLimit),
		Metadata:       metadata(m.GetMetadata()), CloseOnHealthFailure: m.GetCloseConnectionsOnHostHealthFailure(),
		DrainOnRemoval: m.GetIgnoreHealthOnHostRemoval(), PerUpstreamPreconnect: 1, WarmingWait: true,
		MaxRequestsPerConnection: u32(m.GetMaxRequestsPerConnection(), 0), //nolint:staticcheck // still in use
	}
	if c.StatName == "" {
		c.StatName = c.Name
	}
	if c.ConnectTimeout <= 0 {
		return nil, p.Field("connect_timeout").Errorf("must be greater than 0s")
	}
	for _, step := range []func(*clusterv3.Cluster, *config.Cluster, fieldpath.Path) error{
		d.discovery, d.hosts, d.balancer, d.breakers, d.healthChecks, d.protocol, d.sockets, d.bindTo,
	} {
		if err := step(m, c, p); err != nil {
			return nil, err
		}
	}
	if len(c.HealthChecks) > 0 && c.HealthChecks[0].GRPC != nil && c.Protocol.Mode != config.ExplicitHTTP2 && c.Protocol.Mode != config.AutoALPN {
		return nil, p.Field("health_checks").Index(0).Errorf("%s cluster must support HTTP/2 for gRPC healthchecking", c.Name)
	}
	return c, nil
}

func (d *Decoder) bindTo(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	b, err := bindConfig(m.GetUpstreamBindConfig(), p.Field("upstream_bind_config"))
	if c.SourceAddress = b.addr; !b.given {
		c.SourceAddress = d.deps.SourceAddress
	}
	return err
}

// discovery decodes how hosts are found.
func (d *Decoder) discovery(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	dns, err := d.legacyDNS(m, p)
	if err != nil {
		return err
	}
	switch k := m.GetClusterDiscoveryType().(type) {
	case *clusterv3.Cluster_ClusterType:
		return d.clusterType(k.ClusterType, dns, m, c, p.Field("cluster_type"))
	case *clusterv3.Cluster_Type:
		switch k.Type {
		case clusterv3.Cluster_STRICT_DNS:
			c.Discovery, c.DNS = config.StrictDNS, dns
		case clusterv3.Cluster_LOGICAL_DNS:
			c.Discovery, c.DNS = config.LogicalDNS, dns
		case clusterv3.Cluster_EDS:
			return d.eds(m, c, p)
		case clusterv3.Cluster_ORIGINAL_DST:
			return p.Field("type").Errorf("the value ORIGINAL_DST is not supported")
		}
	}
	if m.GetEdsClusterConfig() != nil && c.Discovery != config.EDS {
		return p.Field("eds_cluster_config").Errorf("cannot be set in a non-EDS cluster")
	}
	return nil
}

func (d *Decoder) clusterType(k *clusterv3.Cluster_CustomClusterType, dns config.DNS, m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	switch k.GetName() {
	case "envoy.cluster.static":
	case "envoy.cluster.strict_dns":
		c.Discovery, c.DNS = config.StrictDNS, dns
	case "envoy.cluster.logical_dns":
		c.Discovery, c.DNS = config.LogicalDNS, dns
	case "envoy.cluster.eds":
		return d.eds(m, c, p)
	default:
		if k.GetTypedConfig().MessageName() != "envoy.extensions.clusters.dns.v3.DnsCluster" {
			return p.Errorf("Didn't find a registered cluster factory implementation for name: '%s'", k.GetName())
		}
		t := new(dnsv3.DnsCluster)
		at := p.Field("typed_config")
		if err := support.Unpack(k.GetTypedConfig(), t, at); err != nil {
			return err
		}
		var err error
		if c.DNS, err = d.dnsCluster(t, at); err != nil {
			return err
		}
		c.Discovery = config.StrictDNS
		if t.GetAllAddressesInSingleEndpoint() {
			c.Discovery = config.LogicalDNS
		}
	}
	return nil
}

func (d *Decoder) eds(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	c.Discovery, c.EDSName = config.EDS, c.Name
	e := m.GetEdsClusterConfig()
	if e == nil || e.GetEdsConfig() == nil {
		return p.Field("eds_cluster_config").Errorf("cannot create an EDS cluster without an EDS config")
	}
	if e.GetServiceName() != "" {
		c.EDSName = e.GetServiceName()
	}
	s, err := Source(e.GetEdsConfig(), p.Field("eds_cluster_config.eds_config"))
	c.EDSSource = s
	return err
}

// hosts decodes load_assignment.
func (d *Decoder) hosts(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	at := p.Field("load_assignment")
	if c.Discovery == config.EDS {
		if m.GetLoadAssignment() != nil {
			return at.Errorf("cannot be set in an EDS cluster")
		}
		return nil
	}
	if m.GetLoadAssignment() == nil {
		return at.Errorf("is required in a STATIC, STRICT_DNS or LOGICAL_DNS cluster")
	}
	names := c.Discovery != config.Static
	a, err := assignment(m.GetLoadAssignment(), names, at)
	if err != nil {
		return err
	}
	c.Assignment = a
	if c.Discovery == config.LogicalDNS && (len(a.Localities) != 1 || len(a.Localities[0].Endpoints) != 1) {
		return at.Errorf("LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint")
	}
	return nil
}

// sockets decodes how connections are encrypted.
func (d *Decoder) sockets(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) (err error) {
	if c.Transport, err = d.upstreamSocket(m.GetTransportSocket(), c.Name, p.Field("transport_socket")); err != nil {
		return err
	}
	for i, x := range m.GetTransportSocketMatches() {
		at := p.Field("transport_socket_matches").Index(i)
		t := config.TransportMatch{Name: x.GetName(), Match: x.GetMatch().AsMap()}
		if t.Transport, err = d.upstreamSocket(x.GetTransportSocket(), c.Name, at.Field("transport_socket")); err != nil {
			return err
		}
		c.Matches = append(c.Matches, t)
	}
	return nil
}

// rawBuffer is the message of plaintext sockets, which need no factory.
const rawBuffer = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"

func isPlain(s *corev3.TransportSocket) bool {
	if s.GetTypedConfig() == nil {
		return s.GetName() == "" || s.GetName() == "envoy.transport_sockets.raw_buffer" || s.GetName() == "raw_buffer"
	}
	return string(s.GetTypedConfig().MessageName()) == rawBuffer
}

func (d *Decoder) upstreamSocket(s *corev3.TransportSocket, cluster string, p fieldpath.Path) (any, error) {
	if isPlain(s) {
		return nil, nil
	}
	return d.build(d.deps.Registry.TransportSocketUp, s.GetName(), s.GetTypedConfig(), Context{StatPrefix: cluster, Upstream: true}, p.Field("typed_config"))
}

// Assignment decodes a ClusterLoadAssignment of EDS.
func (d *Decoder) Assignment(a *anypb.Any, version string) (*config.Assignment, error) {
	m, p := new(endpointv3.ClusterLoadAssignment), fieldpath.Path{}
	hash, raw, err := d.resource(a, m, p)
	if err != nil {
		return nil, err
	}
	out, err := assignment(m, false, p)
	if err != nil {
		return nil, err
	}
	out.Hash, out.Version, out.Raw = hash, version, raw
	return out, nil
}
