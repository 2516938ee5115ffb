package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// gatewayListener is one listener of a Gateway on a port.
type gatewayListener struct {
	gateway *gateway
	spec    *configv1.GatewayListener
}

// gatewaysOf lists the Gateways that a class serves.
func (m *Mesh) gatewaysOf(c Class) []*gateway {
	var list []*gateway
	for _, key := range sortedKeys(m.gateways) {
		g := m.gateways[key]
		if !c.GRPC && (slices.Contains(g.clusters, c.Cluster) || len(g.clusters) == 0 && !c.Sidecar) {
			list = append(list, g)
		}
	}
	return list
}

// gatewayPort makes what a class has for a port: the listener and its route
// tables. Classes that serve the same Gateways share it by the cache.
func (m *Mesh) gatewayPort(c Class, port int32, cache map[string]map[outputKey]*xdsserver.Resource) (map[outputKey]*xdsserver.Resource, error) {
	var listeners []gatewayListener
	id := fmt.Sprint(port)
	for _, g := range m.gatewaysOf(c) {
		for _, l := range g.spec.GetListeners() {
			if l.GetPort() == port {
				listeners = append(listeners, gatewayListener{g, l})
				id += " " + g.key.Namespace + "/" + g.key.Name
			}
		}
	}
	if len(listeners) == 0 {
		return nil, nil
	}
	if made, ok := cache[id]; ok {
		return made, nil
	}
	made, err := m.compilePort(port, listeners)
	cache[id] = made
	return made, err
}

func (m *Mesh) compilePort(port int32, listeners []gatewayListener) (map[outputKey]*xdsserver.Resource, error) {
	name := fmt.Sprintf("%sgateway/%d", resource.ReservedPrefix, port)
	made := map[outputKey]*xdsserver.Resource{}
	add := func(r *xdsserver.Resource, err error) error {
		if err == nil {
			made[outputKey{r.Body.GetTypeUrl(), r.Name}] = r
		}
		return err
	}
	var sources []*configv1.ResourceRef
	for _, l := range listeners {
		if !slices.Contains(sources, l.gateway.ref) {
			sources = append(sources, l.gateway.ref)
		}
	}
	l := &listenerv3.Listener{Name: name, Address: socketAddress("0.0.0.0", uint32(port))}
	var refs []xdsserver.Ref
	if listeners[0].spec.GetProtocol() == "HTTP" {
		table, from := m.table(name, port, listeners)
		if err := add(xdsserver.NewResource(name, table, slices.Concat(from, sources))); err != nil {
			return nil, err
		}
		chain, err := httpChain(fmt.Sprintf("gateway_%d", port), name, true)
		if err != nil {
			return nil, err
		}
		l.FilterChains = []*listenerv3.FilterChain{chain}
		refs = append(refs, xdsserver.Ref{TypeURL: xdsserver.TypeRoute, Name: name})
	} else {
		inspector, err := pack(&inspectorv3.TlsInspector{})
		if err != nil {
			return nil, err
		}
		l.ListenerFilters = []*listenerv3.ListenerFilter{{Name: "envoy.filters.listener.tls_inspector",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: inspector}}}
		for _, one := range listeners {
			tableName := name + "/" + cmp.Or(one.spec.GetHostname(), "*")
			table, from := m.table(tableName, port, []gatewayListener{one})
			if err := add(xdsserver.NewResource(tableName, table, slices.Concat(from, sources))); err != nil {
				return nil, err
			}
			chain, err := m.tlsChain(port, tableName, one)
			if err != nil {
				return nil, err
			}
			l.FilterChains = append(l.FilterChains, chain)
			refs = append(refs, xdsserver.Ref{TypeURL: xdsserver.TypeRoute, Name: tableName})
		}
	}
	return made, add(xdsserver.NewResource(name, l, sources, refs...))
}

// httpChain is a filter chain of one connection manager with a router.
func httpChain(stats, table string, edge bool) (*listenerv3.FilterChain, error) {
	manager, err := manager(stats, table, edge)
	if err != nil {
		return nil, err
	}
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager}}}}, nil
}

func manager(stats, table string, edge bool) (*anypb.Any, error) {
	router, err := pack(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	h := &hcmv3.HttpConnectionManager{
		StatPrefix: stats,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ads(), RouteConfigName: table}},
		HttpFilters: []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
	}
	if edge {
		h.UseRemoteAddress = wrapperspb.Bool(true)
	}
	return pack(h)
}

