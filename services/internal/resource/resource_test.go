package resource

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

const shop = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, creationTimestamp: null}
spec:
  gatewayClassName: hawser
  listeners:
  - {name: http, port: 8080, protocol: HTTP}
status: {}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, labels: {app: shop}}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["shop.example.com"]
  rules:
  - matches: [{path: {type: PathPrefix, value: /cart}, headers: [{name: x-a, value: "1"}]}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    timeouts: {request: 10s, backendRequest: 2s}
    retry: {codes: [503], attempts: 2, backoff: 50ms}
    backendRefs: [{name: cart, port: 80, weight: 90}, {name: cart-canary, port: 80, weight: 10}]
---
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
---
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart-canary}
spec: {selector: {app: cart-canary}, ports: [{name: http, port: 80}]}
---
apiVersion: hawser.dev/v1
kind: Workload
metadata: {name: cart-1, labels: {app: cart}}
spec: {address: 10.0.0.1, ports: {http: 8081}, ttl: 10s}
`

func lookupIn(rs []*configv1.Resource) Lookup {
	return func(k Key) (*configv1.Resource, bool, error) {
		i := slices.IndexFunc(rs, func(r *configv1.Resource) bool { return KeyOf(r) == k })
		if i < 0 {
			return nil, false, nil
		}
		return rs[i], true, nil
	}
}

// problems parses, checks and follows links, as the config API does.
func problems(t *testing.T, manifest string) []string {
	t.Helper()
	rs, bad := Parse([]byte(manifest), "")
	for _, r := range rs {
		bad = append(bad, Check(r)...)
	}
	if len(bad) == 0 {
		for _, r := range rs {
			more, err := CheckLinks(r, lookupIn(rs))
			if err != nil {
				t.Fatal(err)
			}
			bad = append(bad, more...)
		}
	}
	var lines []string
	for _, v := range bad {
		lines = append(lines, v.String())
	}
	return lines
}

func TestAcceptsDocumentsAsTheyStand(t *testing.T) {
	if got := problems(t, shop); len(got) > 0 {
		t.Fatalf("refused: %s", strings.Join(got, "\n"))
	}
	rs, _ := Parse([]byte(shop), "team")
	if len(rs) != 5 || rs[1].GetMetadata().GetNamespace() != "team" {
		t.Fatalf("got %d resources, %v", len(rs), rs[1].GetMetadata())
	}
	spec, bad := Decode(rs[1])
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if w := spec.(*configv1.HTTPRouteSpec).GetRules()[0].GetBackendRefs()[1].GetWeight(); w != 10 {
		t.Fatalf("weight %d, want 10", w)
	}
}

func TestEveryViolationHasItsPath(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(shop, old) {
			panic("no " + old)
		}
		return strings.Replace(shop, old, new, 1)
	}
	for name, tc := range map[string]struct {
		manifest string
		want     []string
	}{
		"not yaml":        {"a: [", []string{"line 1: not YAML"}},
		"not json":        {`{"kind": }`, []string{"line 1: not JSON"}},
		"not yaml later":  {"kind: List\nitems: []\n---\na: b\nc: [\n", []string{"line 3: not YAML: line 5"}},
		"line of a later": {"kind: List\nitems: []\n---\na: b\na: c\n", []string{`line 5: key "a" is there twice`}},
		"large document":  {"a: " + strings.Repeat("b", maxDocument), []string{"line 1: the document has"}},
		"text":            {"hello", []string{"line 1: expected an object"}},
		"duplicate key":   {"kind: Service\nkind: Gateway\n", []string{`line 2: key "kind" is there twice`}},
		"json twice":      {`{"kind":"Service","kind":"Gateway"}`, []string{`key "kind" is there twice`}},
		"unknown kind":    {replace("kind: Workload", "kind: Pod"), []string{`Pod/default/cart-1: kind: unknown kind "Pod"`}},
		"kind not yet":    {replace("kind: Workload", "kind: GRPCRoute"), []string{`GRPCRoute/default/cart-1: kind: kind "GRPCRoute" is not supported`}},
		"api version":     {replace("gateway.networking.k8s.io/v1", "v1"), []string{`Gateway/default/edge: apiVersion: "v1" has no Gateway`}},
		"no name":         {replace("name: cart-1, ", ""), []string{"resource: metadata.name: is missing"}},
		"unknown field":   {replace("hostnames:", "hostname:"), []string{`HTTPRoute/default/shop: spec.hostname: unknown field (did you mean "hostnames"?)`}},
		"deep field":      {replace("weight: 10", "wieght: 10"), []string{`spec.rules[0].backendRefs[1].wieght: unknown field (did you mean "weight"?)`}},
		"two at once":     {strings.Replace(replace("weight: 10", "weight: ten"), "port: 8080", "port: 808080", 1), []string{`HTTPRoute/default/shop: spec.rules[0].backendRefs[1].weight: expected an integer, got the string "ten"`, "Gateway/default/edge: spec.listeners[0].port: 808080 is not a port"}},
		"not supported":   {replace("timeouts:", "sessionPersistence: {type: Cookie}\n    timeouts:"), []string{"spec.rules[0].sessionPersistence: sessionPersistence is not supported"}},
		"mirror":          {replace("type: URLRewrite, urlRewrite", "type: RequestMirror, requestMirror"), []string{"filters[0].requestMirror: requestMirror is not supported"}},
		"bad regex":       {replace("type: PathPrefix, value: /cart", "type: RegularExpression, value: '('"), []string{"spec.rules[0].matches[0].path.value: \"(\" is not an RE2"}},
		"bad duration":    {replace("10s, backend", "ten, backend"), []string{`spec.rules[0].timeouts.request: "ten" is not a duration`}},
		"try too long":    {replace("backendRequest: 2s", "backendRequest: 20s"), []string{"timeouts.backendRequest: 20s is longer"}},
		"no gateway":      {replace("[{name: edge", "[{name: egde"), []string{"HTTPRoute/default/shop: spec.parentRefs[0].name: there is no Gateway/default/egde"}},
		"no section":      {replace("sectionName: http", "sectionName: https"), []string{`spec.parentRefs[0].sectionName: Gateway/default/edge has no listener "https"`}},
		"no service":      {replace("name: cart-canary, port", "name: cat, port"), []string{"spec.rules[0].backendRefs[1].name: there is no Service/default/cat"}},
		"no port":         {replace("name: cart-canary, port: 80", "name: cart-canary, port: 81"), []string{"spec.rules[0].backendRefs[1].port: Service/default/cart-canary has no port 81 (it has 80)"}},
		"other namespace": {replace("name: cart-canary, port", "name: cart-canary, namespace: x, port"), []string{"backendRefs[1].namespace: \"x\" is another namespace"}},
		"hostname":        {replace("port: 8080, protocol", "hostname: '*.test', port: 8080, protocol"), []string{"spec.hostnames: none is within"}},
		"address":         {replace("10.0.0.1", "localhost"), []string{`Workload/default/cart-1: spec.address: "localhost" is not an IP address`}},
		"ttl":             {replace("ttl: 10s", "ttl: 10ms"), []string{`spec.ttl: "10ms" is not within`}},
		"listeners":       {replace("- {name: http, port: 8080, protocol: HTTP}", "- {name: a, port: 80, protocol: HTTP}\n  - {name: b, port: 80, protocol: HTTP}"), []string{"spec.listeners[1]: port 80 has the same hostname"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(problems(t, tc.manifest), "\n")
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("got:\n%s\nwant it to contain:\n%s", got, want)
				}
			}
		})
	}
}

func TestRefusesLargeAndDeepInput(t *testing.T) {
	if _, bad := Parse(make([]byte, MaxManifest), ""); len(bad) != 1 || bad[0].Field != "manifest" {
		t.Errorf("10 MiB: %v", bad)
	}
	if _, bad := Parse([]byte(strings.Repeat("[", 100000)), ""); len(bad) == 0 {
		t.Error("deep YAML was accepted")
	}
	if _, bad := Parse([]byte(`{"a":`+strings.Repeat("[", 100000)), ""); len(bad) == 0 {
		t.Error("deep JSON was accepted")
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%[3]s,%[3]s,%[3]s,%[3]s,%[3]s,%[3]s,%[3]s,%[3]s,%[3]s]\n", c, c, "*"+string(c-1))
	}
	if _, bad := Parse([]byte(bomb), ""); len(bad) == 0 {
		t.Error("a bomb of aliases was accepted")
	}
}

func TestJSONAndYAMLAreTheSame(t *testing.T) {
	rs, _ := Parse([]byte(shop), "")
	for _, r := range rs {
		doc, err := Document(r)
		if err != nil {
			t.Fatal(err)
		}
		again, bad := Parse(doc, "")
		if len(bad) > 0 || len(again) != 1 || !proto.Equal(again[0], r) {
			t.Errorf("%s: %v\n%v\n%v", KeyOf(r), bad, again, r)
		}
		if Etag(again[0]) != Etag(r) {
			t.Errorf("%s: etag changed", KeyOf(r))
		}
	}
}

func TestEnvoyResource(t *testing.T) {
	cluster := `
apiVersion: hawser.dev/v1
kind: EnvoyResource
metadata: {name: raw}
spec:
  type: CLUSTER
  resource:
    name: raw
    connect_timeout: 1s
    lbPolicy: round_robin
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`
	if got := problems(t, cluster); len(got) > 0 {
		t.Fatal(got)
	}
	rs, _ := Parse([]byte(cluster), "")
	if got := Claim(rs[0]); got != "CLUSTER/raw" {
		t.Errorf("claim %q", got)
	}
	for name, tc := range map[string][3]string{
		"unknown field": {"connect_timeout", "connect_time", "spec.resource.connect_time: unknown field of envoy.config.cluster.v3.Cluster"},
		"bad enum":      {"round_robin", "robin", "spec.resource.lbPolicy:"},
		"bad type":      {"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n", "type.googleapis.com/no.Such\n", `@type: unknown type "type.googleapis.com/no.Such"`},
		"wrong kind":    {"CLUSTER", "ROUTER", `spec.type: "ROUTER" is not one of`},
		"rule":          {"connect_timeout: 1s", "connect_timeout: 0s", "spec.resource.connect_timeout: value must be greater than 0s"},
		"no name":       {"    name: raw\n", "", "spec.resource.name: "},
		"in any":        {"explicit_http_config: {http2_protocol_options: {}}", "{}", "upstream_protocol_options: value is required"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(cluster, tc[0]) {
				t.Fatal("no " + tc[0])
			}
			doc := strings.Replace(cluster, tc[0], tc[1], 1)
			if name == "in any" {
				doc = strings.Replace(cluster, "        explicit_http_config: {http2_protocol_options: {}}\n", "", 1)
			}
			if got := strings.Join(problems(t, doc), "\n"); !strings.Contains(got, tc[2]) {
				t.Errorf("got %q, want %q", got, tc[2])
			}
		})
	}
	secret := `{"apiVersion":"hawser.dev/v1","kind":"EnvoyResource","metadata":{"name":"s"},"spec":{"type":"SECRET","resource":
	{"name":"s","tls_certificate":{"certificate_chain":{"filename":"/c"},"private_key":{"inline_string":"KEY"}}}}}`
	if got := strings.Join(problems(t, secret), "\n"); !strings.Contains(got, "private_key.inline_string: a private key must not be") {
		t.Errorf("got %q", got)
	}
}

func TestSelector(t *testing.T) {
	labels := map[string]string{"app": "shop", "tier": "web"}
	for text, want := range map[string]bool{
		"": true, "app=shop": true, "app==shop,tier=web": true, "app!=shop": false, "x!=y": true, "app in (a, shop)": true,
		"app notin (a,b)": true, "app": true, "!app": false, "!x": true, "x": false, "app in (a),tier": false,
	} {
		s, err := ParseSelector(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := s.Matches(labels); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{",", "a b", "a in", "=x", "a=b c", "(a)"} {
		if _, err := ParseSelector(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestDiffFields(t *testing.T) {
	rs, _ := Parse([]byte(shop), "")
	after, _ := Parse([]byte(strings.Replace(shop, "weight: 90", "weight: 50", 1)), "")
	diffs := DiffFields(rs[1], after[1])
	if len(diffs) != 1 || diffs[0].GetPath() != "spec.rules[0].backendRefs[0].weight" || diffs[0].GetBefore() != "90" || diffs[0].GetAfter() != "50" {
		t.Errorf("%v", diffs)
	}
}

// The hash does not depend on order, and removing undoes adding.
func TestStateHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,8}`), rapid.ID[string]).Draw(t, "names")
		var forward, backward StateHash
		for _, n := range names {
			forward.Add(Key{Service, "default", n}, n)
		}
		for _, n := range slices.Backward(names) {
			backward.Add(Key{Service, "default", n}, n)
		}
		if forward != backward {
			t.Fatal("order matters")
		}
		parsed, err := ParseStateHash(forward.String())
		if err != nil || parsed != forward {
			t.Fatalf("%v: %v", err, parsed)
		}
		for _, n := range names {
			forward.Remove(Key{Service, "default", n}, n)
		}
		if forward != (StateHash{}) {
			t.Fatal("not empty")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(`{"kind":"List","items":[{"kind":"Service","metadata":{"name":"a"}}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		rs, _ := Parse(manifest, "")
		for _, r := range rs {
			if len(Check(r)) == 0 {
				if _, bad := Decode(r); len(bad) > 0 {
					t.Fatalf("Check accepted what Decode refuses: %v", bad)
				}
				_ = Claim(r)
				_ = Links(r)
			}
		}
	})
}
