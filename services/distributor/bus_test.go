package distributor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// TestBusIsLost: the bus goes away, with or without its files, revisions are
// committed meanwhile, and it comes back.
func TestBusIsLost(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprint("wiped ", wiped), func(t *testing.T) {
			m := newMesh(t)
			m.stopDist()
			m.stopAPI()
			m.bus.Close()
			// Both speak to a server that can be stopped for itself.
			cfg := bus.EmbeddedConfig{StoreDir: filepath.Join(m.dir, "remote"), Host: "127.0.0.1"}
			remote, err := bus.StartEmbedded(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(remote.URL(), "nats://127.0.0.1:%d", &cfg.Port); err != nil {
				t.Fatal(err)
			}
			m.bus, m.natsURL = remote, remote.URL()
			m.startAPI()
			m.startDist()
			service := func(i int) string {
				return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: x}, ports: [{port: 80}]}", i)
			}
			has := func(p *deltaProxy, i int) func() bool {
				return p.has(xdsserver.TypeEndpoint, fmt.Sprintf("hawser/default/s%d/80", i))
			}
			p := m.proxy("p1")
			m.apply(service(1))
			p.until(t, "with the bus", has(p, 1))
			remote.Close()
			m.apply(service(2))
			lost := time.Now()
			p.until(t, "without the bus", has(p, 2))
			if took := time.Since(lost); took > hashInterval/2 {
				t.Errorf("a change right after the loss took %v", took)
			}
			if wiped {
				if err := os.RemoveAll(cfg.StoreDir); err != nil {
					t.Fatal(err)
				}
			}
			if m.bus, err = bus.StartEmbedded(cfg); err != nil {
				t.Fatal(err)
			}
			m.apply(service(3))
			p.until(t, "with the bus again", has(p, 3))
			if v := m.dist.consumer.have.Load(); v != 3 {
				t.Errorf("has revision %d", v)
			}
		})
	}
}

// event is a revision event without its changes.
func event(t *testing.T, n int64) []byte {
	t.Helper()
	b, err := proto.Marshal(&busv1.RevisionEvent{Mesh: "default", PreviousRevision: n - 1, ChangesOmitted: true,
		Revision: &configv1.Revision{Number: n, Mesh: "default"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDuplicatesAndGaps on the bus: what was told twice changes nothing, what
// was not told is asked for.
func TestDuplicatesAndGaps(t *testing.T) {
	m := newMesh(t)
	p := m.proxy("p1")
	m.apply(shop)
	p.until(t, "the mesh", p.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
	conn, err := bus.Connect(bus.Config{Embedded: m.bus})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		// Another message id than the relay's: the stream keeps it.
		for _, n := range []int64{1, 5} {
			if err := conn.NATS().Publish(bus.RevisionSubject("default"), event(t, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.apply("apiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: s2}\nspec: {selector: {app: x}, ports: [{port: 80}]}")
	p.until(t, "the next revision", p.has(xdsserver.TypeEndpoint, "hawser/default/s2/80"))
	if have := m.dist.consumer.have.Load(); have != 2 {
		t.Errorf("has revision %d, want 2", have)
	}
}
