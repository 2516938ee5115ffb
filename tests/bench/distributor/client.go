package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	clusters  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	listeners = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routes    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// seen is a resource that a client got and acknowledged.
type seen struct {
	client  int
	name    string
	version string
	at      time.Time
}

// client is a delta client of the aggregated service: clusters and listeners
// by wildcard, assignments and routes by name, as proxies do.
type client struct {
	id       int
	versions map[string]map[string]string
	conn     *grpc.ClientConn
	stream   discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	ended    chan struct{}
}

// sink is where clients tell what they got.
type sink struct {
	resources atomic.Int64
	bytes     atomic.Int64
	// watch is the one assignment that is measured.
	watch  atomic.Pointer[string]
	events chan seen
}

// connect opens a stream; what the client has from an earlier one it says.
func (c *client) connect(ctx context.Context, address string, s *sink) error {
	var err error
	// A window for each client would be the kernel's memory, not the server's.
	c.conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return err
	}
	c.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(c.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	c.ended = make(chan struct{})
	order := []string{clusters, endpoints, listeners, routes}
	node := &corev3.Node{Id: fmt.Sprint("bench-", c.id), Cluster: "bench", UserAgentName: "bench"}
	for _, url := range order {
		have := c.versions[url]
		if have == nil && (url == endpoints || url == routes) {
			continue // it does not know any names yet
		}
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, Node: node, InitialResourceVersions: have}
		if url == endpoints || url == routes {
			for name := range have {
				r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, name)
			}
		}
		if err := c.stream.Send(r); err != nil {
			return err
		}
	}
	go c.receive(s)
	return nil
}

func (c *client) receive(s *sink) {
	defer close(c.ended)
	for {
		r, err := c.stream.Recv()
		if err != nil {
			return
		}
		url := r.GetTypeUrl()
		if c.versions[url] == nil {
			c.versions[url] = map[string]string{}
		}
		var fresh []string
		for _, res := range r.GetResources() {
			if _, had := c.versions[url][res.GetName()]; !had {
				fresh = append(fresh, res.GetName())
			}
			c.versions[url][res.GetName()] = res.GetVersion()
			s.bytes.Add(int64(len(res.GetResource().GetValue())))
		}
		s.resources.Add(int64(len(r.GetResources())))
		for _, name := range r.GetRemovedResources() {
			delete(c.versions[url], name)
		}
		if err := c.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResponseNonce: r.GetNonce()}); err != nil {
			return
		}
		if watch := s.watch.Load(); watch != nil && url == endpoints {
			for _, res := range r.GetResources() {
				if res.GetName() == *watch {
					s.events <- seen{c.id, res.GetName(), res.GetVersion(), time.Now()}
				}
			}
		}
		// What was new of clusters and listeners brings names to ask for.
		next := map[string]string{clusters: endpoints, listeners: routes}[url]
		if next != "" && len(fresh) > 0 {
			if err := c.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: next, ResourceNamesSubscribe: fresh}); err != nil {
				return
			}
		}
	}
}

func (c *client) close() {
	_ = c.conn.Close()
	<-c.ended
}
