package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// envoy gives the real Envoy's path.
func envoy(t *testing.T) string {
	t.Helper()
	path := os.Getenv("HAWSER_ENVOY")
	if _, err := os.Stat(path); path == "" || err != nil {
		t.Fatalf("HAWSER_ENVOY=%q is not the path of Envoy 1.40: run `make setup` and `make test-e2e`, which set it", path)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hawser-e2e")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/",
		"github.com/hawser-mesh/hawser/services/cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// freePorts gives ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// upMesh is a running `hawser up`.
type upMesh struct {
	t                          *testing.T
	dir                        string
	grpc, rest, xds, status    string
	outbound, gateway          string
	admin                      int
	args                       []string
	cmd                        *exec.Cmd
	ended                      chan error
	gatewayPort, secondGateway int
}

// up starts a mesh and waits until it says that it is up.
func up(t *testing.T, args ...string) *upMesh {
	t.Helper()
	p := freePorts(t, 9)
	address := func(i int) string { return fmt.Sprint("127.0.0.1:", p[i]) }
	m := &upMesh{t: t, dir: filepath.Join(t.TempDir(), "state"), grpc: address(0), rest: address(1), xds: address(2),
		status: address(3), outbound: address(4), gateway: address(5), gatewayPort: p[5], secondGateway: p[8], admin: p[6], args: args}
	m.start()
	t.Cleanup(func() {
		m.stop(syscall.SIGINT)
		if t.Failed() {
			m.logs()
		}
	})
	return m
}

func (m *upMesh) start() {
	m.t.Helper()
	dir, err := build()
	if err != nil {
		m.t.Fatal(err)
	}
	args := append([]string{"up", "--dir", m.dir, "--grpc-address", m.grpc, "--rest-address", m.rest, "--xds-address", m.xds,
		"--status-address", m.status, "--outbound-address", m.outbound, "--admin-port", fmt.Sprint(m.admin)}, m.args...)
	m.cmd = exec.Command(filepath.Join(dir, "hawser"), args...)
	said := &lockedBuffer{}
	m.cmd.Stdout, m.cmd.Stderr = said, said
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(m.cmd, m.ended)
	eventually(m.t, 30*time.Second, func() error {
		select {
		case err := <-m.ended:
			m.t.Fatalf("hawser up ended: %v\n%s", err, said)
		default:
		}
		if !strings.Contains(said.String(), "The mesh is up") {
			return errors.New("hawser up says " + said.String())
		}
		return nil
	})
}

// stop ends it and waits.
func (m *upMesh) stop(signal os.Signal) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(signal)
	select {
	case <-m.ended:
	case <-time.After(30 * time.Second):
		_ = m.cmd.Process.Kill()
		m.t.Error("hawser up did not stop")
	}
	m.cmd = nil
}

func (m *upMesh) logs() {
	files, _ := filepath.Glob(filepath.Join(m.dir, "log", "*.log"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		m.t.Logf("%s:\n%s", f, b[max(0, len(b)-4000):])
	}
}

// api is a client of the config API.
func (m *upMesh) api() (context.Context, configv1.ConfigServiceClient) {
	token, err := os.ReadFile(filepath.Join(m.dir, "admin.token"))
	if err != nil {
		m.t.Fatal(err)
	}
	conn, err := grpc.NewClient(m.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	ctx := metadata.AppendToOutgoingContext(m.t.Context(), "authorization", "Bearer "+strings.TrimSpace(string(token)))
	return ctx, configv1.NewConfigServiceClient(conn)
}

// apply commits a manifest.
func (m *upMesh) apply(manifest string) int64 {
	m.t.Helper()
	ctx, api := m.api()
	r, err := api.Apply(ctx, &configv1.ApplyRequest{Manifest: []byte(manifest)}, grpc.WaitForReady(true))
	if err != nil {
		m.t.Fatal(err)
	}
	return r.GetRevision()
}

// acknowledged waits until so many clients have a revision and nothing is
// refused.
func (m *upMesh) acknowledged(revision int64, clients int32) {
	m.t.Helper()
	ctx, api := m.api()
	eventually(m.t, 20*time.Second, func() error {
		s, err := api.RolloutStatus(ctx, &configv1.RolloutStatusRequest{Revision: revision})
		if err != nil {
			return err
		}
		if s.GetAcknowledged() != clients || s.GetPending() != 0 || s.GetRejected() != 0 {
			return fmt.Errorf("rollout of %d: %v", revision, s)
		}
		return nil
	})
}

// eventually asks again until there is no error.
func eventually(t *testing.T, within time.Duration, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
