package compile

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// parse reads documents that are in order when taken alone.
func parse(t interface{ Fatalf(string, ...any) }, manifest string) []*configv1.Resource {
	list, bad := resource.Parse([]byte(manifest), "default")
	for _, r := range list {
		bad = append(bad, resource.Check(r)...)
	}
	if len(bad) > 0 {
		t.Fatalf("%v\n%s", bad, manifest)
	}
	return list
}

func sidecarNode(ns string) *corev3.Node {
	return &corev3.Node{Id: "s", Cluster: "apps", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		ModeMetadata: structpb.NewStringValue("sidecar"), NamespaceMetadata: structpb.NewStringValue(ns)}}}
}

func nodes() map[string]*corev3.Node {
	return map[string]*corev3.Node{
		"edge": {Id: "e", Cluster: "edge"}, "other": {Id: "o", Cluster: "other"}, "by id": {Id: "x", Cluster: "edge"},
		"sidecar": sidecarNode(""), "sidecar b": sidecarNode("b"),
		"grpc": {Id: "g", Cluster: "edge", UserAgentName: "gRPC Go"},
	}
}

// flat writes what a class has, with the sources: they are for people.
func flat(t interface{ Fatalf(string, ...any) }, m *Mesh, node *corev3.Node) map[string]string {
	v, err := m.View(m.mentions.class(node))
	if err != nil {
		t.Fatalf("%v", err)
	}
	all := map[string]string{}
	for url, table := range v.Tables {
		for r := range table.All() {
			all[url+" "+r.Name] = r.Version + fmt.Sprint(r.Sources) + fmt.Sprint(r.Refs)
		}
		if table.Len() > 0 {
			all["version of "+url] = table.Version()
		}
	}
	return all
}

// document draws one resource of a small world, so that they meet.
func document(rt *rapid.T) string {
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }
	name, ns := pick("name", "a", "b", "c"), pick("namespace", "default", "b")
	meta := fmt.Sprintf("metadata: {name: %s, namespace: %s", name, ns)
	port := pick("port", "80", "81")
	switch pick("kind", "Service", "Workload", "HTTPRoute", "Gateway", "EnvoyResource") {
	case "Service":
		return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Service\n%s}\nspec: {selector: {app: %s}, loadBalancing: %s, ports: [{port: %s, protocol: %s}, {name: more, port: 90}]}",
			meta, pick("selector", "a", "b"), pick("lb", "RANDOM", "ROUND_ROBIN"), port, pick("protocol", "HTTP", "HTTP2", "TCP"))
	case "Workload":
		return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Workload\n%s, labels: {app: %s}}\nspec: {address: 10.0.0.%s, ports: {more: 8080}, health: %s}",
			meta, pick("label", "a", "b", "x"), pick("address", "1", "2"), pick("health", "HEALTHY", "DRAINING"))
	case "HTTPRoute":
		parent := pick("parent", "{name: a}", "{name: b, sectionName: one}", "{name: a, namespace: b}", "{kind: Service, group: \"\", name: a}", "{kind: Service, group: \"\", name: b, port: 80}")
		return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n%s}\nspec: {parentRefs: [%s], hostnames: [%s], rules: [{matches: [{path: {value: /%s}}], backendRefs: [{name: a, port: 80, weight: %s}, {name: b, port: 80}]}]}",
			meta, parent, pick("host", "", "x.example.com", "\"*.example.com\""), pick("path", "", "x"), pick("weight", "0", "1", "9"))
	case "Gateway":
		clusters := pick("clusters", "", ", annotations: {hawser.dev/proxy-clusters: edge}", ", annotations: {hawser.dev/proxy-clusters: \"other,apps\"}")
		second := pick("second", "", ", {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: a}]}}", ", {name: two, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}")
		return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n%s%s}\nspec: {gatewayClassName: hawser, listeners: [{name: one, port: 80, protocol: HTTP, hostname: %s}%s]}",
			meta, clusters, pick("hostname", "\"*.example.com\"", "x.example.com", ""), second)
	}
	to := pick("to", "", ", proxies: {clusters: [edge]}", ", proxies: {ids: [x, g]}")
	if pick("type", "CLUSTER", "SECRET") == "SECRET" {
		return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: EnvoyResource\n%s}\nspec: {type: SECRET, resource: {name: %s-%s, tls_certificate: {certificate_chain: {filename: /%s}, private_key: {filename: /k}}}%s}", meta, ns, name, port, to)
	}
	// Two resources never have one name: the config API sees to that.
	return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: EnvoyResource\n%s}\nspec: {type: CLUSTER, resource: {name: %s-%s, type: STATIC, connect_timeout: %ss}%s}", meta, ns, name, port, to)
}

// TestIncrementalEqualsFull applies any changes in any grouping, to classes
// that are watched from any point on, and compares with a mesh that gets the
// result at once.
func TestIncrementalEqualsFull(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		options := Options{SidecarClusters: []string{"side"}}
		inc := New(options)
		state := map[resource.Key]*configv1.Resource{}
		watched := nodes()
		for revision := range int64(rapid.IntRange(1, 12).Draw(rt, "revisions")) {
			var changes []Change
			seen := map[resource.Key]bool{}
			for range rapid.IntRange(1, 5).Draw(rt, "changes") {
				r := parse(rt, document(rt))[0]
				key := resource.KeyOf(r)
				if seen[key] {
					continue
				}
				seen[key] = true
				if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
					r = nil
				}
				if changes = append(changes, Change{key, r}); r == nil {
					delete(state, key)
				} else {
					state[key] = r
				}
			}
			before := tables(inc)
			if err := inc.Apply(revision+1, changes); err != nil {
				rt.Fatal(err)
			}
			for c, old := range before {
				if state := inc.classes[c]; state != nil {
					unchanged(rt, old, state.tables)
				}
			}
			full := New(options)
			var all []Change
			for key, r := range state {
				all = append(all, Change{key, r})
			}
			if err := full.Apply(revision+1, all); err != nil {
				rt.Fatal(err)
			}
			for who, node := range watched {
				if revision == 0 && rapid.Bool().Draw(rt, "later") {
					continue // this class is seen first when there is more
				}
				got, want := flat(rt, inc, node), flat(rt, full, node)
				if !maps.Equal(got, want) {
					rt.Fatalf("%s at %d:\n%s", who, revision+1, difference(got, want))
				}
			}
		}
	})
}

func tables(m *Mesh) map[Class]map[string]*xdsserver.Table {
	all := map[Class]map[string]*xdsserver.Table{}
	for c, state := range m.classes {
		all[c] = state.tables
	}
	return all
}

// unchanged: a table without a change of content is not a new version.
func unchanged(rt *rapid.T, before, after map[string]*xdsserver.Table) {
	for url, t := range after {
		same := true
		for r := range t.All() {
			old := before[url].Get(r.Name)
			same = same && old != nil && old.Version == r.Version
		}
		if same && before[url].Len() == t.Len() && before[url].Version() != t.Version() {
			rt.Fatalf("%s: another version of the same", url)
		}
	}
}

func difference(got, want map[string]string) string {
	var b strings.Builder
	for k, v := range got {
		if want[k] != v {
			fmt.Fprintf(&b, "has  %s %s\n", k, v)
		}
	}
	for k, v := range want {
		if got[k] != v {
			fmt.Fprintf(&b, "want %s %s\n", k, v)
		}
	}
	return b.String()
}
