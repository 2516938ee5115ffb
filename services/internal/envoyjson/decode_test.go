package envoyjson

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func object(t *testing.T, text string) *structpb.Struct {
	t.Helper()
	s := new(structpb.Struct)
	if err := protojson.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// What protojson reads too must come out the same.
func TestSameAsProtojson(t *testing.T) {
	for _, text := range []string{
		`{"name":"c","connectTimeout":"0.25s","type":"STATIC","lbPolicy":"RANDOM","perConnectionBufferLimitBytes":1024,
		  "circuitBreakers":{"thresholds":[{"maxRequests":5},{"priority":"HIGH","maxRetries":"7"}]},
		  "metadata":{"filterMetadata":{"a":{"b":[1,null,{"c":true}]}}},
		  "healthChecks":[{"timeout":"1s","interval":"2s","unhealthyThreshold":2,"healthyThreshold":1,"tcpHealthCheck":{}}],
		  "loadAssignment":{"clusterName":"c","endpoints":[{"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"::1","portValue":80}}}}]}]}}`,
	} {
		want, got := new(clusterv3.Cluster), new(clusterv3.Cluster)
		if err := protojson.Unmarshal([]byte(text), want); err != nil {
			t.Fatal(err)
		}
		if problems := Decode("r", object(t, text), got); len(problems) > 0 {
			t.Error(problems)
		}
		if !proto.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	}
}

func TestEveryProblemHasItsPath(t *testing.T) {
	text := `{"name": 5, "address": {"socket_address": {"address": "::", "port_value": 70000, "protocol": "QUIC"}},
	  "filter_chains": [{"filters": [
	    {"name": "a", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "idle": "1s"}},
	    {"name": "b", "typed_config": {"@type": "type.googleapis.com/a.B"}},
	    {"name": "c", "typed_config": {"x": 1}},
	    {"name": "d", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster": "c"}}
	  ]}],
	  "drainType": "default", "drain_type": "default", "bind_to_port": "maybe"}`
	var got []string
	for _, p := range Decode("r", object(t, text), new(listenerv3.Listener)) {
		got = append(got, p.Path)
	}
	want := []string{
		"r.address.socket_address.protocol", "r.bind_to_port", "r.drain_type",
		"r.filter_chains[0].filters[0].typed_config.idle", "r.filter_chains[0].filters[1].typed_config.@type",
		"r.filter_chains[0].filters[2].typed_config.@type", "r.filter_chains[0].filters[3].typed_config.stat_prefix", "r.name",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOneofAndSingleValue(t *testing.T) {
	both := `{"name":"c","connect_timeout":"1s","type":"STATIC","cluster_type":{"name":"x"}}`
	if p := Decode("r", object(t, both), new(clusterv3.Cluster)); len(p) != 1 || !strings.Contains(p[0].Message, "cannot be set together") {
		t.Errorf("%v", p)
	}
	c := new(clusterv3.Cluster)
	single := `{"name":"c","connect_timeout":"1s","health_checks":{"timeout":"1s","interval":"2s","unhealthy_threshold":2,"healthy_threshold":1,"tcp_health_check":{}}}`
	if p := Decode("r", object(t, single), c); len(p) > 0 || len(c.GetHealthChecks()) != 1 {
		t.Errorf("%v %v", p, c)
	}
}
