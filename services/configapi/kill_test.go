package configapi

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
)

// childConfig in the environment makes the test binary be the program.
const childConfig = "HAWSER_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childConfig); text != "" {
		os.Exit(child(text))
	}
	os.Exit(pgMain(m))
}

func child(text string) int {
	var cfg Config
	err := json.Unmarshal([]byte(text), &cfg)
	if err == nil {
		var s *Server
		if s, err = New(cfg); err == nil {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			fmt.Println(s.GRPCAddr())
			err = s.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type process struct {
	cmd    *exec.Cmd
	conn   *grpc.ClientConn
	client configv1.ConfigServiceClient
}

func launch(t *testing.T, cfg Config) *process {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childConfig+"="+string(text))
	p.cmd.Stderr = t.Output()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatalf("the child says no address: %v", err)
	}
	p.conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p.client = configv1.NewConfigServiceClient(p.conn)
	return p
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = p.conn.Close()
	}
}

// Killed in the middle of writes, again and again: every revision that a
// writer was told of is there, none is there twice or in part, and the bus
// gets all of them in order.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{GRPCAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", AdminToken: adminToken,
		Store: StoreConfig{SQLitePath: filepath.Join(dir, "store.db")}, NATS: NATSConfig{EmbeddedDir: filepath.Join(dir, "nats")}}
	type told struct {
		name   string
		weight int
	}
	acknowledged := map[int64]told{}
	var mu sync.Mutex
	weight := atomic.Int64{}
	for range 4 {
		p := launch(t, cfg)
		var writers sync.WaitGroup
		var count atomic.Int64
		for w := range 4 {
			writers.Go(func() {
				for {
					n := int(weight.Add(1))%128 + 1
					name := fmt.Sprintf("w%d", w)
					doc := fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: %s}\nspec: {address: 10.0.0.1, weight: %d}\n", name, n)
					answer, err := p.client.Apply(as(t, adminToken), &configv1.ApplyRequest{Manifest: []byte(doc)}, grpc.WaitForReady(true))
					if err != nil {
						if count.Load() >= 40 {
							return
						}
						continue // the store is not open yet
					}
					if answer.GetChanges()[0].GetAction() != configv1.Change_ACTION_UNCHANGED {
						mu.Lock()
						acknowledged[answer.GetRevision()] = told{name, n}
						mu.Unlock()
					}
					if count.Add(1) == 40 {
						_ = p.cmd.Process.Kill()
						_ = p.conn.Close() // ends the calls that wait for it
					}
				}
			})
		}
		writers.Wait()
		p.kill()
	}
	// Now within this process, on the same files.
	nats := natsServer(t, bus.EmbeddedConfig{StoreDir: cfg.NATS.EmbeddedDir})
	h := start(t, Config{Bus: nats, Store: cfg.Store})
	state, err := h.client.StateHash(h.ctx(), &configv1.StateHashRequest{})
	if err != nil {
		t.Fatal(err)
	}
	head := state.GetRevision()
	if head < 160 || int64(len(acknowledged)) > head {
		t.Fatalf("head %d, %d were acknowledged", head, len(acknowledged))
	}
	stream, err := h.client.ReadRange(h.ctx(), &configv1.ReadRangeRequest{FromRevision: 1})
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= head; n++ {
		r, err := stream.Recv()
		if err != nil || r.GetNumber() != n || len(r.GetChanges()) != 1 {
			t.Fatalf("revision %d: %v, %v", n, r, err)
		}
		if want, ok := acknowledged[n]; ok {
			got := r.GetChanges()[0].GetResource()
			if got.GetMetadata().GetName() != want.name || int(got.GetSpec().GetFields()["weight"].GetNumberValue()) != want.weight {
				t.Errorf("revision %d is %v, the writer was told %v", n, got, want)
			}
		}
	}
	h.eventually("empty outbox", func() bool { return gauge(t, h, "hawser_configapi_outbox_revisions") == 0 })
	conn, err := bus.Connect(bus.Config{Embedded: nats})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	last := int64(0)
	for last < head {
		for _, e := range events(t, conn, int(head)) {
			if n := e.GetRevision().GetNumber(); n > last+1 {
				t.Fatalf("the bus has %d after %d", n, last)
			} else if n == last+1 {
				last = n
			}
		}
	}
}
