package decode

import (
	"net"
	"strconv"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/runtime"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Bootstrap is envoy.config.bootstrap.v3.Bootstrap, but for its listeners and
// clusters, which are decoded when what they need is there.
type Bootstrap struct {
	Message *bootstrapv3.Bootstrap
	Node    *corev3.Node // with what the command line overrides
	Admin   *Admin       // nil: no administration
	// Listeners are the messages for Decoder.Listener.
	Listeners []*anypb.Any
	index     []int // of each listener in static_resources
	// ADS, CDS and LDS are dynamic_resources; nil: not there.
	ADS      *config.GRPCSource
	CDS, LDS *config.Source
	Runtime  []runtime.LayerConfig
	Stats    Stats
	// SourceAddress is cluster_manager.upstream_bind_config.
	SourceAddress address.Address
	// UseTCPForDNS is for every lookup.
	UseTCPForDNS bool
}

// Admin is the administration interface.
type Admin struct {
	Address     address.Address
	SocketMode  uint32
	ProfilePath string
	AllowPaths  []matcher.String // none: every path
}

// Overrides are what the command line says over the bootstrap.
type Overrides struct{ ServiceNode, ServiceCluster, ServiceZone string }

// defaultProfile is where /cpuprofiler writes.
const defaultProfile = "/var/log/envoy/envoy.prof"

// ReadBootstrap checks and decodes a bootstrap whose messages keep their rules.
func ReadBootstrap(m *bootstrapv3.Bootstrap, o Overrides) (*Bootstrap, error) {
	p := fieldpath.Path{}
	if err := support.Check(m, p); err != nil {
		return nil, err
	}
	b := &Bootstrap{Message: m, Node: node(m.GetNode(), o), UseTCPForDNS: m.GetUseTcpForDnsLookups()}
	for _, step := range []func(*bootstrapv3.Bootstrap, fieldpath.Path) error{b.admin, b.dynamic, b.runtime, b.stats, b.upstream, b.listeners} {
		if err := step(m, p); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func node(n *corev3.Node, o Overrides) *corev3.Node {
	n = proto.CloneOf(n)
	if n == nil {
		n = new(corev3.Node)
	}
	if o.ServiceNode != "" {
		n.Id = o.ServiceNode
	}
	if o.ServiceCluster != "" {
		n.Cluster = o.ServiceCluster
	}
	if o.ServiceZone != "" {
		if n.Locality == nil {
			n.Locality = new(corev3.Locality)
		}
		n.Locality.Zone = o.ServiceZone
	}
	return n
}

func (b *Bootstrap) admin(m *bootstrapv3.Bootstrap, p fieldpath.Path) error {
	a := m.GetAdmin()
	if a.GetAddress() == nil {
		return nil
	}
	p = p.Field("admin")
	out := &Admin{ProfilePath: a.GetProfilePath(), SocketMode: a.GetAddress().GetPipe().GetMode()}
	if out.ProfilePath == "" {
		out.ProfilePath = defaultProfile
	}
	var err error
	if out.Address, err = ipAddress(a.GetAddress(), p.Field("address")); err != nil {
		return err
	}
	for i, x := range a.GetAllowPaths() {
		s, err := matcher.DecodeString(x, p.Field("allow_paths").Index(i))
		if err != nil {
			return err
		}
		out.AllowPaths = append(out.AllowPaths, s)
	}
	b.Admin = out
	return nil
}

// AdminLogs builds the access loggers of the administration interface.
func (d *Decoder) AdminLogs(b *Bootstrap) ([]streaminfo.Logger, error) {
	a := b.Message.GetAdmin()
	p := fieldpath.New("admin")
	logs, err := d.accessLogs(a.GetAccessLog(), Context{StatPrefix: "admin", Static: true}, p.Field("access_log"))
	if err != nil || a.GetAccessLogPath() == "" { //nolint:staticcheck // still in use
		return logs, err
	}
	l, err := d.deps.AdminLog(a.GetAccessLogPath()) //nolint:staticcheck // the same
	if err != nil {
		return nil, p.Field("access_log_path").Wrap(err)
	}
	return append(logs, l), nil
}

func (b *Bootstrap) dynamic(m *bootstrapv3.Bootstrap, p fieldpath.Path) (err error) {
	dyn := m.GetDynamicResources()
	if dyn == nil {
		return nil
	}
	p = p.Field("dynamic_resources")
	if a := dyn.GetAdsConfig(); a != nil {
		if b.ADS, err = GRPCSource(a, p.Field("ads_config")); err != nil {
			return err
		}
	}
	if c := dyn.GetCdsConfig(); c != nil {
		if b.CDS, err = Source(c, p.Field("cds_config")); err != nil {
			return err
		}
	}
	if c := dyn.GetLdsConfig(); c != nil {
		if b.LDS, err = Source(c, p.Field("lds_config")); err != nil {
			return err
		}
	}
	uses := func(s *config.Source) bool { return s != nil && s.Kind == config.SourceADS }
	switch {
	case b.ADS == nil && uses(b.CDS):
		return p.Field("cds_config").Errorf("ads is named as a source, but there is no ads_config")
	case b.ADS == nil && uses(b.LDS):
		return p.Field("lds_config").Errorf("ads is named as a source, but there is no ads_config")
	}
	remote := func(s *config.Source) bool { return s != nil && s.Kind != config.SourcePath }
	if (b.ADS != nil || remote(b.CDS) || remote(b.LDS)) && (b.Node.GetId() == "" || b.Node.GetCluster() == "") {
		return p.Errorf("node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and --service-cluster options")
	}
	return nil
}

func (b *Bootstrap) runtime(m *bootstrapv3.Bootstrap, p fieldpath.Path) error {
	p = p.Field("layered_runtime.layers")
	layers := m.GetLayeredRuntime().GetLayers()
	if m.GetLayeredRuntime() == nil { // Envoy adds an empty layer and one for /runtime_modify
		b.Runtime = []runtime.LayerConfig{{Name: "base", Static: map[string]any{}}, {Name: "admin", Admin: true}}
		return nil
	}
	for i, l := range layers {
		c := runtime.LayerConfig{Name: l.GetName()}
		switch k := l.GetLayerSpecifier().(type) {
		case *bootstrapv3.RuntimeLayer_StaticLayer:
			c.Static = k.StaticLayer.AsMap()
		case *bootstrapv3.RuntimeLayer_DiskLayer_:
			c.Disk = &runtime.Disk{Root: k.DiskLayer.GetSymlinkRoot(), Subdirectory: k.DiskLayer.GetSubdirectory()}
			if k.DiskLayer.GetAppendServiceCluster() {
				c.Disk.AppendCluster = b.Node.GetCluster()
			}
		case *bootstrapv3.RuntimeLayer_AdminLayer_:
			c.Admin = true
		default:
			return p.Index(i).Errorf("layer_specifier is required")
		}
		b.Runtime = append(b.Runtime, c)
	}
	return nil
}

func (b *Bootstrap) upstream(m *bootstrapv3.Bootstrap, p fieldpath.Path) error {
	s, err := bindConfig(m.GetClusterManager().GetUpstreamBindConfig(), p.Field("cluster_manager.upstream_bind_config"))
	b.SourceAddress = s.addr
	if err != nil {
		return err
	}
	var c config.DNS
	err = resolver(m.GetTypedDnsResolverConfig(), &c, p.Field("typed_dns_resolver_config"))
	b.UseTCPForDNS = b.UseTCPForDNS || c.UseTCP
	return err
}

// listeners packs the listeners. Of those with the same name the last one
// counts, as an update would.
func (b *Bootstrap) listeners(m *bootstrapv3.Bootstrap, p fieldpath.Path) error {
	names, bound := map[string]int{}, map[string]string{}
	for i, l := range m.GetStaticResources().GetListeners() {
		at := p.Field("static_resources").Field("listeners").Index(i)
		a := new(anypb.Any)
		if err := anypb.MarshalFrom(a, l, proto.MarshalOptions{Deterministic: true}); err != nil {
			return at.Wrap(err)
		}
		if k, twice := names[l.GetName()]; twice && l.GetName() != "" {
			b.Listeners[k], b.index[k] = a, i
			continue
		}
		names[l.GetName()] = len(b.Listeners)
		b.Listeners, b.index = append(b.Listeners, a), append(b.index, i)
		s := l.GetAddress().GetSocketAddress()
		if s.GetPortValue() == 0 || !boolean(l.GetBindToPort(), true) {
			continue
		}
		where := net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue())))
		if other, twice := bound[where]; twice {
			return at.Field("address").Errorf("error adding listener: '%s' has duplicate address '%s' as existing listener '%s'", l.GetName(), where, other)
		}
		bound[where] = l.GetName()
	}
	return nil
}

// defaultFlush is stats_flush_interval.
const defaultFlush = 5 * time.Second
