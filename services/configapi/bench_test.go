package configapi

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/metadata"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/pgtest"
)

// BenchmarkApply is one change of one workload in a mesh of 1,000 services
// with 5 workloads each, from the call to the answer.
func BenchmarkApply(b *testing.B) {
	for name, store := range map[string]StoreConfig{
		"sqlite":   {SQLitePath: filepath.Join(b.TempDir(), "store.db")},
		"postgres": {PostgresURL: pgtest.URL(b)},
	} {
		b.Run(name, func(b *testing.B) { benchApply(b, store) })
	}
}

func benchApply(b *testing.B, store StoreConfig) {
	nats, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer nats.Close()
	s, err := New(Config{GRPCAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", AdminToken: adminToken, Store: store, Bus: nats,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(b.Context()) }()
	conn, err := s.Dial()
	if err != nil {
		b.Fatal(err)
	}
	client := configv1.NewConfigServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+adminToken)
	manifest := ""
	for i := range 1000 {
		manifest += fmt.Sprintf("---\napiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: s%d}, ports: [{port: 80}]}\n", i, i)
		for j := range 5 {
			manifest += fmt.Sprintf("---\napiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w%d-%d, labels: {app: s%d}}\nspec: {address: 10.0.0.1}\n", i, j, i)
		}
	}
	for {
		if _, err = client.Apply(ctx, &configv1.ApplyRequest{Manifest: []byte(manifest)}); err == nil {
			break
		}
		if s.store.Load() != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		i++
		doc := fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w7-1, labels: {app: s7}}\nspec: {address: 10.0.0.1, weight: %d}\n", i%128+1)
		if _, err := client.Apply(ctx, &configv1.ApplyRequest{Manifest: []byte(doc)}); err != nil {
			b.Fatal(err)
		}
	}
}
