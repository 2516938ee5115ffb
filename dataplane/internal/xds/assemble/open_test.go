package assemble

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

func TestOpener(t *testing.T) {
	asked := ""
	o := &Opener{Loop: client.NewLoop(), Node: new(corev3.Node), Cluster: func(s *config.GRPCService) (client.Transport, error) {
		if asked = s.EnvoyCluster; asked == "missing" {
			return nil, errors.New("no cluster")
		}
		return client.NewClusterTransport(func(func()) bool { return true }, nil), nil
	}}
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSources(nil, o.Open)
	grpc := func(cluster string, hash uint64) *config.Source {
		return &config.Source{Kind: config.SourceGRPC, GRPC: &config.GRPCSource{Service: config.GRPCService{EnvoyCluster: cluster, Hash: hash}}}
	}
	one, err := s.Get(client.Endpoints, grpc("xds", 1))
	if err != nil || asked != "xds" {
		t.Fatal(err)
	}
	if same, _ := s.Get(client.Endpoints, grpc("xds", 1)); same != one {
		t.Fatal("equal sources must share a stream")
	}
	if other, _ := s.Get(client.Endpoints, grpc("xds", 2)); other == one {
		t.Fatal("different services share a stream")
	}
	if other, _ := s.Get(client.Routes, grpc("xds", 1)); other == one {
		t.Fatal("different types share a stream of one type")
	}
	if _, err := s.Get(client.Endpoints, &config.Source{Kind: config.SourcePath, Path: path}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(client.Endpoints, &config.Source{Kind: config.SourceGRPC, GRPC: &config.GRPCSource{Service: config.GRPCService{GoogleTarget: "127.0.0.1:1"}}}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*config.Source{nil, {Kind: config.SourceADS}, grpc("missing", 3), {Kind: config.SourcePath, Path: path + "x"}} {
		if _, err := s.Get(client.Endpoints, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
