package assemble

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/credentials"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// Opener makes clients for configuration sources. All fields but Cache and Log
// are needed.
type Opener struct {
	Loop *client.Loop
	Node *corev3.Node
	// Cluster returns the transport of envoy_grpc over the cluster manager; an
	// error when there is no such static cluster.
	Cluster func(s *config.GRPCService) (client.Transport, error)
	Watcher *client.Watcher
	Parse   func(path string, content []byte) (*discoveryv3.DiscoveryResponse, error)
	Stats   *client.ControlPlaneStats
	Cache   *client.Cache
	Log     func(message string)
}

// ADS makes the client of the bootstrap's ads_config.
func (o *Opener) ADS(g *config.GRPCSource) (*client.Mux, error) { return o.mux("", g) }

// Open makes the client of a source of one type; NewSources takes it.
func (o *Opener) Open(typeURL string, s *config.Source) (client.Source, error) {
	switch s.Kind {
	case config.SourcePath:
		return client.NewFile(client.FileConfig{
			Loop: o.Loop, Watcher: o.Watcher, Path: s.Path, WatchedDirectory: s.WatchedDirectory, Parse: o.Parse, Log: o.Log,
		})
	case config.SourceGRPC:
		return o.mux(typeURL, s.GRPC)
	}
	return nil, fmt.Errorf("a source of kind %d is not of its own", s.Kind)
}

func (o *Opener) mux(typeURL string, g *config.GRPCSource) (*client.Mux, error) {
	t, err := o.transport(&g.Service)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		Loop: o.Loop, Transport: t, Type: typeURL, Delta: g.Delta, Node: o.Node, NodeOnFirstOnly: g.NodeOnFirstOnly,
		BackOffBase: g.Service.BackOffBase, BackOffMax: g.Service.BackOffMax,
		RateLimit: g.RateLimit, RateTokens: g.RateTokens, RatePerSecond: g.RatePerSecond,
		Stats: o.Stats, Cache: o.Cache, Log: o.Log,
	})
}

func (o *Opener) transport(s *config.GRPCService) (client.Transport, error) {
	if s.EnvoyCluster != "" {
		return o.Cluster(s)
	}
	var creds credentials.TransportCredentials
	if s.Credentials != nil {
		creds = s.Credentials.(credentials.TransportCredentials)
	}
	return client.NewGRPC(s.GoogleTarget, creds)
}
