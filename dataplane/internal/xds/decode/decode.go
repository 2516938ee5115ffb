package decode

import (
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	udpav1 "github.com/cncf/xds/go/udpa/type/v1"
	xdsv3 "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode/yaml"
)

// Factory builds a configured extension of the message that an Any at p holds.
// What it returns is the contract type of the extension's kind.
type Factory func(ctx Context, a *anypb.Any, p fieldpath.Path) (any, error)

// Registry is the extensions that there are, by the name of their message
// ("envoy.extensions.filters.http.router.v3.Router").
type Registry struct {
	Network             map[string]Factory // network.FilterFactory
	HTTP                map[string]Factory // filter.Factory
	PerRoute            map[string]Factory // what the filter's Callbacks.RouteConfig expects
	ListenerFilter      map[string]Factory // listener.FilterFactory
	TransportSocketDown map[string]Factory // network.TransportFactory
	TransportSocketUp   map[string]Factory // network.TransportFactory
	AccessLog           map[string]Factory // streaminfo.Logger
}

// Context says for whom an extension is built.
type Context struct {
	Decoder *Decoder
	// Listener is the middle of the listener's statistics names; "" for
	// clusters.
	Listener string
	// StatPrefix is the connection manager's stat_prefix for HTTP filters, the
	// cluster's name for its transport sockets.
	StatPrefix string
	Direction  string // "inbound", "outbound" or ""
	Upstream   bool   // it serves a cluster
	Static     bool   // it belongs to the bootstrap
	// LogFilter is the filter of an access log; nil: everything is logged.
	LogFilter accesslog.Filter
}

// Runtime is what compiled configuration asks of the layered runtime.
type Runtime interface {
	Weight(key string, def uint64) uint64
	EnabledByKey(key string, numerator, denominator uint32, random uint64) bool
}

// Deps are what decoding needs of the rest of the program.
type Deps struct {
	Registry *Registry
	Formats  formatter.Options
	Runtime  Runtime // nil: no key is set
	// Acquire returns a route configuration that RDS gives, for a connection
	// manager with that statistics prefix ("http.<stat_prefix>.").
	Acquire func(name string, src *config.Source, prefix string) (hcm.RouteProvider, error)
	// HasCluster says whether a cluster exists; nil: nothing is checked.
	HasCluster func(name string) bool
	// HealthFailed says whether /healthcheck/fail is in force; may be nil.
	HealthFailed func() bool
	// SourceAddress is cluster_manager.upstream_bind_config, for clusters
	// without one of their own.
	SourceAddress address.Address
	// ServiceNode and ServiceCluster are the node's id and cluster.
	ServiceNode, ServiceCluster string
	// AdminLog opens a file for admin.access_log_path in the default format.
	AdminLog func(path string) (streaminfo.Logger, error)
	// Terminal says whether a network filter's factory ends a filter chain; nil:
	// nothing is checked.
	Terminal func(factory any) bool
	// Strict turns on our own strictness: RFC 9112 and 9113 where Envoy is
	// lenient.
	Strict bool
	// RejectUnknown refuses resources of xDS with fields that no message has.
	RejectUnknown bool
}

// Decoder decodes messages.
type Decoder struct{ deps Deps }

// New returns a decoder. The registry may be filled later, before its first
// use.
func New(d Deps) *Decoder { return &Decoder{deps: d} }

// resource unpacks a resource of xDS: its checks, then the hash of its content
// in a form that does not depend on the order of maps.
func (d *Decoder) resource(a *anypb.Any, m proto.Message, p fieldpath.Path) (hash uint64, raw []byte, err error) {
	if err := support.Unpack(a, m, p); err != nil {
		return 0, nil, err
	}
	if d.deps.RejectUnknown {
		if err := unknown(m.ProtoReflect(), p); err != nil {
			return 0, nil, err
		}
	}
	return hashOf(m)
}

func hashOf(m proto.Message) (uint64, []byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return xxhash.Sum64(b), b, err
}

// build makes an extension.
func (d *Decoder) build(kind map[string]Factory, name string, a *anypb.Any, ctx Context, p fieldpath.Path) (any, error) {
	if a == nil {
		return nil, p.Errorf("Didn't find a registered implementation for name: '%s'", name)
	}
	a, err := typed(a, p)
	if err != nil {
		return nil, err
	}
	f := kind[string(a.MessageName())]
	if f == nil {
		return nil, p.Errorf("Didn't find a registered implementation for '%s' with type URL: '%s'", name, a.MessageName())
	}
	ctx.Decoder = d
	return f(ctx, a, p)
}

var errUnknownType = errors.New("unknown type")

// typed turns a TypedStruct into an Any of the message that it stands for.
func typed(a *anypb.Any, p fieldpath.Path) (*anypb.Any, error) {
	var url string
	var value *structpb.Struct
	switch a.MessageName() {
	case "udpa.type.v1.TypedStruct":
		m := new(udpav1.TypedStruct)
		if err := proto.Unmarshal(a.Value, m); err != nil {
			return nil, p.Wrap(err)
		}
		url, value = m.GetTypeUrl(), m.GetValue()
	case "xds.type.v3.TypedStruct":
		m := new(xdsv3.TypedStruct)
		if err := proto.Unmarshal(a.Value, m); err != nil {
			return nil, p.Wrap(err)
		}
		url, value = m.GetTypeUrl(), m.GetValue()
	default:
		return a, nil
	}
	t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return nil, p.Field("type_url").Errorf("%w %q", errUnknownType, url)
	}
	inner := t.New().Interface()
	if err := yaml.FromStruct(value, inner, p.Field("value")); err != nil {
		return nil, err
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return &anypb.Any{TypeUrl: url, Value: b}, nil
}
