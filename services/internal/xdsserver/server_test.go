package xdsserver

import (
	"context"
	"net"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// fixed is a source of one view, and an observer that tells what it hears.
type fixed struct {
	view   *View
	status chan Status
	gone   chan Client
}

func (f *fixed) View(*corev3.Node) (*View, <-chan struct{}) { return f.view, nil }
func (f *fixed) Connected(Client)                           {}
func (f *fixed) Status(_ Client, s Status)                  { f.status <- s }
func (f *fixed) Disconnected(c Client)                      { f.gone <- c }

func serving(t *testing.T, f *fixed) (*Server, *grpc.ClientConn) {
	t.Helper()
	s := New(Config{Source: f, Observer: f, Identifier: "test"})
	g := grpc.NewServer(ServerOptions()...)
	s.Register(g)
	l := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return s, conn
}

// TestServiceOfOneType serves clusters by the state of the world, and ends
// when the server does.
func TestServiceOfOneType(t *testing.T) {
	f := &fixed{view: viewOf(t, 4, made(t, TypeCluster, "c", 1)), status: make(chan Status, 9), gone: make(chan Client, 9)}
	server, conn := serving(t, f)
	stream, err := clusterservicev3.NewClusterDiscoveryServiceClient(conn).StreamClusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node := &corev3.Node{Id: "n", Cluster: "k", Extensions: []*corev3.Extension{{Name: "large"}}}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: node}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || len(r.GetResources()) != 1 || r.GetTypeUrl() != TypeCluster || r.GetControlPlane().GetIdentifier() != "test" {
		t.Fatalf("%v %v", r, err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: TypeCluster, ResponseNonce: r.GetNonce(), VersionInfo: r.GetVersionInfo()}); err != nil {
		t.Fatal(err)
	}
	if s := <-f.status; s.Settled != 4 {
		t.Errorf("%+v", s)
	}
	server.Stop()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	if c := <-f.gone; c.Node.GetCluster() != "k" || len(c.Node.GetExtensions()) != 0 {
		t.Errorf("%v", c.Node)
	}
}

func TestRefusedStreams(t *testing.T) {
	f := &fixed{view: viewOf(t, 1), status: make(chan Status, 9), gone: make(chan Client, 9)}
	_, conn := serving(t, f)
	for name, requests := range map[string][]*discoveryv3.DeltaDiscoveryRequest{
		"no node":      {{TypeUrl: TypeCluster}},
		"no type":      {{Node: &corev3.Node{Id: "n"}}},
		"a large node": {{TypeUrl: TypeCluster, Node: &corev3.Node{Id: string(make([]byte, maxNode))}}},
	} {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requests {
			if err := stream.Send(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
