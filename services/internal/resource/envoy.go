package resource

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/envoyjson"
)

// typePrefix starts every type URL.
const typePrefix = "type.googleapis.com/"

// ReservedPrefix starts the names of the xDS resources that are made from the
// other kinds; an EnvoyResource cannot have such a name.
const ReservedPrefix = "hawser/"

// Types of EnvoyResource.
const (
	TypeListener = "LISTENER"
	TypeRoute    = "ROUTE"
	TypeCluster  = "CLUSTER"
	TypeEndpoint = "ENDPOINT"
	TypeSecret   = "SECRET"
)

func newEnvoy(kind string) proto.Message {
	switch kind {
	case TypeListener:
		return new(listenerv3.Listener)
	case TypeRoute:
		return new(routev3.RouteConfiguration)
	case TypeCluster:
		return new(clusterv3.Cluster)
	case TypeEndpoint:
		return new(endpointv3.ClusterLoadAssignment)
	case TypeSecret:
		return new(tlsv3.Secret)
	}
	return nil
}

// DecodeEnvoy gives the raw resource of an EnvoyResource: a *Listener,
// *RouteConfiguration, *Cluster, *ClusterLoadAssignment or *Secret, and its
// xDS name. An accepted resource has no violations.
func DecodeEnvoy(spec *configv1.EnvoyResourceSpec) (proto.Message, string, Violations) {
	m := newEnvoy(spec.GetType())
	if m == nil {
		return nil, "", Violations{{"spec.type", short(spec.GetType()) + " is not one of LISTENER, ROUTE, CLUSTER, ENDPOINT, SECRET"}}
	}
	if spec.Resource == nil {
		return nil, "", Violations{{"spec.resource", "is missing"}}
	}
	want := typePrefix + string(m.ProtoReflect().Descriptor().FullName())
	if given := spec.Resource.GetFields()["@type"]; given != nil && given.GetStringValue() != want {
		return nil, "", Violations{{"spec.resource.@type", short(given.GetStringValue()) + " does not fit spec.type (expected " + want + ")"}}
	}
	var bad Violations
	for _, p := range envoyjson.Decode("spec.resource", spec.Resource, m) {
		bad = append(bad, Violation{p.Path, p.Message})
	}
	name := envoyName(m)
	if name == "" && len(bad) == 0 {
		bad = append(bad, Violation{"spec.resource." + nameField(spec.GetType()), "is missing"})
	}
	if strings.HasPrefix(name, ReservedPrefix) {
		bad = append(bad, Violation{"spec.resource." + nameField(spec.GetType()),
			short(name) + " starts with " + ReservedPrefix + ", which is reserved for generated resources"})
	}
	return m, name, bad
}

func nameField(kind string) string {
	if kind == TypeEndpoint {
		return "cluster_name"
	}
	return "name"
}

func envoyName(m proto.Message) string {
	switch m := m.(type) {
	case *endpointv3.ClusterLoadAssignment:
		return m.GetClusterName()
	case interface{ GetName() string }:
		return m.GetName()
	}
	return ""
}

func (c *checker) envoyResource(spec *configv1.EnvoyResourceSpec) {
	_, _, bad := DecodeEnvoy(spec)
	c.violations = append(c.violations, bad...)
	for i, s := range spec.GetProxies().GetClusters() {
		if s == "" {
			c.fail(index("spec.proxies.clusters", i), "is empty")
		}
	}
	for i, s := range spec.GetProxies().GetIds() {
		if s == "" {
			c.fail(index("spec.proxies.ids", i), "is empty")
		}
	}
}

// Claim is what a resource takes for itself in the mesh; two resources with
// the same claim are compared by Overlap. Empty: nothing.
func Claim(r *configv1.Resource) string {
	if r.GetKind() != EnvoyResource {
		return ""
	}
	spec, bad := Decode(r)
	if len(bad) > 0 {
		return ""
	}
	_, name, bad := DecodeEnvoy(spec.(*configv1.EnvoyResourceSpec))
	if len(bad) > 0 {
		return ""
	}
	return spec.(*configv1.EnvoyResourceSpec).GetType() + "/" + name
}

// Overlap tells whether some proxy could get both of two EnvoyResources.
func Overlap(a, b *configv1.Resource) bool {
	sa, _ := Decode(a)
	sb, _ := Decode(b)
	pa, pb := sa.(*configv1.EnvoyResourceSpec).GetProxies(), sb.(*configv1.EnvoyResourceSpec).GetProxies()
	return meet(pa.GetClusters(), pb.GetClusters()) && meet(pa.GetIds(), pb.GetIds())
}

// meet: two lists of which an empty one means everything.
func meet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
