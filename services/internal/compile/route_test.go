package compile

import (
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// compiled gives a mesh made of a manifest.
func compiled(t *testing.T, manifest string) *Mesh {
	t.Helper()
	m := New(Options{SidecarClusters: []string{"sidecar"}, OutboundHost: "127.0.0.1", OutboundPort: 15001})
	if err := m.Reset(1, parse(t, manifest)); err != nil {
		t.Fatal(err)
	}
	return m
}

// fetch reads one resource of a node's view back.
func fetch[M proto.Message](t *testing.T, m *Mesh, node *corev3.Node, name string, into M) M {
	t.Helper()
	v, err := m.View(m.mentions.class(node))
	if err != nil {
		t.Fatal(err)
	}
	r := v.Table("type.googleapis.com/" + string(into.ProtoReflect().Descriptor().FullName())).Get(name)
	if r == nil {
		t.Fatalf("no %T %s", into, name)
	}
	if err := r.Body.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
	if v, ok := any(into).(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			t.Errorf("%s is not valid: %v", name, err)
		}
	}
	return into
}

func edgeNode() *corev3.Node { return &corev3.Node{Id: "e", Cluster: "edge"} }

const gatewayDoc = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: hawser, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
`

func routeDoc(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: %s}\nspec:\n  parentRefs: [{name: g}]\n%s\n", name, spec)
}

func gatewayTable(t *testing.T, manifest string) *routev3.RouteConfiguration {
	t.Helper()
	return fetch(t, compiled(t, gatewayDoc+manifest), edgeNode(), "hawser/gateway/8080", new(routev3.RouteConfiguration))
}

// shown writes a route's match and where it goes.
func shown(r *routev3.Route) string {
	m := r.GetMatch()
	s := m.GetPath() + m.GetPrefix() + m.GetPathSeparatedPrefix() + m.GetSafeRegex().GetRegex()
	for _, h := range m.GetHeaders() {
		s += " " + h.GetName() + "=" + h.GetStringMatch().GetExact()
	}
	for _, q := range m.GetQueryParameters() {
		s += " ?" + q.GetName()
	}
	return s + " -> " + strings.TrimSuffix(strings.TrimPrefix(r.GetRoute().GetCluster(), "hawser/default/"), "/80")
}

func rule(match, to string) string {
	return fmt.Sprintf("  - matches: [%s]\n    backendRefs: [{name: %s, port: 80}]\n", match, to)
}

// TestPrecedence is that of the Gateway API, across routes.
func TestPrecedence(t *testing.T) {
	table := gatewayTable(t,
		routeDoc("b-second", "  rules:\n"+rule("{path: {value: /a}}", "late")+rule("{path: {value: /a/b/}, queryParams: [{name: q, value: v}]}", "query"))+
			routeDoc("a-first", "  rules:\n"+
				rule("", "all")+
				rule("{path: {value: /a}}", "early")+
				rule("{path: {value: /a/b}}", "longer")+
				rule("{path: {value: /a, type: Exact}}", "exact")+
				rule(`{path: {value: "/a.*", type: RegularExpression}}`, "regex")+
				rule("{path: {value: /a/b}, method: GET}", "method")+
				rule(`{path: {value: /a/b}, headers: [{name: x, value: y}]}`, "header")))
	want := []string{"/a -> exact", "/a.* -> regex", "/a/b :method=GET -> method", "/a/b x=y -> header", "/a/b ?q -> query",
		"/a/b -> longer", "/a -> early", "/a -> late", "/ -> all"}
	var got []string
	for _, r := range table.GetVirtualHosts()[0].GetRoutes() {
		got = append(got, shown(r))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHostnames: narrower names come first, wider ones behind them, and a
// host belongs to the narrowest listener.
func TestHostnames(t *testing.T) {
	manifest := `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec:
  gatewayClassName: hawser
  listeners:
  - {name: all, port: 8080, protocol: HTTP}
  - {name: own, port: 8080, protocol: HTTP, hostname: own.example.com}
