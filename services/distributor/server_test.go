package distributor

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/configapi"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

const token = "test-admin-token-0123456789"

const shop = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: hawser, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: cart, port: 80}]}]}
---
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80}]}
`

// mesh is a config API with its bus, and a distributor; any may be stopped
// and started.
type mesh struct {
	t    *testing.T
	dir  string
	bus  *bus.Server
	api  *configapi.Server
	dist *Server

	stopAPI, stopDist func()
	grpcAddr, xdsAddr string
	natsURL           string // else bus is used in process
}

func newMesh(t *testing.T) *mesh {
	m := &mesh{t: t, dir: t.TempDir(), grpcAddr: "127.0.0.1:0", xdsAddr: "127.0.0.1:0"}
	m.startBus()
	m.startAPI()
	m.startDist()
	t.Cleanup(func() {
		m.stopDist()
		m.stopAPI()
		m.bus.Close()
	})
	return m
}

func (m *mesh) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(m.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func (m *mesh) startBus() {
	s, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: filepath.Join(m.dir, "nats")})
	if err != nil {
		m.t.Fatal(err)
	}
	m.bus = s
}

func (m *mesh) run(f func(context.Context) error) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("run: %v", err)
		}
	}
}

func (m *mesh) startAPI() {
	cfg := configapi.Config{
		GRPCAddress: m.grpcAddr, HTTPAddress: "127.0.0.1:0", AdminToken: token, Bus: m.bus, Log: m.log(),
		Store: configapi.StoreConfig{SQLitePath: filepath.Join(m.dir, "store.db")}}
	if m.natsURL != "" {
		cfg.Bus, cfg.NATS.URL = nil, m.natsURL
	}
	s, err := configapi.New(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.api, m.grpcAddr = s, s.GRPCAddr()
	m.stopAPI = m.run(s.Run)
}

func (m *mesh) startDist() {
	cfg := Config{ID: "d1", XDSAddress: m.xdsAddr, HTTPAddress: "127.0.0.1:0", Bus: m.bus, Log: m.log(),
		ConfigAPI: ConfigAPIConfig{Address: m.grpcAddr, Token: token}}
	if m.natsURL != "" {
		cfg.Bus, cfg.NATS.URL = nil, m.natsURL
	}
	s, err := New(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.dist, m.xdsAddr = s, s.XDSAddr()
	m.stopDist = m.run(s.Run)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (m *mesh) client() (context.Context, configv1.ConfigServiceClient) {
	conn, err := m.api.Dial()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	return metadata.AppendToOutgoingContext(m.t.Context(), "authorization", "Bearer "+token), configv1.NewConfigServiceClient(conn)
}

// apply commits a manifest, as soon as the config API is ready.
func (m *mesh) apply(manifest string) int64 {
	ctx, api := m.client()
	var revision int64
	eventually(m.t, "apply", func() bool {
		r, err := api.Apply(ctx, &configv1.ApplyRequest{Manifest: []byte(manifest)})
		if err != nil && !strings.Contains(err.Error(), "store") {
			m.t.Fatal(err)
		}
		revision = r.GetRevision()
		return err == nil
	})
	return revision
}

// proxy is a client of the aggregated delta service that answers everything.
type deltaProxy struct {
	stream   discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	got      chan *discoveryv3.DeltaDiscoveryResponse
	versions map[string]map[string]string
	refuse   string // answer clusters with this
}

func (m *mesh) proxy(id string) *deltaProxy {
	m.t.Helper()
	conn, err := grpc.NewClient(m.xdsAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	p := &deltaProxy{got: make(chan *discoveryv3.DeltaDiscoveryResponse, 1000), versions: map[string]map[string]string{}}
	p.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(m.t.Context(), grpc.WaitForReady(true))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, url := range []string{xdsserver.TypeCluster, xdsserver.TypeListener, xdsserver.TypeEndpoint, xdsserver.TypeRoute} {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: []string{"*"},
			Node: &corev3.Node{Id: id, Cluster: "edge", UserAgentName: "test"}}
		if err := p.stream.Send(r); err != nil {
			m.t.Fatal(err)
		}
	}
	go func() {
		for {
			r, err := p.stream.Recv()
			if err != nil {
				close(p.got)
				return
			}
			p.got <- r
		}
	}()
	return p
}

// answer takes what comes until done says that it is enough.
func (p *deltaProxy) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for !done() {
		select {
		case r, ok := <-p.got:
			if !ok {
				t.Fatalf("%s: the stream ended", what)
			}
			answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
			if r.GetTypeUrl() == xdsserver.TypeCluster && p.refuse != "" && len(r.GetResources()) > 0 {
				answer.ErrorDetail = &rpcstatus.Status{Code: 13, Message: p.refuse}
			}
			if p.versions[r.GetTypeUrl()] == nil {
				p.versions[r.GetTypeUrl()] = map[string]string{}
			}
			for _, res := range r.GetResources() {
				p.versions[r.GetTypeUrl()][res.GetName()] = res.GetVersion()
			}
			for _, name := range r.GetRemovedResources() {
				delete(p.versions[r.GetTypeUrl()], name)
			}
			if err := p.stream.Send(answer); err != nil {
				t.Fatal(err)
			}
		case <-timeout:
			t.Fatalf("%s did not come about; has %v", what, p.versions)
		}
	}
}

func (p *deltaProxy) has(url, name string) func() bool {
	return func() bool { return p.versions[url][name] != "" }
}

func (m *mesh) rollout(revision int64) *configv1.RolloutStatusResponse {
	ctx, api := m.client()
	r, err := api.RolloutStatus(ctx, &configv1.RolloutStatusRequest{Revision: revision})
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

const cart = "hawser/default/cart/80"

func TestFromApplyToAcknowledged(t *testing.T) {
	m := newMesh(t)
	p := m.proxy("p1")
	revision := m.apply(shop)
	p.until(t, "the route", p.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
	for url, name := range map[string]string{xdsserver.TypeCluster: cart, xdsserver.TypeEndpoint: cart, xdsserver.TypeListener: "hawser/gateway/8080"} {
		if !p.has(url, name)() {
			t.Errorf("no %s", name)
		}
	}
	start := time.Now()
	eventually(t, "acknowledged", func() bool { return m.rollout(revision).GetAcknowledged() == 1 })
	if d := time.Since(start); d > time.Second {
		t.Errorf("told after %v", d)
	}
	// An endpoint changes the assignment and nothing else.
	before := p.versions[xdsserver.TypeCluster][cart]
	old := p.versions[xdsserver.TypeEndpoint][cart]
	m.apply("apiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w, labels: {app: cart}}\nspec: {address: 10.0.0.1}")
	p.until(t, "the endpoint", func() bool { return p.versions[xdsserver.TypeEndpoint][cart] != old })
	if p.versions[xdsserver.TypeCluster][cart] != before {
		t.Error("the cluster changed too")
	}
	// What it refuses is told in its words.
	p.refuse = "cluster " + cart + ": I will not"
	old = p.versions[xdsserver.TypeCluster][cart]
	revision = m.apply("apiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: cart}\nspec: {selector: {app: cart}, loadBalancing: RANDOM, ports: [{port: 80}]}")
	p.until(t, "the cluster", func() bool { return p.versions[xdsserver.TypeCluster][cart] != old })
	eventually(t, "rejected", func() bool { return m.rollout(revision).GetRejected() == 1 })
	if r := m.rollout(revision).GetResources()[0].GetRejections(); len(r) != 1 || r[0].GetMessage() != p.refuse || r[0].GetXdsResource() != cart || r[0].GetProxyId() != "p1" {
		t.Errorf("%v", r)
	}
	_ = p.stream.CloseSend()
	eventually(t, "gone", func() bool { return m.rollout(0).GetProxies() == 0 })
}

// TestAnythingMayRestart: whatever goes away and comes back, the last
// revision is served.
func TestAnythingMayRestart(t *testing.T) {
	m := newMesh(t)
	m.apply(shop)
	p := m.proxy("p1")
	p.until(t, "the mesh", p.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
	service := func(i int) string {
		return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: x}, ports: [{port: 80}]}", i)
	}
	name := func(i int) string { return fmt.Sprintf("hawser/default/s%d/80", i) }

	// The config API: the distributor serves on, and reports again.
	m.stopAPI()
	late := m.proxy("p2")
	late.until(t, "a mesh without config API", late.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
	m.startAPI()
	m.apply(service(1))
	p.until(t, "after the config API", p.has(xdsserver.TypeEndpoint, name(1)))
	late.until(t, "after the config API", late.has(xdsserver.TypeEndpoint, name(1)))
	eventually(t, "both are reported again", func() bool { return m.rollout(0).GetAcknowledged() == 2 })

	// The distributor: it serves nothing else than before.
	m.stopDist()
	m.apply(service(2))
	m.startDist()
	again := m.proxy("p1")
	again.until(t, "after the distributor", again.has(xdsserver.TypeCluster, name(2)))
	if v := again.versions[xdsserver.TypeRoute]["hawser/gateway/8080"]; v != p.versions[xdsserver.TypeRoute]["hawser/gateway/8080"] && v != "" {
		t.Error("another version of the same")
	}
}

// TestWithoutBus asks the config API instead.
func TestWithoutBus(t *testing.T) {
	m := newMesh(t)
	m.stopDist()
	s, err := New(Config{ID: "d2", XDSAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", Log: m.log(),
		ConfigAPI: ConfigAPIConfig{Address: m.grpcAddr, Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	m.xdsAddr = s.XDSAddr()
	m.stopDist = m.run(s.Run)
	p := m.proxy("p1")
	m.apply(shop)
	p.until(t, "the mesh", p.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
}

// TestNothingIsTakenAway: before the mesh was read there is no answer.
func TestNothingIsTakenAway(t *testing.T) {
	m := newMesh(t)
	m.stopDist()
	m.stopAPI()
	m.startDist()
	p := m.proxy("p1")
	select {
	case r := <-p.got:
		t.Fatalf("answered %v", r)
	case <-time.After(300 * time.Millisecond):
	}
	if reason := m.dist.notReady(); reason == "" {
		t.Error("ready without a mesh")
	}
	m.startAPI()
	m.apply(shop)
	p.until(t, "the mesh", p.has(xdsserver.TypeRoute, "hawser/gateway/8080"))
	if reason := m.dist.notReady(); reason != "" {
		t.Errorf("not ready: %s", reason)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"fine":        {[]string{"HAWSER_DISTRIBUTOR_CONFIG_API_TOKEN=x"}, ""},
		"no token":    {nil, "configApi: exactly one of"},
		"unknown":     {[]string{"HAWSER_DISTRIBUTOR_FOO=x"}, "there is no such setting"},
		"bad address": {[]string{"HAWSER_DISTRIBUTOR_CONFIG_API_TOKEN=x", "HAWSER_DISTRIBUTOR_OUTBOUND_ADDRESS=here"}, "outboundAddress"},
		"half a pair": {[]string{"HAWSER_DISTRIBUTOR_CONFIG_API_TOKEN=x", "HAWSER_DISTRIBUTOR_TLS_CERT_FILE=c"}, "belong together"},
	} {
		cfg, err := Load("", c.environ)
		if err == nil {
			err = cfg.Check()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
