package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// fakeServer is a Transport whose other end is the test.
type fakeServer struct {
	mu      sync.Mutex
	delta   bool
	streams []*fakeStream
	onSend  func(s *fakeStream, m []byte)
}

type fakeStream struct {
	srv    *fakeServer
	method string
	h      StreamHandler
	sent   [][]byte // requests not looked at yet
	closed bool
	state  any // of onSend
}

func (f *fakeServer) Open(method string, h StreamHandler) Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeStream{srv: f, method: method, h: h}
	f.streams = append(f.streams, s)
	return s
}

func (s *fakeStream) Send(m []byte) {
	s.srv.mu.Lock()
	s.sent = append(s.sent, m)
	on := s.srv.onSend
	s.srv.mu.Unlock()
	if on != nil {
		on(s, m)
	}
}

func (s *fakeStream) Close() { s.closed = true }

func (f *fakeServer) last() *fakeStream { return f.streams[len(f.streams)-1] }

// requests waits until the client is at rest and returns what it has sent, one
// line each: "cds v1 n1 [a b]", "eds n2 +[c] -[d] nack: text".
func (f *fakeServer) requests(t *testing.T) []string {
	t.Helper()
	synctest.Wait()
	s := f.last()
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, m := range s.sent {
		if f.delta {
			out = append(out, deltaText(t, m))
		} else {
			out = append(out, sotwText(t, m))
		}
	}
	s.sent = nil
	return out
}

var short = map[string]string{Cluster: "cds", Endpoints: "eds", Listener: "lds", Routes: "rds"}

func sotwText(t *testing.T, m []byte) string {
	var r discoveryv3.DiscoveryRequest
	if err := proto.Unmarshal(m, &r); err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%s v%s n%s %v", short[r.TypeUrl], r.VersionInfo, r.ResponseNonce, r.ResourceNames)
	if r.ErrorDetail != nil {
		out += " nack: " + r.ErrorDetail.Message
	}
	if r.Node != nil {
		out += " node"
	}
	return out
}

func deltaText(t *testing.T, m []byte) string {
	var r discoveryv3.DeltaDiscoveryRequest
	if err := proto.Unmarshal(m, &r); err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%s n%s", short[r.TypeUrl], r.ResponseNonce)
	if len(r.ResourceNamesSubscribe) > 0 {
		out += fmt.Sprintf(" +%v", r.ResourceNamesSubscribe)
	}
	if len(r.ResourceNamesUnsubscribe) > 0 {
		out += fmt.Sprintf(" -%v", r.ResourceNamesUnsubscribe)
	}
	for _, k := range slices.Sorted(maps.Keys(r.InitialResourceVersions)) {
		out += fmt.Sprintf(" %s=%s", k, r.InitialResourceVersions[k])
	}
	if r.ErrorDetail != nil {
		out += " nack: " + r.ErrorDetail.Message
	}
	if r.Node != nil {
		out += " node"
	}
	return out
}

// resource makes a resource of a type; content tells versions apart.
func resource(url, name, content string) *anypb.Any {
	var m proto.Message
	switch url {
	case Endpoints:
		m = &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{Locality: &corev3.Locality{Zone: content}}}}
	default: // every type has its name in field 1
		m = &clusterv3.Cluster{Name: name, AltStatName: content}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &anypb.Any{TypeUrl: url, Value: b}
}

func contentOf(url string, a *anypb.Any) string {
	if url == Endpoints {
		var m endpointv3.ClusterLoadAssignment
		if proto.Unmarshal(a.Value, &m) != nil || len(m.Endpoints) == 0 {
			return "?"
		}
		return m.Endpoints[0].Locality.Zone
	}
	var m clusterv3.Cluster
	if proto.Unmarshal(a.Value, &m) != nil {
		return "?"
	}
	return m.AltStatName
}

// respond sends a state of the world; resources are "name=content".
func (s *fakeStream) respond(url, version, nonce string, resources ...string) {
	r := &discoveryv3.DiscoveryResponse{TypeUrl: url, VersionInfo: version, Nonce: nonce, ControlPlane: &corev3.ControlPlane{Identifier: "fake"}}
	for _, x := range resources {
		name, content, _ := strings.Cut(x, "=")
		r.Resources = append(r.Resources, resource(url, name, content))
	}
	s.message(r)
}

