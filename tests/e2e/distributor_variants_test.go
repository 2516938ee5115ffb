package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// source is a config_source that asks the distributor for one type.
func source(api string) string {
	return fmt.Sprintf("{resource_api_version: V3, api_config_source: {api_type: %s, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}}", api)
}

// bootstrap of an Envoy that gets its configuration in some variant.
func bootstrap(xds string, admin int, ads, cds, lds string) string {
	host, port, _ := net.SplitHostPort(xds)
	return fmt.Sprintf(`
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
dynamic_resources:
  ads_config: {api_type: %s, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
  cds_config: %s
  lds_config: %s
static_resources:
  clusters:
  - name: xds
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
`, admin, ads, cds, lds, host, port)
}

// TestVariants: Envoy by the state of the world, aggregated, and by the
// services of the types, of either variant, serves and follows changes.
func TestVariants(t *testing.T) {
	program := envoy(t)
	const ads = "{resource_api_version: V3, ads: {}}"
	for name, c := range map[string][3]string{
		"state of the world": {"GRPC", ads, ads},
		"delta":              {"DELTA_GRPC", ads, ads},
		"type by type":       {"GRPC", source("GRPC"), source("DELTA_GRPC")},
	} {
		t.Run(name, func(t *testing.T) {
			m := up(t, "--no-demo", "--no-proxies")
			log := startEnvoy(t, program, m.admin, bootstrap(m.xds, m.admin, c[0], c[1], c[2]))
			a, b := serveText(t, "a"), serveText(t, "b")
			route := func(to string) string {
				return fmt.Sprintf("\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: %s, port: 80}]}]}", to)
			}
			m.apply(m.gatewayManifest() + service("a", "HTTP") + workload("wa", "a", a.host, a.port) + route("a"))
			m.answers("a")
			m.apply(service("b", "HTTP") + workload("wb", "b", b.host, b.port) + route("b"))
			m.answers("b")
			// The endpoint moves, and then goes.
			m.apply(workload("wb", "b", a.host, a.port))
			m.answers("a")
			ctx, api := m.api()
			deleteService(t, ctx, api, "a")
			revision := m.apply(service("c", "HTTP"))
			m.acknowledged(revision, 1)
			m.answers("a")
			if text := log.String(); strings.Contains(text, "rejected") {
				t.Errorf("Envoy says %s", text)
			}
		})
	}
}

// startEnvoy runs one until the test ends.
func startEnvoy(t *testing.T, program string, base int, bootstrap string) *lockedBuffer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file, "--service-node", "e1", "--service-cluster", "edge", "--base-id", fmt.Sprint(base), "-l", "warn")
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	return log
}

type place struct {
	host string
	port int
}

// serveText answers every request with a text.
func serveText(t *testing.T, text string) place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	a := l.Addr().(*net.TCPAddr)
	return place{a.IP.String(), a.Port}
}

// answers waits until the gateway gives a text.
func (m *upMesh) answers(want string) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func() error {
		answer, err := http.Get("http://" + m.gateway + "/")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && string(text) != want {
			err = fmt.Errorf("the gateway answers %d %q, want %q", answer.StatusCode, text, want)
		}
		return err
	})
}
