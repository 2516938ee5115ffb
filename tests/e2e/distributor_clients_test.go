package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/xds"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// backend is a gRPC server that says who it is in a header.
func backend(t *testing.T, name string) (host string, port int, calls *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	calls = new(atomic.Int64)
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		calls.Add(1)
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-backend", name))
		return h(ctx, req)
	}))
	healthv1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	a := l.Addr().(*net.TCPAddr)
	return a.IP.String(), a.Port, calls
}

func workload(name, app, host string, port int) string {
	return fmt.Sprintf("\n---\napiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: %s, labels: {app: %s}}\nspec: {address: %s, ports: {grpc: %d}}", name, app, host, port)
}

func service(name, protocol string) string {
	return fmt.Sprintf("\n---\napiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: %[1]s}\nspec: {selector: {app: %[1]s}, ports: [{name: grpc, port: 80, protocol: %[2]s}]}", name, protocol)
}

// split is a route of a Gateway and, the same, of the Service greeter.
func split(stable, canary int) string {
	return fmt.Sprintf(`
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split}
spec:
  parentRefs: [{name: edge}, {group: "", kind: Service, name: greeter}]
  rules:
  - matches: [{path: {value: /grpc.health.v1.Health}}]
    backendRefs: [{name: stable, port: 80, weight: %d}, {name: canary, port: 80, weight: %d}]
`, stable, canary)
}

func (m *upMesh) gatewayManifest() string {
	return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {gatewayClassName: hawser, listeners: [{name: http, port: %d, protocol: HTTP}]}", m.gatewayPort)
}

// share makes calls and gives the share of the canary.
func share(t *testing.T, conn *grpc.ClientConn, n int) float64 {
	t.Helper()
	client := healthv1.NewHealthClient(conn)
	canary := 0
	for range n {
		var h metadata.MD
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := client.Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Header(&h), grpc.WaitForReady(true))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(h.Get("x-backend"), "") == "canary" {
			canary++
		}
	}
	return float64(canary) / float64(n)
}

// TestEnvoyAndGRPCClients: a stock Envoy at the edge, one as a sidecar and a
// gRPC client without a proxy serve the same routes with the same weights,
// and follow a change.
func TestEnvoyAndGRPCClients(t *testing.T) {
	m := up(t, "--no-demo", "--proxy", envoy(t))
	stableHost, stablePort, _ := backend(t, "stable")
	canaryHost, canaryPort, _ := backend(t, "canary")
	mesh := m.gatewayManifest() + service("stable", "HTTP2") + service("canary", "HTTP2") + service("greeter", "HTTP2") +
		workload("s1", "stable", stableHost, stablePort) + workload("c1", "canary", canaryHost, canaryPort)
	revision := m.apply(mesh + split(3, 1))
	m.acknowledged(revision, 2)

	bootstrap := fmt.Sprintf(`{"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}], "node": {"id": "grpc-1"}}`, m.xds)
	resolver, err := xds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	dial := func(target string, options ...grpc.DialOption) *grpc.ClientConn {
		conn, err := grpc.NewClient(target, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	clients := map[string]*grpc.ClientConn{
		"edge":    dial(m.gateway),
		"sidecar": dial(m.outbound, grpc.WithAuthority("greeter.default:80")),
		"grpc":    dial("xds:///hawser/default/greeter/80", grpc.WithResolvers(resolver)),
	}
	const calls = 1000
	for who, conn := range clients {
		if s := share(t, conn, calls); s < 0.20 || s > 0.30 {
			t.Errorf("%s: the canary gets %.3f, want 0.25", who, s)
		}
	}
	m.acknowledged(m.apply(split(1, 9)), 3)
	for who, conn := range clients {
		if s := share(t, conn, calls); s < 0.85 || s > 0.95 {
			t.Errorf("%s: the canary gets %.3f after the change, want 0.9", who, s)
		}
	}
}

// TestNoRequestFails changes routes and endpoints without a pause while
// requests run.
func TestNoRequestFails(t *testing.T) {
	m := up(t, "--no-demo", "--proxy", envoy(t))
	a, b := serveText(t, "a"), serveText(t, "b")
	route := func(to string) string {
		return fmt.Sprintf("\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: %s, port: 80}]}]}", to)
	}
	// Both backends stay; workloads come and go, and the route moves between
	// services that are made for it and deleted behind it.
	m.acknowledged(m.apply(m.gatewayManifest()+service("s0", "HTTP")+workload("s0-a", "s0", a.host, a.port)+route("s0")), 2)
	var requests, failures atomic.Int64
	last := atomic.Value{}
	stop := make(chan struct{})
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := http.Get("http://" + m.gateway + "/")
				requests.Add(1)
				if err != nil {
					failures.Add(1)
					last.Store(err.Error())
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					failures.Add(1)
					last.Store(fmt.Sprint(answer.StatusCode, " ", answer.Header))
				}
			}
		}()
	}
	ctx, api := m.api()
	end := time.Now().Add(8 * time.Second)
	n := 0
	for time.Now().Before(end) {
		n++
		next, old := fmt.Sprintf("s%d", n), fmt.Sprintf("s%d", n-1)
		at := a
		if n%2 == 0 {
			at = b
		}
		m.apply(service(next, "HTTP") + workload(next+"-w", next, at.host, at.port) + route(next))
		m.apply(workload(next+"-x", next, a.host, a.port))
		deleteService(t, ctx, api, old)
	}
	close(stop)
	for range 4 {
		<-done
	}
	if failures.Load() > 0 || requests.Load() == 0 {
		t.Errorf("%d of %d requests failed during %d rounds of changes, the last with %v", failures.Load(), requests.Load(), n, last.Load())
	}
	t.Logf("%d requests, %d rounds of changes", requests.Load(), n)
}

// deleteService takes away a service and its workloads in one revision.
func deleteService(t *testing.T, ctx context.Context, api configv1.ConfigServiceClient, name string) {
	t.Helper()
	request := &configv1.ApplyRequest{Deletes: []*configv1.ResourceRef{{Kind: "Service", Namespace: "default", Name: name}}}
	list, err := api.List(ctx, &configv1.ListRequest{Kind: "Workload", LabelSelector: "app=" + name})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list.GetResources() {
		request.Deletes = append(request.Deletes, &configv1.ResourceRef{Kind: "Workload", Namespace: "default", Name: r.GetMetadata().GetName()})
	}
	if _, err := api.Apply(ctx, request); err != nil {
		t.Fatal(err)
	}
}

// TestUpGoesOnWhereItWas: killed and started again the mesh is what was
// committed.
func TestUpGoesOnWhereItWas(t *testing.T) {
	m := up(t, "--no-demo", "--proxy", envoy(t))
	host, port, _ := backend(t, "stable")
	revision := m.apply(m.gatewayManifest() + service("stable", "HTTP2") + service("canary", "HTTP2") + service("greeter", "HTTP2") +
		workload("s1", "stable", host, port) + split(1, 0))
	m.acknowledged(revision, 2)
	m.stop(syscall.SIGKILL)
	m.start()
	m.acknowledged(revision, 2)
	conn, err := grpc.NewClient(m.gateway, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := share(t, conn, 10); s != 0 {
		t.Errorf("the canary gets %.2f", s)
	}
}
