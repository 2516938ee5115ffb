package support

import (
	"os"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

const table = `
# a comment
envoy.config.cluster.v3.Cluster:
  name lb_policy=ROUND_ROBIN|RANDOM per_connection_buffer_limit_bytes=7
  typed_extension_protocol_options circuit_breakers metadata
  !dns_lookup_family it is a hint
envoy.config.cluster.v3.CircuitBreakers:
  thresholds
envoy.config.cluster.v3.CircuitBreakers.Thresholds:
  max_requests
`

func TestCheck(t *testing.T) {
	tab := Table{}
	if err := tab.add("x.txt", table); err != nil {
		t.Fatal(err)
	}
	good := &clusterv3.Cluster{
		Name: "a", LbPolicy: clusterv3.Cluster_RANDOM, DnsLookupFamily: clusterv3.Cluster_V6_ONLY,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(7),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"x": {TypeUrl: "y"}},
		CircuitBreakers:               &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRequests: wrapperspb.UInt32(1)}}},
	}
	if err := tab.Check(good, fieldpath.New("c")); err != nil {
		t.Error(err)
	}
	bad := &clusterv3.Cluster{
		Name: "a", AltStatName: "alt", LbPolicy: clusterv3.Cluster_MAGLEV, PerConnectionBufferLimitBytes: wrapperspb.UInt32(8),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{
			{}, {MaxRequests: wrapperspb.UInt32(1), MaxRetries: wrapperspb.UInt32(3)},
		}},
		Metadata: &corev3.Metadata{},
	}
	err := tab.Check(bad, fieldpath.New("c"))
	want := `c.alt_stat_name: is not supported: alt
c.circuit_breakers.thresholds[1].max_retries: is not supported: 3
c.lb_policy: the value MAGLEV is not supported (supported: ROUND_ROBIN, RANDOM)
c.metadata: envoy.config.core.v3.Metadata is not supported: {}
c.per_connection_buffer_limit_bytes: the value 8 is not supported (supported: 7)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestTableErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a.B\n":               "x:1: a message's name ends with a colon",
		"  f\n":               "x:1: fields without a message",
		"a.B:\n  f f\n":       "x:2: field f stands there twice",
		"a.B:\n  !f\n":        "x:2: field f is ignored without a reason",
		"a.B:\n  f\na.B:\n f": "x:3: a.B is described twice",
	} {
		if err := (Table{}).add("x", text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// HAWSER_UPDATE=1 go test ./internal/support writes SUPPORT.md again.
func TestSupportMatrixIsCurrent(t *testing.T) {
	tab, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../SUPPORT.md"
	if os.Getenv("HAWSER_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(tab.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(got)) != strings.TrimSpace(tab.Markdown()) {
		t.Error("SUPPORT.md is not what the tables say; run HAWSER_UPDATE=1 go test ./internal/support")
	}
}

func TestUnpack(t *testing.T) {
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p := fieldpath.New("x")
	addr := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1},
	}}}
	if err := Unpack(pack(addr), new(corev3.Address), p); err != nil {
		t.Error(err)
	}
	addr.GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: 70000}
	for _, c := range []struct {
		a    *anypb.Any
		want string
	}{
		{nil, "x: is missing; envoy.config.core.v3.Address is wanted"},
		{pack(new(corev3.Pipe)), "x: is a envoy.config.core.v3.Pipe, not a envoy.config.core.v3.Address"},
		{&anypb.Any{TypeUrl: "type.googleapis.com/envoy.config.core.v3.Address", Value: []byte{1}}, "x: broken envoy.config.core.v3.Address"},
		{pack(addr), "x.socket_address.port_value: value must be less than or equal to 65535"},
		{pack(&corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: "l"},
		}}}), `x.envoy_internal_address: is not supported: {"server_listener_name":"l"}`},
	} {
		if err := Unpack(c.a, new(corev3.Address), p); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}
