package client

import (
	"net"
	"testing"
	"time"

	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// echoServer answers each request with its names.
type echoServer struct {
	clusterservice.UnimplementedClusterDiscoveryServiceServer
}

func (echoServer) StreamClusters(s clusterservice.ClusterDiscoveryService_StreamClustersServer) error {
	r, err := s.Recv()
	if err != nil {
		return err
	}
	if err := s.Send(&discoveryv3.DiscoveryResponse{VersionInfo: r.ResourceNames[0], Nonce: "1"}); err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

// recorder is a StreamHandler on channels.
type recorder struct {
	messages chan []byte
	ended    chan error
}

func newRecorder() *recorder { return &recorder{make(chan []byte, 10), make(chan error, 10)} }

func (r *recorder) OnMessage(m []byte) { r.messages <- m }
func (r *recorder) OnEnd(err error)    { r.ended <- err }

func receive[T any](t *testing.T, c chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("")
	}
}

func TestGRPCTransport(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	clusterservice.RegisterClusterDiscoveryServiceServer(srv, echoServer{})
	go func() { _ = srv.Serve(l) }()
	g, err := NewGRPC(l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	method := "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters"
	request, err := proto.Marshal(&discoveryv3.DiscoveryRequest{ResourceNames: []string{"hello"}})
	if err != nil {
		t.Fatal(err)
	}
	one, two := newRecorder(), newRecorder()
	s := g.Open(method, one)
	s.Send(request)
	var r discoveryv3.DiscoveryResponse
	if err := proto.Unmarshal(receive(t, one.messages), &r); err != nil || r.VersionInfo != "hello" {
		t.Fatalf("%v %v", &r, err)
	}
	g.Open(method, two).Close()
	srv.Stop()
	if receive(t, one.ended) == nil {
		t.Fatal("the end has no reason")
	}
	s.Send(request) // ignored
	three := newRecorder()
	g.Open(method, three)
	receive(t, three.ended) // nobody listens
	if len(two.ended) > 0 {
		t.Fatal("a stream that its user closed must not report its end")
	}
}