` + routeDoc("exact", "  hostnames: [a.example.com, own.example.com]\n  rules:\n"+rule("{path: {value: /x}}", "exact")) +
		routeDoc("wild", "  hostnames: [\"*.example.com\"]\n  rules:\n"+rule("", "wild")) +
		strings.Replace(routeDoc("any", "  rules:\n"+rule("{path: {value: /any}}", "any")), "{name: g}", "{name: g, sectionName: all}", 1)
	table := fetch(t, compiled(t, manifest), edgeNode(), "hawser/gateway/8080", new(routev3.RouteConfiguration))
	want := map[string]string{
		"*":               "/any -> any",
		"*.example.com":   "/ -> wild, /any -> any",
		"a.example.com":   "/x -> exact, / -> wild, /any -> any",
		"own.example.com": "/x -> exact, / -> wild",
	}
	if len(table.GetVirtualHosts()) != len(want) {
		t.Errorf("%d virtual hosts", len(table.GetVirtualHosts()))
	}
	for _, vh := range table.GetVirtualHosts() {
		var got []string
		for _, r := range vh.GetRoutes() {
			got = append(got, shown(r))
		}
		if w := want[vh.GetDomains()[0]]; strings.Join(got, ", ") != w {
			t.Errorf("%v:\ngot  %v\nwant %s", vh.GetDomains(), got, w)
		}
	}
}

// TestNarrowestListener: an exact name of a listener is narrower than a
// wildcard of the same length or of a greater one, in any order.
func TestNarrowestListener(t *testing.T) {
	named := func(names ...string) []gatewayListener {
		var list []gatewayListener
		for _, name := range names {
			list = append(list, gatewayListener{spec: &configv1.GatewayListener{Hostname: name}})
		}
		return list
	}
	for _, c := range []struct {
		listeners  []string
		host, want string
	}{
		{[]string{"*.example.com", "a.example.com"}, "a.example.com", "a.example.com"},
		{[]string{"a.example.com", "*.example.com"}, "a.example.com", "a.example.com"},
		{[]string{"", "*.com", "*.example.com"}, "b.example.com", "*.example.com"},
		{[]string{"*.example.com", "*.com", ""}, "*.example.com", "*.example.com"},
		{[]string{"*.example.com", ""}, "example.com", ""},
		{[]string{"", "a.example.com"}, "", ""},
	} {
		if got := narrowest(named(c.listeners...), c.host); got != c.want {
			t.Errorf("%q of %q: got %q, want %q", c.host, c.listeners, got, c.want)
		}
	}
}

// TestActions compares what becomes of a rule with Envoy's JSON.
func TestActions(t *testing.T) {
	for name, c := range map[string]struct{ rule, want string }{
		"nothing":       {"  - {}", `{match: {prefix: /}, directResponse: {status: 500}}`},
		"weights":       {"  - backendRefs: [{name: a, port: 80, weight: 3}, {name: b, port: 80}, {name: c, port: 80, weight: 0}]", `{match: {prefix: /}, route: {weightedClusters: {clusters: [{name: hawser/default/a/80, weight: 3}, {name: hawser/default/b/80, weight: 1}]}}}`},
		"all zero":      {"  - backendRefs: [{name: a, port: 80, weight: 0}]", `{match: {prefix: /}, directResponse: {status: 500}}`},
		"rewrite":       {"  - matches: [{path: {value: /a/}}]\n    filters: [{type: URLRewrite, urlRewrite: {hostname: h, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b/}}}]\n    backendRefs: [{name: a, port: 80}]", `{match: {pathSeparatedPrefix: /a}, route: {cluster: hawser/default/a/80, prefixRewrite: /b, hostRewriteLiteral: h}}`},
		"to the root":   {"  - matches: [{path: {value: /a.b}}]\n    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]\n    backendRefs: [{name: a, port: 80}]", `{match: {pathSeparatedPrefix: /a.b}, route: {cluster: hawser/default/a/80, regexRewrite: {pattern: {regex: '^/a\.b/*'}, substitution: /}}}`},
		"from the root": {"  - filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80, prefixRewrite: /b/}}`},
		"whole path":    {"  - filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b}}}]\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80, regexRewrite: {pattern: {regex: '^/.*$'}, substitution: /b}}}`},
		"to https":      {"  - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]", `{match: {prefix: /}, redirect: {schemeRedirect: https, portRedirect: 443}}`},
		"to a port":     {"  - filters: [{type: RequestRedirect, requestRedirect: {port: 9, path: {type: ReplaceFullPath, replaceFullPath: /x}}}]", `{match: {prefix: /}, redirect: {portRedirect: 9, pathRedirect: /x, responseCode: FOUND}}`},
		"headers": {"  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: \"5%\"}], add: [{name: b, value: c}], remove: [d]}}]\n    backendRefs: [{name: a, port: 80}]",
			`{match: {prefix: /}, route: {cluster: hawser/default/a/80}, requestHeadersToAdd: [{header: {key: a, value: '5%%'}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}, {header: {key: b, value: c}}], requestHeadersToRemove: [d]}`},
		"timeouts":    {"  - timeouts: {request: 10s, backendRequest: 2s}\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80, timeout: 2s}}`},
		"no timeout":  {"  - timeouts: {request: 0s}\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80, timeout: 0s}}`},
		"retry":       {"  - timeouts: {request: 10s, backendRequest: 2s}\n    retry: {codes: [503], attempts: 3, backoff: 25ms}\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80, timeout: 10s, retryPolicy: {retryOn: 'connect-failure,refused-stream,reset,retriable-status-codes', numRetries: 3, perTryTimeout: 2s, retriableStatusCodes: [503], retryBackOff: {baseInterval: 0.025s, maxInterval: 0.250s}}}}`},
		"never again": {"  - retry: {attempts: 0}\n    backendRefs: [{name: a, port: 80}]", `{match: {prefix: /}, route: {cluster: hawser/default/a/80}}`},
	} {
		got := gatewayTable(t, routeDoc("r", "  rules:\n"+c.rule)).GetVirtualHosts()[0].GetRoutes()
		want := new(routev3.Route)
		json, err := yaml.YAMLToJSON([]byte(c.want))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := protojson.Unmarshal(json, want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != 1 || !proto.Equal(got[0], want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
	}
}

const servicesDoc = `
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart}
spec:
  selector: {app: cart}
  loadBalancing: RANDOM
  ports: [{name: web, port: 80}, {port: 81, protocol: TCP}, {port: 82, targetPort: 9, protocol: HTTP2}]
  healthCheck: {httpPath: /ok}
---
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart.default, namespace: other}
spec: {selector: {app: x}, ports: [{port: 80}]}
---
apiVersion: hawser.dev/v1
kind: Workload
metadata: {name: w1, labels: {app: cart}}
spec: {address: 10.0.0.1, ports: {web: 8080}, weight: 3, locality: {zone: z}}
---
apiVersion: hawser.dev/v1
kind: Workload
metadata: {name: w2, labels: {app: cart}}
spec: {address: 10.0.0.2, health: DRAINING}
---
apiVersion: hawser.dev/v1
kind: Workload
metadata: {name: w3, labels: {app: cart}}
spec: {address: 10.0.0.2}
`

// TestServices: clusters and endpoints.
func TestServices(t *testing.T) {
	m := compiled(t, servicesDoc)
	c := fetch(t, m, edgeNode(), "hawser/default/cart/82", new(clusterv3.Cluster))
	if c.GetType() != clusterv3.Cluster_EDS || c.GetLbPolicy() != clusterv3.Cluster_RANDOM || len(c.GetTypedExtensionProtocolOptions()) != 1 || len(c.GetHealthChecks()) != 1 {
		t.Errorf("%v", c)
	}
	e := fetch(t, m, edgeNode(), "hawser/default/cart/80", new(endpointv3.ClusterLoadAssignment))
	if len(e.GetEndpoints()) != 2 || e.GetEndpoints()[0].GetLbEndpoints()[0].GetHealthStatus() != corev3.HealthStatus_DRAINING || len(e.GetEndpoints()[0].GetLbEndpoints()) != 1 ||
		e.GetEndpoints()[1].GetLoadBalancingWeight().GetValue() != 3 || e.GetEndpoints()[1].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().GetPortValue() != 8080 {
		t.Errorf("%v", e)
	}
}

// TestInsideTheMesh: the virtual hosts of a sidecar and what a gRPC client
// gets.
func TestInsideTheMesh(t *testing.T) {
	m := compiled(t, servicesDoc)
	sidecar := &corev3.Node{Id: "s", Cluster: "sidecar"}
	table := fetch(t, m, sidecar, "hawser/outbound", new(routev3.RouteConfiguration))
	got := map[string]string{}
	for _, vh := range table.GetVirtualHosts() {
		got[vh.GetName()] = strings.Join(vh.GetDomains(), " ")
	}
	for name, domains := range map[string]string{
		"cart.default:80":       "cart.default:80 cart.default cart:80 cart",
		"cart.default:82":       "cart.default:82 cart:82",
		"cart.default.other:80": "cart.default.other:80 cart.default.other",
	} {
		if got[name] != domains {
			t.Errorf("%s: %q, want %q", name, got[name], domains)
		}
	}
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
	fetch(t, m, sidecar, "hawser/outbound", new(listenerv3.Listener))
	grpc := &corev3.Node{Id: "g", UserAgentName: "gRPC Go"}
	l := fetch(t, m, grpc, "hawser/default/cart/82", new(listenerv3.Listener))
	if l.GetApiListener() == nil {
		t.Errorf("%v", l)
	}
	if c := fetch(t, m, grpc, "hawser/default/cart/82", new(clusterv3.Cluster)); c.GetLbPolicy() != clusterv3.Cluster_ROUND_ROBIN || len(c.GetHealthChecks()) != 0 {
		t.Errorf("%v", c)
	}
	// Envoy refuses a listener with an api_listener from LDS.
	v, err := m.View(m.mentions.class(edgeNode()))
	if err != nil || v.Table(xdsserver.TypeListener).Len() != 0 {
		t.Errorf("%v %v", v.Table(xdsserver.TypeListener).Len(), err)
	}
}

// TestTLSGateway has a chain for each host name, told apart by SNI.
func TestTLSGateway(t *testing.T) {
	m := compiled(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, annotations: {hawser.dev/proxy-clusters: edge}}
spec:
  gatewayClassName: hawser
  listeners:
  - {name: a, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}}
  - {name: b, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
---
apiVersion: hawser.dev/v1
kind: EnvoyResource
metadata: {name: cert}
spec: {type: SECRET, resource: {name: cert, tls_certificate: {certificate_chain: {filename: /c}, private_key: {filename: /k}}}}
`)
	l := fetch(t, m, edgeNode(), "hawser/gateway/443", new(listenerv3.Listener))
	if len(l.GetFilterChains()) != 2 || l.GetFilterChains()[0].GetFilterChainMatch().GetServerNames()[0] != "a.example.com" || len(l.GetListenerFilters()) != 1 {
		t.Errorf("%v", l)
	}
	fetch(t, m, edgeNode(), "hawser/gateway/443/*", new(routev3.RouteConfiguration))
	fetch(t, m, edgeNode(), "hawser/gateway/443/a.example.com", new(routev3.RouteConfiguration))
	v, err := m.View(m.mentions.class(&corev3.Node{Id: "o", Cluster: "other"}))
	if err != nil || v.Table(xdsserver.TypeListener).Len() != 0 {
		t.Errorf("another cluster got it: %v", err)
	}
}

// TestReservedNames: raw resources cannot take a generated one's place.
func TestReservedNames(t *testing.T) {
	list, _ := resource.Parse([]byte("apiVersion: hawser.dev/v1\nkind: EnvoyResource\nmetadata: {name: x}\nspec: {type: CLUSTER, resource: {name: hawser/x, type: STATIC}}"), "default")
	if bad := resource.Check(list[0]); len(bad) != 1 || !strings.Contains(bad[0].Message, "reserved") || !strings.Contains(bad[0].Field, "spec.resource.name") {
		t.Errorf("%v", bad)
	}
}