// update sends a delta.
func (s *fakeStream) update(url, nonce string, removed []string, resources ...string) {
	r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: url, SystemVersionInfo: nonce, Nonce: nonce, RemovedResources: removed}
	for _, x := range resources {
		name, content, _ := strings.Cut(x, "=")
		r.Resources = append(r.Resources, &discoveryv3.Resource{Name: name, Version: "v" + content, Resource: resource(url, name, content)})
	}
	s.message(r)
}

func (s *fakeStream) message(m proto.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	s.h.OnMessage(b)
}

func (s *fakeStream) fail() { s.h.OnEnd(errors.New("unavailable")) }

// table is a Handler that keeps what it gets.
type table struct {
	url      string
	have     map[string]string
	refuse   map[string]string // name to error
	updates  int
	whole    bool
	cached   bool
	timeouts int
	then     func(u *Update)
}

func newTable(url string) *table {
	return &table{url: url, have: map[string]string{}, refuse: map[string]string{}}
}

func (h *table) OnUpdate(u *Update) []Rejected {
	h.updates++
	h.whole, h.cached = u.Whole, u.Cached
	var bad []Rejected
	for _, r := range u.Added {
		if text := h.refuse[r.Name]; text != "" {
			bad = append(bad, Rejected{r.Name, errors.New(text)})
			continue
		}
		h.have[r.Name] = contentOf(h.url, r.Message)
	}
	for _, n := range u.Removed {
		delete(h.have, n)
	}
	if h.then != nil {
		h.then(u)
	}
	return bad
}

func (h *table) OnFetchTimeout() { h.timeouts++ }

func (h *table) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(h.have)) {
		out = append(out, k+"="+h.have[k])
	}
	return strings.Join(out, " ")
}

// world is a client under test.
type world struct {
	t     *testing.T
	loop  *Loop
	srv   *fakeServer
	m     *Mux
	store *stats.Store
	stop  context.CancelFunc
}

func newWorld(t *testing.T, c Config) *world {
	w := &world{t: t, loop: NewLoop(), srv: &fakeServer{delta: c.Delta}, store: stats.NewStore()}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() { _ = w.loop.Run(ctx) }()
	c.Loop, c.Transport, c.Node = w.loop, w.srv, &corev3.Node{Id: "n", Cluster: "c"}
	c.NodeOnFirstOnly = true
	c.Stats = NewControlPlaneStats(w.store, w.store.Group("control_plane.", NewControlPlaneSchema()))
	c.Rand = rand.New(rand.NewPCG(1, 2))
	var err error
	if w.m, err = New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// do runs f on the loop and waits until everything is at rest.
func (w *world) do(f func()) {
	w.loop.Post(f)
	synctest.Wait()
}

// sleep lets time pass and waits for what it brings.
func (w *world) sleep(d time.Duration) {
	w.do(func() {}) // what the test has looked at was before
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) subscribe(c SubscriptionConfig) Subscription {
	var s Subscription
	if c.Stats == nil {
		c.Stats = NewStats(w.store, w.store.Group(short[c.TypeURL]+".", subscriptionSchema))
	}
	w.do(func() {
		var err error
		if s, err = w.m.Subscribe(c); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

var subscriptionSchema = NewSchema()

func (w *world) close() {
	w.do(w.m.Close)
	w.stop()
}

func (w *world) want(lines ...string) {
	w.t.Helper()
	if got := w.srv.requests(w.t); !slices.Equal(got, lines) {
		w.t.Fatalf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func (w *world) stat(name string) uint64 {
	for _, s := range w.store.Read() {
		if s.Name == name {
			return s.Value
		}
	}
	w.t.Fatalf("no statistic %s", name)
	return 0
}

func (w *world) wantStats(want string) {
	w.t.Helper()
	for _, x := range strings.Fields(want) {
		name, value, _ := strings.Cut(x, "=")
		if got := fmt.Sprint(w.stat(name)); got != value {
			w.t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
}
