package yaml

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

func cluster(t *testing.T, name, text string) (*clusterv3.Cluster, error) {
	t.Helper()
	c := new(clusterv3.Cluster)
	_, err := Decode(name, []byte(text), c, Options{})
	return c, err
}

// What protojson reads too must come out the same, as JSON and as YAML.
func TestSameAsProtojson(t *testing.T) {
	text := `{"name":"c\u00e9\ud83d\ude00\n","connectTimeout":"0.25s","type":"STATIC","lbPolicy":"RANDOM","perConnectionBufferLimitBytes":1024,
	  "dnsRefreshRate":"86400.000000001s","respectDnsTtl":true,"commonLbConfig":{"healthyPanicThreshold":{"value":12.5}},
	  "circuitBreakers":{"thresholds":[{"maxRequests":5},{"priority":"HIGH","maxRetries":"7"}]},
	  "metadata":{"filterMetadata":{"a":{"b":[1,null,{"c":true,"d":"x"}]}}},
	  "transportSocket":{"name":"t","typedConfig":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"q":1}}},
	  "healthChecks":[{"timeout":"1s","interval":"2s","unhealthyThreshold":2,"healthyThreshold":1,"tcpHealthCheck":{"send":{"text":"00"}}}],
	  "loadAssignment":{"clusterName":"c","endpoints":[{"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"::1","portValue":80}}}}]}]}}`
	want := new(clusterv3.Cluster)
	if err := protojson.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json", "a.yaml", "a"} {
		got, err := cluster(t, name, text)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s: got %v\nwant %v", name, got, want)
		}
	}
}

