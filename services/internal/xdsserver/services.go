package xdsserver

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

type (
	deltaStream = grpc.BidiStreamingServer[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]
	stateStream = grpc.BidiStreamingServer[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]
)

// deltaWire speaks the incremental variant.
type deltaWire struct {
	deltaStream
	control *corev3.ControlPlane
}

func (w *deltaWire) receive() (*Request, *corev3.Node, error) {
	m, err := w.Recv()
	if err != nil {
		return nil, nil, err
	}
	return &Request{
		TypeURL: m.GetTypeUrl(), Nonce: m.GetResponseNonce(),
		Rejected: m.GetErrorDetail() != nil, Message: m.GetErrorDetail().GetMessage(),
		Subscribe: m.GetResourceNamesSubscribe(), Unsubscribe: m.GetResourceNamesUnsubscribe(),
		Initial: m.GetInitialResourceVersions(),
	}, m.GetNode(), nil
}

func (w *deltaWire) send(r *Response) error {
	list := make([]*discoveryv3.Resource, len(r.Resources))
	for i, res := range r.Resources {
		list[i] = res.delta
	}
	return w.Send(&discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: r.TypeURL, Nonce: r.Nonce, Resources: list, RemovedResources: r.Removed, ControlPlane: w.control,
	})
}

// stateWire speaks the state-of-the-world variant.
type stateWire struct {
	stateStream
	control *corev3.ControlPlane
}

func (w *stateWire) receive() (*Request, *corev3.Node, error) {
	m, err := w.Recv()
	if err != nil {
		return nil, nil, err
	}
	return &Request{
		TypeURL: m.GetTypeUrl(), Nonce: m.GetResponseNonce(),
		Rejected: m.GetErrorDetail() != nil, Message: m.GetErrorDetail().GetMessage(),
		Names: m.GetResourceNames(), Version: m.GetVersionInfo(),
	}, m.GetNode(), nil
}

func (w *stateWire) send(r *Response) error {
	list := make([]*anypb.Any, len(r.Resources))
	for i, res := range r.Resources {
		list[i] = res.Body
	}
	return w.Send(&discoveryv3.DiscoveryResponse{
		TypeUrl: r.TypeURL, Nonce: r.Nonce, VersionInfo: r.Version, Resources: list, ControlPlane: w.control,
	})
}

// kind is the service of one type; an empty url is the aggregated one.
type kind struct {
	s   *Server
	url string
}

func (k kind) control() *corev3.ControlPlane {
	return &corev3.ControlPlane{Identifier: k.s.cfg.Identifier}
}
func (k kind) delta(stream deltaStream) error {
	return k.s.serve(&deltaWire{stream, k.control()}, Delta, k.url)
}
func (k kind) state(stream stateStream) error {
	return k.s.serve(&stateWire{stream, k.control()}, StateOfTheWorld, k.url)
}

type aggregated struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	kind
}

func (a aggregated) StreamAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return a.state(stream)
}

func (a aggregated) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return a.delta(stream)
}

type clusters struct {
	clusterv3.UnimplementedClusterDiscoveryServiceServer
	kind
}

func (c clusters) StreamClusters(stream clusterv3.ClusterDiscoveryService_StreamClustersServer) error {
	return c.state(stream)
}

func (c clusters) DeltaClusters(stream clusterv3.ClusterDiscoveryService_DeltaClustersServer) error {
	return c.delta(stream)
}

type endpoints struct {
	endpointv3.UnimplementedEndpointDiscoveryServiceServer
	kind
}

func (e endpoints) StreamEndpoints(stream endpointv3.EndpointDiscoveryService_StreamEndpointsServer) error {
	return e.state(stream)
}

func (e endpoints) DeltaEndpoints(stream endpointv3.EndpointDiscoveryService_DeltaEndpointsServer) error {
	return e.delta(stream)
}

type listeners struct {
	listenerv3.UnimplementedListenerDiscoveryServiceServer
	kind
}

func (l listeners) StreamListeners(stream listenerv3.ListenerDiscoveryService_StreamListenersServer) error {
	return l.state(stream)
}

func (l listeners) DeltaListeners(stream listenerv3.ListenerDiscoveryService_DeltaListenersServer) error {
	return l.delta(stream)
}

type routes struct {
	routev3.UnimplementedRouteDiscoveryServiceServer
	kind
}

func (r routes) StreamRoutes(stream routev3.RouteDiscoveryService_StreamRoutesServer) error {
	return r.state(stream)
}

func (r routes) DeltaRoutes(stream routev3.RouteDiscoveryService_DeltaRoutesServer) error {
	return r.delta(stream)
}

type secrets struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	kind
}

func (s secrets) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	return s.state(stream)
}

func (s secrets) DeltaSecrets(stream secretv3.SecretDiscoveryService_DeltaSecretsServer) error {
	return s.delta(stream)
}

// Register puts the aggregated service and those of each type onto a gRPC
// server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, aggregated{kind: kind{s, ""}})
	clusterv3.RegisterClusterDiscoveryServiceServer(r, clusters{kind: kind{s, TypeCluster}})
	endpointv3.RegisterEndpointDiscoveryServiceServer(r, endpoints{kind: kind{s, TypeEndpoint}})
	listenerv3.RegisterListenerDiscoveryServiceServer(r, listeners{kind: kind{s, TypeListener}})
	routev3.RegisterRouteDiscoveryServiceServer(r, routes{kind: kind{s, TypeRoute}})
	secretv3.RegisterSecretDiscoveryServiceServer(r, secrets{kind: kind{s, TypeSecret}})
}