// tlsChain terminates TLS. Certificates stand in the listener: they are paths
// of files at the proxy, never keys.
func (m *Mesh) tlsChain(port int32, table string, l gatewayListener) (*listenerv3.FilterChain, error) {
	chain, err := httpChain(fmt.Sprintf("gateway_%d", port), table, true)
	if err != nil {
		return nil, err
	}
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}}
	for _, ref := range l.spec.GetTls().GetCertificateRefs() {
		key := resource.Key{Kind: resource.EnvoyResource, Namespace: cmp.Or(ref.GetNamespace(), l.gateway.key.Namespace), Name: ref.GetName()}
		if r := m.raw[key]; r != nil {
			if secret, ok := r.message.(*tlsv3.Secret); ok && secret.GetTlsCertificate() != nil {
				common.TlsCertificates = append(common.TlsCertificates, secret.GetTlsCertificate())
			}
		}
	}
	context, err := pack(&tlsv3.DownstreamTlsContext{CommonTlsContext: common})
	if err != nil {
		return nil, err
	}
	chain.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: context}}
	match := &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	if host := l.spec.GetHostname(); host != "" {
		match.ServerNames = []string{host}
	}
	chain.FilterChainMatch = match
	return chain, nil
}

// attached lists the routes of a listener, and by which host names.
func (m *Mesh) attached(l gatewayListener) []candidate {
	var list []candidate
	for _, key := range sortedKeys(m.children[l.gateway.key]) {
		r := m.children[l.gateway.key][key]
		if !admits(l, r) {
			continue
		}
		hosts := r.spec.GetHostnames()
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		seen := map[string]bool{}
		for _, host := range hosts {
			at, ok := meet(l.spec.GetHostname(), host)
			if ok && !seen[at] {
				seen[at] = true
				list = append(list, candidates(r, at)...)
			}
		}
	}
	return list
}

// admits tells whether one of a route's parents is the listener and whether
// that lets it in.
func admits(l gatewayListener, r *httpRoute) bool {
	if r.key.Namespace != l.gateway.key.Namespace && l.spec.GetAllowedRoutes().GetNamespaces().GetFrom() != "All" {
		return false
	}
	return slices.ContainsFunc(r.spec.GetParentRefs(), func(ref *configv1.ParentRef) bool {
		return parentKey(r, ref) == l.gateway.key &&
			(ref.GetSectionName() == "" || ref.GetSectionName() == l.spec.GetName()) &&
			(ref.GetPort() == 0 || ref.GetPort() == l.spec.GetPort())
	})
}

// meet gives the hosts that two names have in common: the narrower one.
func meet(a, b string) (string, bool) {
	if !resource.HostnamesMeet(a, b) {
		return "", false
	}
	if a == "" || b != "" && covers(a, b) {
		return b, true
	}
	return a, true
}

// covers tells whether all hosts of a name are hosts of another.
func covers(wide, name string) bool {
	if wide == "" || wide == name {
		return true
	}
	suffix, ok := strings.CutPrefix(wide, "*")
	return ok && name != "" && strings.HasSuffix(name, suffix)
}

// table makes the routes of listeners that share a port. A host belongs to
// the listener with the narrowest name for it; within, the routes of narrower
// names come first and those of wider ones after them.
func (m *Mesh) table(name string, port int32, listeners []gatewayListener) (*routev3.RouteConfiguration, []*configv1.ResourceRef) {
	table := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	var sources []*configv1.ResourceRef
	seen := map[*httpRoute]bool{}
	domains := map[string][]candidate{}
	for _, l := range listeners {
		list := m.attached(l)
		names := map[string]bool{l.spec.GetHostname(): true}
		for _, c := range list {
			names[c.host] = true
			if !seen[c.route] {
				seen[c.route] = true
				sources = append(sources, c.route.ref)
			}
		}
		for host := range names {
			if narrowest(listeners, host) != l.spec.GetHostname() {
				continue
			}
			for _, c := range list {
				if covers(c.host, host) {
					domains[host] = append(domains[host], c)
				}
			}
			if domains[host] == nil {
				domains[host] = []candidate{}
			}
		}
	}
	for _, host := range sorted(domains) {
		list := domains[host]
		order(list)
		vh := &routev3.VirtualHost{Name: cmp.Or(host, "*"), Domains: []string{cmp.Or(host, "*")},
			Routes: routes(list, dialect{port: port})}
		table.VirtualHosts = append(table.VirtualHosts, vh)
	}
	return table, sources
}

// narrowest is the most specific listener name that covers a host. Names that
// cover the same host cover each other: their lengths say nothing, as
// "*.example.com" is as long as "a.example.com".
func narrowest(listeners []gatewayListener, host string) string {
	best := ""
	for _, l := range listeners {
		if name := l.spec.GetHostname(); covers(name, host) && covers(best, name) {
			best = name
		}
	}
	return best
}

func sorted[V any](of map[string]V) []string {
	list := make([]string, 0, len(of))
	for k := range of {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