func TestLeniency(t *testing.T) {
	got, err := cluster(t, "x.yaml", `
name: &n "yes"
alt_stat_name: *n
type: strict_dns
lb_policy: 3
connect_timeout: 1.5s
respect_dns_ttl: on
use_tcp_for_dns_lookups: n
per_connection_buffer_limit_bytes: 0x10
max_requests_per_connection: "1e3"
health_checks: {timeout: 1s, interval: 010s, unhealthy_threshold: 010, healthy_threshold: 1, tcp_health_check: {}}
outlier_detection: null
metadata: {filter_metadata: {a: {f: 1.5, i: 7, s: "7", big: 9007199254740993, b: off}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	fields := got.GetMetadata().GetFilterMetadata()["a"].GetFields()
	for name, ok := range map[string]bool{
		"anchor":       got.Name == "yes" && got.AltStatName == "yes",
		"enum":         got.GetType() == clusterv3.Cluster_STRICT_DNS && got.LbPolicy == clusterv3.Cluster_RANDOM,
		"booleans":     got.RespectDnsTtl && !got.UseTcpForDnsLookups,
		"hexadecimal":  got.PerConnectionBufferLimitBytes.GetValue() == 16,
		"exponent":     got.MaxRequestsPerConnection.GetValue() == 1000,
		"single value": len(got.HealthChecks) == 1 && got.HealthChecks[0].UnhealthyThreshold.GetValue() == 8,
		"null":         got.OutlierDetection == nil,
		"fraction":     fields["f"].GetStringValue() == "1.5",
		"struct":       fields["i"].GetNumberValue() == 7 && fields["s"].GetStringValue() == "7" && !fields["b"].GetBoolValue(),
		"large":        fields["big"].GetStringValue() == "9007199254740993",
	} {
		if !ok {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got, err := cluster(t, "x.json", `{"name":"c","health_checks":[{"timeout":"1s",},],}`); err != nil || len(got.HealthChecks) != 1 {
		t.Errorf("trailing commas: %v %v", got, err)
	}
}

func TestEveryErrorHasItsPath(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.yaml", "name: a\nfoo: 1\nload_assignment:\n  endpoints:\n  - lb_endpoints:\n    - endpoint: {addres: {}}\n",
			"foo: no such field in envoy.config.cluster.v3.Cluster (line 2)\n" +
				"load_assignment.endpoints[0].lb_endpoints[0].endpoint.addres: no such field in envoy.config.endpoint.v3.Endpoint (line 6)"},
		{"a.yaml", "name: 5", "name: expected a string, got 5 (line 1)"},
		{"a.yaml", "name: a\nname: b", `line 2: the key "name" stands twice`},
		{"a.json", `{"name":"a","name":"b"}`, `invalid JSON, line 1: the key "name" stands twice`},
		{"a.yaml", "altStatName: a\nalt_stat_name: b", "alt_stat_name: the field alt_stat_name stands twice (line 2)"},
		{"a.yaml", "type: STATIC\ncluster_type: {name: x}", "cluster_type: cannot be set together with type (line 2)"},
		{"a.yaml", "lb_policy: NOPE", `lb_policy: "NOPE" is not a value of envoy.config.cluster.v3.Cluster.LbPolicy (line 1)`},
		{"a.yaml", "respect_dns_ttl: maybe", `respect_dns_ttl: expected true or false, got "maybe" (line 1)`},
		{"a.yaml", "connect_timeout: 5", `connect_timeout: expected a duration such as "1.5s", got 5 (line 1)`},
		{"a.yaml", "connect_timeout: 1m", `connect_timeout: expected a duration such as "1.5s", got "1m" (line 1)`},
		{"a.yaml", "max_requests_per_connection: -1", "max_requests_per_connection: expected a number (uint32), got -1 (line 1)"},
		{"a.yaml", "max_requests_per_connection: 4294967296", "max_requests_per_connection: expected a number (uint32), got 4294967296 (line 1)"},
		{"a.yaml", "transport_socket: {name: x, typed_config: {\"@type\": type.googleapis.com/a.B}}",
			`transport_socket.typed_config.@type: unknown type "type.googleapis.com/a.B" (line 1)`},
		{"a.yaml", "transport_socket: {typed_config: {x: 1}}", "transport_socket.typed_config.@type: is missing (line 1)"},
		{"a.yaml", "- a", "expected an object, got a list (line 1)"},
		{"a.yaml", "a: &a [*a]", `the anchor "a" contains itself`},
		{"a.json", `{"name":"a"} x`, "invalid JSON, line 1: unexpected 'x' after the value"},
		{"a.json", `{"name":"a"`, "invalid JSON, line 1: unexpected end"},
		{"a.json", "{\n\"name\": tru}", "invalid JSON, line 2: unexpected 't'"},
		{"a.json", strings.Repeat("[", 200), "invalid JSON, line 1: nested deeper than 100"},
	} {
		_, err := cluster(t, c.name, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestBootstrapMerges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.json")
	if err := os.WriteFile(file, []byte(`{"node":{"id":"a","cluster":"c"},"static_resources":{"clusters":[{"name":"one"}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, r, err := Bootstrap(file, "node: {id: b}\nstatic_resources: {clusters: {name: two}, no_such: 1}", Options{AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	if b.Node.Id != "b" || b.Node.Cluster != "c" || len(b.StaticResources.Clusters) != 2 || r.Unknown != 1 {
		t.Errorf("%v %+v", b, r)
	}
	_, _, err = Bootstrap(file, "static_resources: {clusters: {name: ''}}", Options{})
	if err == nil || !strings.HasSuffix(err.Error(), "static_resources.clusters[1].name: value length must be at least 1 runes") {
		t.Errorf("the messages' rules: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	r, err := Discovery("x.yaml", []byte("version_info: '3'\nresources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: a\n"))
	if err != nil || r.VersionInfo != "3" || len(r.Resources) != 1 {
		t.Errorf("%v %v", r, err)
	}
}

func TestFromStruct(t *testing.T) {
	b := new(bootstrapv3.Bootstrap)
	if _, err := Decode("", []byte("node: {metadata: {stat_prefix: x, codec_type: http2, route_config: {name: r}}}"), b, Options{}); err != nil {
		t.Fatal(err)
	}
	m := new(hcmv3.HttpConnectionManager)
	if err := FromStruct(b.Node.Metadata, m, fieldpath.New("f")); err != nil || m.StatPrefix != "x" || m.CodecType != hcmv3.HttpConnectionManager_HTTP2 {
		t.Errorf("%v %v", m, err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"name":"a","x":[1,2.5e3,null,"\u0041",],}`)
	f.Fuzz(func(_ *testing.T, s string) {
		_, _ = Decode("a.json", []byte(s), new(clusterv3.Cluster), Options{})
		_, _ = Decode("a.yaml", []byte(s), new(clusterv3.Cluster), Options{})
	})
}
