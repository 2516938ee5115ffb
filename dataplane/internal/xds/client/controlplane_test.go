package client

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryservice "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// controlPlane is go-control-plane's server over a snapshot cache.
type controlPlane struct {
	t     *testing.T
	addr  string
	cache cachev3.SnapshotCache
	srv   *grpc.Server
}

func (c *controlPlane) start() {
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = l.Addr().String()
	c.srv = grpc.NewServer()
	discoveryservice.RegisterAggregatedDiscoveryServiceServer(c.srv, serverv3.NewServer(context.Background(), c.cache, nil))
	go func() { _ = c.srv.Serve(l) }()
}

// set makes a snapshot of a cluster for each name, and its endpoints.
func (c *controlPlane) set(version string, names ...string) {
	var clusters, endpoints []types.Resource
	for _, n := range names {
		clusters = append(clusters, message(c.t, resource(Cluster, n, version)).(*clusterv3.Cluster))
		endpoints = append(endpoints, message(c.t, resource(Endpoints, n, version)).(*endpointv3.ClusterLoadAssignment))
	}
	s, err := cachev3.NewSnapshot(version, map[resourcev3.Type][]types.Resource{resourcev3.ClusterType: clusters, resourcev3.EndpointType: endpoints})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cache.SetSnapshot(context.Background(), "n", s); err != nil {
		c.t.Fatal(err)
	}
}

func message(t *testing.T, a *anypb.Any) proto.Message {
	m, err := a.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoControlPlane runs the client against another implementation's server,
// in both protocols, through a restart of it.
func TestGoControlPlane(t *testing.T) {
	for _, delta := range []bool{false, true} {
		t.Run(fmt.Sprintf("delta %v", delta), func(t *testing.T) {
			t.Parallel()
			cp := &controlPlane{t: t, addr: "127.0.0.1:0", cache: cachev3.NewSnapshotCache(true, cachev3.IDHash{}, nil)}
			cp.set("1", "a", "b")
			cp.start()
			loop := NewLoop()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() { _ = loop.Run(ctx) }()
			g, err := NewGRPC(cp.addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = g.Close() }()
			m, err := New(Config{Loop: loop, Transport: g, Delta: delta, Node: &corev3.Node{Id: "n"}, NodeOnFirstOnly: true,
				BackOffBase: 10 * time.Millisecond, BackOffMax: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			cds, eds := newTable(Cluster), newTable(Endpoints)
			var sub Subscription
			ask := func(f func()) {
				done := make(chan struct{})
				loop.Post(func() { f(); close(done) })
				<-done
			}
			// The endpoints of all clusters are asked for, as clusters come and go.
			cds.then = func(*Update) {
				names := make([]string, 0, len(cds.have))
				for n := range cds.have {
					names = append(names, n)
				}
				if sub == nil {
					sub, _ = m.Subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: names, Handler: eds})
				} else {
					sub.SetNames(names)
				}
			}
			ask(func() { _, err = m.Subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds}) })
			if err != nil {
				t.Fatal(err)
			}
			wait := func(clusters, endpoints string) {
				t.Helper()
				for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
					var c, e string
					ask(func() { c, e = cds.String(), eds.String() })
					if c == clusters && e == endpoints {
						return
					}
					if time.Now().After(end) {
						t.Fatalf("%q %q, want %q %q", c, e, clusters, endpoints)
					}
				}
			}
			wait("a=1 b=1", "a=1 b=1")
			cp.set("2", "a", "b", "c")
			wait("a=2 b=2 c=2", "a=2 b=2 c=2")
			cp.srv.Stop()
			cp.set("3", "a", "c")
			cp.start()
			ask(func() { delete(eds.have, "b") }) // state of the world EDS does not tell of it
			wait("a=3 c=3", "a=3 c=3")
			ask(m.Close)
			cp.srv.Stop()
		})
	}
}
