package decode

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	getaddrinfov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/getaddrinfo/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// legacyDNS decodes the DNS fields of the cluster itself.
func (d *Decoder) legacyDNS(m *clusterv3.Cluster, p fieldpath.Path) (config.DNS, error) {
	c := config.DNS{
		RefreshRate: duration(m.GetDnsRefreshRate(), defaultDNSRefresh), RespectTTL: m.GetRespectDnsTtl(), Jitter: duration(m.GetDnsJitter(), 0),
		UseTCP: m.GetUseTcpForDnsLookups(),
	}
	if f := m.GetDnsFailureRefreshRate(); f != nil {
		c.FailureBase = f.GetBaseInterval().AsDuration()
		c.FailureMax = duration(f.GetMaxInterval(), 10*c.FailureBase)
	}
	switch m.GetDnsLookupFamily() {
	case clusterv3.Cluster_V4_ONLY:
		c.Family = config.DNSV4Only
	case clusterv3.Cluster_V6_ONLY:
		c.Family = config.DNSV6Only
	case clusterv3.Cluster_V4_PREFERRED:
		c.Family = config.DNSV4Preferred
	case clusterv3.Cluster_ALL:
		c.Family = config.DNSAll
	}
	return c, resolver(m.GetTypedDnsResolverConfig(), &c, p.Field("typed_dns_resolver_config"))
}

// dnsCluster decodes the envoy.clusters.dns extension.
func (d *Decoder) dnsCluster(m *dnsv3.DnsCluster, p fieldpath.Path) (config.DNS, error) {
	c := config.DNS{
		RefreshRate: duration(m.GetDnsRefreshRate(), defaultDNSRefresh), RespectTTL: m.GetRespectDnsTtl(), Jitter: duration(m.GetDnsJitter(), 0),
	}
	if f := m.GetDnsFailureRefreshRate(); f != nil {
		c.FailureBase = f.GetBaseInterval().AsDuration()
		c.FailureMax = duration(f.GetMaxInterval(), 10*c.FailureBase)
	}
	switch m.GetDnsLookupFamily() {
	case commondnsv3.DnsLookupFamily_V4_ONLY:
		c.Family = config.DNSV4Only
	case commondnsv3.DnsLookupFamily_V6_ONLY:
		c.Family = config.DNSV6Only
	case commondnsv3.DnsLookupFamily_V4_PREFERRED:
		c.Family = config.DNSV4Preferred
	case commondnsv3.DnsLookupFamily_ALL:
		c.Family = config.DNSAll
	}
	return c, resolver(m.GetTypedDnsResolverConfig(), &c, p.Field("typed_dns_resolver_config"))
}

// resolver decodes which resolver is used: ours takes the place of both of
// Envoy's.
func resolver(t *corev3.TypedExtensionConfig, c *config.DNS, p fieldpath.Path) error {
	if t == nil {
		return nil
	}
	a, at := t.GetTypedConfig(), p.Field("typed_config")
	switch a.MessageName() {
	case "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig":
		return support.Unpack(a, new(getaddrinfov3.GetAddrInfoDnsResolverConfig), at)
	case "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig":
		m := new(caresv3.CaresDnsResolverConfig)
		if err := support.Unpack(a, m, at); err != nil {
			return err
		}
		c.UseTCP = c.UseTCP || m.GetDnsResolverOptions().GetUseTcpForDnsLookups()
		return nil
	}
	return at.Errorf("Didn't find a registered implementation for '%s' with type URL: '%s'", t.GetName(), a.MessageName())
}
