package resource

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Kinds of resources.
const (
	Gateway       = "Gateway"
	HTTPRoute     = "HTTPRoute"
	Service       = "Service"
	Workload      = "Workload"
	EnvoyResource = "EnvoyResource"
)

// API versions, as documents name them.
const (
	GatewayAPIVersion = "gateway.networking.k8s.io/v1"
	HawserAPIVersion  = "hawser.dev/v1"
)

// ProxyClustersAnnotation on a Gateway limits it to the proxies whose
// node.cluster is in its comma-separated list.
const ProxyClustersAnnotation = "hawser.dev/proxy-clusters"

// DefaultNamespace is taken where neither document nor request name one.
const DefaultNamespace = "default"

type kind struct {
	name string
	// The first is canonical; v1beta1 documents of the Gateway API have the
	// same fields and are stored as v1.
	apiVersions []string
	spec        func() proto.Message
	check       func(*checker, proto.Message)
}

// kinds is in the order in which people should see them.
func kinds() []kind {
	gatewayAPI := []string{GatewayAPIVersion, "gateway.networking.k8s.io/v1beta1"}
	hawser := []string{HawserAPIVersion}
	return []kind{
		{Gateway, gatewayAPI, func() proto.Message { return new(configv1.GatewaySpec) },
			func(c *checker, m proto.Message) { c.gateway(m.(*configv1.GatewaySpec)) }},
		{HTTPRoute, gatewayAPI, func() proto.Message { return new(configv1.HTTPRouteSpec) },
			func(c *checker, m proto.Message) { c.httpRoute(m.(*configv1.HTTPRouteSpec)) }},
		{Service, hawser, func() proto.Message { return new(configv1.ServiceSpec) },
			func(c *checker, m proto.Message) { c.service(m.(*configv1.ServiceSpec)) }},
		{Workload, hawser, func() proto.Message { return new(configv1.WorkloadSpec) },
			func(c *checker, m proto.Message) { c.workload(m.(*configv1.WorkloadSpec)) }},
		{EnvoyResource, hawser, func() proto.Message { return new(configv1.EnvoyResourceSpec) },
			func(c *checker, m proto.Message) { c.envoyResource(m.(*configv1.EnvoyResourceSpec)) }},
	}
}

// Kinds lists the names of all kinds.
func Kinds() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

func kindOf(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// FindKind gives the kind that a person means by name: any case, singular or
// plural ("httproutes", "Gateway").
func FindKind(name string) (string, bool) {
	for _, k := range kinds() {
		if strings.EqualFold(name, k.name) || strings.EqualFold(name, k.name+"s") {
			return k.name, true
		}
	}
	return "", false
}

// Key identifies a resource in a mesh.
type Key struct {
	Kind, Namespace, Name string
}

// KeyOf gives the key of a resource that has its namespace filled in.
func KeyOf(r *configv1.Resource) Key {
	return Key{r.GetKind(), r.GetMetadata().GetNamespace(), r.GetMetadata().GetName()}
}

// KeyOfRef gives the key that a reference names.
func KeyOfRef(r *configv1.ResourceRef) Key {
	return Key{r.GetKind(), r.GetNamespace(), r.GetName()}
}

// Ref is the protocol's form of the key.
func (k Key) Ref() *configv1.ResourceRef {
	return &configv1.ResourceRef{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
}

// String is Kind/namespace/name.
func (k Key) String() string { return k.Kind + "/" + k.Namespace + "/" + k.Name }

// Compare orders keys by kind, namespace, name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// Sort puts resources into the order of their keys.
func Sort(rs []*configv1.Resource) {
	slices.SortFunc(rs, func(a, b *configv1.Resource) int { return KeyOf(a).Compare(KeyOf(b)) })
}

// ProxyClusters gives the node clusters that a Gateway is limited to; nil
// means every proxy.
func ProxyClusters(gateway *configv1.Resource) []string {
	return splitList(gateway.GetMetadata().GetAnnotations()[ProxyClustersAnnotation])
}

func splitList(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
