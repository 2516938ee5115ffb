package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// program is a process that is killed and started again.
type program struct {
	t    *testing.T
	path string
	env  []string
	log  *lockedBuffer
	cmd  *exec.Cmd
}

func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func newProgram(t *testing.T, name string, env ...string) *program {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, path: filepath.Join(dir, name), env: env, log: &lockedBuffer{}}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if text := p.log.String(); t.Failed() {
			t.Logf("%s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
	return p
}

// TestKill kills config API (with the bus in it) and distributor by -9, in any
// order and in the middle of writes. The proxy serves on throughout, and
// afterwards serves what was committed last.
func TestKill(t *testing.T) {
	ports := freePorts(t, 7)
	at := func(i int) string { return fmt.Sprint("127.0.0.1:", ports[i]) }
	dir := t.TempDir()
	const token = "hwt_end-to-end-test-token-0123456789"
	api := newProgram(t, "hawser-configapi", "HAWSER_CONFIGAPI_GRPC_ADDRESS="+at(0), "HAWSER_CONFIGAPI_HTTP_ADDRESS="+at(1),
		"HAWSER_CONFIGAPI_ADMIN_TOKEN="+token, "HAWSER_CONFIGAPI_STORE_SQLITE_PATH="+filepath.Join(dir, "db"),
		"HAWSER_CONFIGAPI_NATS_EMBEDDED_DIR="+filepath.Join(dir, "nats"), "HAWSER_CONFIGAPI_NATS_EMBEDDED_ADDRESS="+at(2))
	dist := newProgram(t, "hawser-distributor", "HAWSER_DISTRIBUTOR_XDS_ADDRESS="+at(3), "HAWSER_DISTRIBUTOR_HTTP_ADDRESS="+at(4),
		"HAWSER_DISTRIBUTOR_CONFIG_API_ADDRESS="+at(0), "HAWSER_DISTRIBUTOR_CONFIG_API_TOKEN="+token, "HAWSER_DISTRIBUTOR_NATS_URL=nats://"+at(2))
	const ads = "{resource_api_version: V3, ads: {}}"
	startEnvoy(t, envoy(t), ports[5], bootstrap(at(3), ports[5], "DELTA_GRPC", ads, ads))
	conn, err := grpc.NewClient(at(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := configv1.NewConfigServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	a := serveText(t, "a")
	gateway := at(6)
	route := func(n int) string {
		return fmt.Sprintf("\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: edge}], rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-round, value: \"%d\"}]}}], backendRefs: [{name: a, port: 80}]}]}", n)
	}
	write := func(manifest string) bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := client.Apply(ctx, &configv1.ApplyRequest{Manifest: []byte(manifest)}, grpc.WaitForReady(true))
		return err == nil
	}
	start := fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {gatewayClassName: hawser, listeners: [{name: http, port: %d, protocol: HTTP}]}", ports[6]) +
		service("a", "HTTP") + workload("wa", "a", a.host, a.port) + route(0)
	eventually(t, 20*time.Second, func() error {
		if !write(start) {
			return fmt.Errorf("not written: %s", api.log)
		}
		return nil
	})
	serves := func(round int) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			answer, err := http.Get("http://" + gateway + "/")
			if err != nil {
				return err
			}
			_ = answer.Body.Close()
			if got := answer.Header.Get("x-round"); got != fmt.Sprint(round) {
				return fmt.Errorf("round %q, want %d", got, round)
			}
			return nil
		})
	}
	serves(0)
	failures, stop, done := traffic("http://" + gateway + "/")
	last := 0
	for range 8 {
		last = killDuringWrites(last, write, route, api, dist)
		serves(last)
	}
	close(stop)
	if n := <-done; failures.Load() > 0 || n == 0 {
		t.Errorf("%d of %d requests failed", failures.Load(), n)
	}
	if strings.Contains(dist.log.String(), "panic") {
		t.Error("the distributor panicked")
	}
}

// killDuringWrites kills programs while something writes one round after the
// other, starts them again, and gives the last round that was committed.
func killDuringWrites(last int, write func(string) bool, route func(int) string, programs ...*program) int {
	written := make(chan int)
	go func() {
		// The write that the kill meets may be committed or not: it is
		// written again until it is.
		for n := last + 1; ; n++ {
			for !write(route(n)) {
			}
			select {
			case written <- n:
				return
			default:
			}
		}
	}()
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	rand.Shuffle(len(programs), func(i, j int) { programs[i], programs[j] = programs[j], programs[i] })
	programs = programs[:1+rand.IntN(len(programs))]
	for _, p := range programs {
		p.kill()
	}
	for _, p := range programs {
		p.start()
	}
	return <-written
}

// traffic makes requests, one after the other, until stop is closed, and then
// tells how many.
func traffic(url string) (failures *atomic.Int64, stop chan struct{}, done chan int) {
	failures, stop, done = new(atomic.Int64), make(chan struct{}), make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			case <-time.After(time.Millisecond):
			}
			answer, err := http.Get(url)
			if err != nil {
				failures.Add(1)
				continue
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				failures.Add(1)
			}
		}
	}()
	return failures, stop, done
}
