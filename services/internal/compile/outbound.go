package compile

import (
	"cmp"
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// host is an HTTP port of a Service inside the mesh, with its routes.
type host struct {
	port   int32
	routes []*routev3.Route
	from   []*configv1.ResourceRef // of the routes
}

// compileHosts makes the routes of a Service's ports: those of the HTTPRoutes
// that have it as their parent, or else all to the Service itself.
func (m *Mesh) compileHosts(key resource.Key, changed *changeList) error {
	made := map[outputKey]output{}
	if s := m.services[key]; s != nil {
		s.hosts = nil
		for _, p := range s.spec.GetPorts() {
			if p.GetProtocol() == "TCP" {
				continue
			}
			h, grpc := m.host(s, p, dialect{}), m.host(s, p, dialect{grpc: true})
			s.hosts = append(s.hosts, h)
			if err := grpcHost(made, s, grpc); err != nil {
				return err
			}
		}
	}
	m.replace(unitKey{key, "grpc hosts"}, made, changed)
	return nil
}

func (m *Mesh) host(s *service, p *configv1.ServicePort, d dialect) host {
	h := host{port: p.GetPort()}
	var list []candidate
	for _, key := range sortedKeys(m.children[s.key]) {
		r := m.children[s.key][key]
		if slices.ContainsFunc(r.spec.GetParentRefs(), func(ref *configv1.ParentRef) bool {
			return parentKey(r, ref) == s.key && (ref.GetPort() == 0 || ref.GetPort() == p.GetPort())
		}) {
			list = append(list, candidates(r, "")...)
			h.from = append(h.from, r.ref)
		}
	}
	if list == nil {
		h.routes = []*routev3.Route{{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{
				Cluster: ClusterName(s.key.Namespace, s.key.Name, p.GetPort())}}},
		}}
		return h
	}
	order(list)
	h.routes = routes(list, d)
	return h
}

// grpcHost makes what a client of xds:///hawser/NAMESPACE/NAME/PORT asks for.
func grpcHost(made map[outputKey]output, s *service, h host) error {
	name := ClusterName(s.key.Namespace, s.key.Name, h.port)
	manager, err := manager("grpc", name, false)
	if err != nil {
		return err
	}
	l := &listenerv3.Listener{Name: name, ApiListener: &listenerv3.ApiListener{ApiListener: manager}}
	table := &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{
		{Name: name, Domains: []string{"*"}, Routes: h.routes}}}
	sources := append(slices.Clone(h.from), s.ref)
	to := audience{grpc: onlyGRPC}
	if err := add(made, name, table, to, sources); err != nil {
		return err
	}
	return add(made, name, l, to, sources, xdsserver.Ref{TypeURL: xdsserver.TypeRoute, Name: name})
}

// outbound makes the listener of sidecars and its table.
func (m *Mesh) outbound(c Class) (map[outputKey]*xdsserver.Resource, error) {
	name := resource.ReservedPrefix + "outbound"
	table := &routev3.RouteConfiguration{Name: name}
	var fromRoutes, fromServices []*configv1.ResourceRef
	taken := map[string]bool{}
	keys := sortedKeys(m.services)
	// Full names first: no short one may take their place.
	for _, key := range keys {
		for i, h := range m.services[key].hosts {
			for _, d := range domains(key.Name+"."+key.Namespace, h.port, i == 0) {
				taken[d] = true
			}
		}
	}
	for _, key := range keys {
		s := m.services[key]
		fromServices = append(fromServices, s.ref)
		for i, h := range s.hosts {
			vh := &routev3.VirtualHost{
				Name: fmt.Sprintf("%s.%s:%d", key.Name, key.Namespace, h.port), Routes: h.routes,
				Domains: domains(key.Name+"."+key.Namespace, h.port, i == 0),
			}
			if key.Namespace == c.Namespace {
				for _, d := range domains(key.Name, h.port, i == 0) {
					if !taken[d] {
						vh.Domains = append(vh.Domains, d)
					}
				}
			}
			table.VirtualHosts = append(table.VirtualHosts, vh)
			fromRoutes = append(fromRoutes, h.from...)
		}
	}
	chain, err := httpChain("outbound", name, false)
	if err != nil {
		return nil, err
	}
	l := &listenerv3.Listener{
		Name: name, FilterChains: []*listenerv3.FilterChain{chain},
		Address: socketAddress(cmp.Or(m.options.OutboundHost, "127.0.0.1"), cmp.Or(m.options.OutboundPort, 15001)),
	}
	made := map[outputKey]*xdsserver.Resource{}
	r, err := xdsserver.NewResource(name, table, append(fromRoutes, fromServices...))
	if err != nil {
		return nil, err
	}
	made[outputKey{xdsserver.TypeRoute, name}] = r
	if r, err = xdsserver.NewResource(name, l, nil, xdsserver.Ref{TypeURL: xdsserver.TypeRoute, Name: name}); err != nil {
		return nil, err
	}
	made[outputKey{xdsserver.TypeListener, name}] = r
	return made, nil
}

// domains of a host: with its port, and without if it is the first.
func domains(name string, port int32, first bool) []string {
	list := []string{fmt.Sprintf("%s:%d", name, port)}
	if first {
		list = append(list, name)
	}
	return list
}
