package client

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

// The type URLs of resources.
const (
	Listener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	Routes    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	Scope     = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
	Cluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	Endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	Secret    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
	Runtime   = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
	Extension = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
)

// service describes the discovery service of a type.
type service struct {
	rank       int // order on ADS
	sotw       string
	delta      string
	wholeWorld bool // state of the world: what is missing is gone
}

func serviceOf(typeURL string) (service, error) {
	s := func(rank int, pkg, name, method string, whole bool) service {
		p := "/envoy.service." + pkg + ".v3." + name + "DiscoveryService/"
		return service{rank, p + "Stream" + method, p + "Delta" + method, whole}
	}
	switch typeURL {
	case Cluster:
		return s(0, "cluster", "Cluster", "Clusters", true), nil
	case Endpoints:
		return s(1, "endpoint", "Endpoint", "Endpoints", false), nil
	case Secret:
		return s(2, "secret", "Secret", "Secrets", false), nil
	case Listener:
		return s(3, "listener", "Listener", "Listeners", true), nil
	case Scope:
		return s(4, "route", "ScopedRoutes", "ScopedRoutes", true), nil
	case Routes:
		return s(5, "route", "Route", "Routes", false), nil
	case Extension:
		return s(6, "extension", "ExtensionConfig", "ExtensionConfigs", false), nil
	case Runtime:
		return s(7, "runtime", "Runtime", "Runtime", false), nil
	}
	return service{}, fmt.Errorf("no discovery service for resources of type %q", typeURL)
}

const (
	adsStream = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
	adsDelta  = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
)

// Resource is one resource as it was sent. Its message is not decoded.
type Resource struct {
	Name    string
	Version string // of the resource (delta) or of the response
	Message *anypb.Any
	TTL     time.Duration // 0: for ever
}

// Update is what a Handler is given at a time.
type Update struct {
	Version string // of the response (system_version_info in delta)
	// Whole says that Added is everything there is: what it lacks is gone.
	Whole   bool
	Added   []Resource
	Removed []string
	// Cached says that the update is from the disk, or was got by another
	// subscription before; not from the control plane just now.
	Cached bool
}

// Rejected is a resource that a Handler refuses; Name is "" when it refuses
// the update as a whole. Err names the field.
type Rejected struct {
	Name string
	Err  error
}

// Handler takes the resources of a subscription. It is called on the Loop.
type Handler interface {
	// OnUpdate applies an update and returns what it refuses; the rest is in
	// force. Nobody changes the messages.
	OnUpdate(u *Update) []Rejected
	// OnFetchTimeout: initial_fetch_timeout is over and nothing has come; go on
	// without. An update may still follow.
	OnFetchTimeout()
}

// SubscriptionConfig is what is asked for.
type SubscriptionConfig struct {
	TypeURL string
	// Names are the resources wanted; nil is a wildcard (CDS, LDS).
	Names   []string
	Handler Handler
	Stats   *Stats
	// FetchTimeout is ConfigSource.initial_fetch_timeout, default 15 s in
	// Envoy; 0 is none.
	FetchTimeout time.Duration
}

// Subscription is a standing request.
type Subscription interface {
	// SetNames replaces the names.
	SetNames(names []string)
	// Close ends it; the handler is not called any more.
	Close()
}

// Source is where configuration comes from: a Mux or a File.
type Source interface {
	Subscribe(c SubscriptionConfig) (Subscription, error)
	// Pause holds back requests of a type, acknowledgements too, until resume
	// is called: CDS is not acknowledged while a cluster warms. It counts.
	Pause(typeURL string) (resume func())
}

// nameOf reads the name of a resource, which is field 1 of every type.
func nameOf(message []byte) (string, error) {
	name := ""
	for b := message; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", fmt.Errorf("broken message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if num == 1 && typ == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return "", fmt.Errorf("broken message: %w", protowire.ParseError(n))
			}
			name, b = string(v), b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return "", fmt.Errorf("broken message: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return name, nil
}
