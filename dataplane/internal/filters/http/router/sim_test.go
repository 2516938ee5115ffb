package router_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/filters/http/router"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/listener"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/manager"
)

// proxy is a whole data plane over a simulated kernel: a listener with a
// connection manager and router, and an upstream that answers by script.
type proxy struct {
	t        testing.TB
	k        *sim.Kernel
	w, peers *event.Worker
	at       address.Address
	clusters *manager.Manager
	routes   *route.Forward
	opts     *hcm.Options
	hits     []string
	// answer is what the upstream does with the n-th request.
	answer func(n int, c *network.Conn)
}

func ip(s string) address.Address { return address.FromIP(netip.MustParseAddrPort(s)) }

func newProxy(t testing.TB, seed uint64) *proxy {
	p := &proxy{t: t, k: sim.New(seed)}
	p.w = p.k.NewWorker()
	control := p.k.NewWorker()
	p.peers = p.k.NewWorker()
	p.answer = func(_ int, c *network.Conn) { reply(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
	upstreamAt := p.serveUpstream("127.0.0.1:9000")
	after := func(d time.Duration, f func()) func() {
		var tm event.Timer
		tm.Init(control, f)
		tm.Reset(d)
		return tm.Stop
	}
	p.clusters = manager.New(manager.Config{Workers: []*event.Worker{p.w}, Control: control, Stats: p.k.Store, After: after, Random: p.k.Rand.Uint64})
	limits := config.BreakerLimits{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, MaxPools: 1 << 30}
	c := &config.Cluster{
		Name: "a", ConnectTimeout: time.Second, BufferLimit: 1 << 20, Breakers: [2]config.BreakerLimits{limits, limits},
		LB:         config.LoadBalancer{PanicThreshold: 50},
		Protocol:   config.UpstreamProtocol{HTTP1: config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60}},
		Assignment: &config.Assignment{Localities: []config.LocalityEndpoints{{Endpoints: []config.Endpoint{{Address: upstreamAt, Weight: 1}}}}},
	}
	if err := p.clusters.Update(c, nil); err != nil {
		t.Fatal(err)
	}
	p.routes = &route.Forward{Cluster: "a", Timeout: 15 * time.Second}
	table := &route.Table{Hosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*route.Route{
		{Path: route.PathMatch{Kind: route.PathPrefix, Text: "/direct"}, Kind: route.ActionDirect, Direct: &route.Direct{Status: 418, Body: "teapot"}},
		{Path: route.PathMatch{Kind: route.PathPrefix, Text: "/missing"}, Forward: &route.Forward{Cluster: "nobody"}},
		{Path: route.PathMatch{Kind: route.PathPrefix, Text: "/"}, Forward: p.routes},
	}}}}
	table.Build()
	p.opts = &hcm.Options{
		StatPrefix: "main", Listener: "l", Routes: hcm.FixedRoutes{Table: table}, GenerateRequestID: true,
		HTTP1:       config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60, AllowAbsoluteURL: true},
		IdleTimeout: time.Hour, StreamIdle: 5 * time.Minute, DelayedClose: time.Second, DrainTimeout: 5 * time.Second,
	}
	p.opts.Filters = []hcm.NamedFilter{{Name: "router", Factory: router.NewFactory(router.Config{StatPrefix: "main"}, p.k.Store, p.clusters, 1)}}
	p.listen()
	return p
}

func (p *proxy) listen() {
	m := listener.NewManager(listener.Config{
		Workers: []*event.Worker{p.w}, System: p.k, Stats: p.k.Store, Now: p.k.Clock.Now, After: func(time.Duration, func()) {},
	})
	m.Start()
	f := hcm.NewFactory(p.opts, p.k.Store, 1, hcm.Codecs{})
	if err := m.Update(&config.Listener{
		Name: "l", StatPrefix: "l", Address: ip("127.0.0.1:8000"), ReusePort: true, BindToPort: true,
		FilterChains: []*config.FilterChain{{Transport: transport.RawFactory{}, Filters: []config.NetworkFilter{{Factory: f}}}},
	}); err != nil {
		p.t.Fatal(err)
	}
	p.k.Run(1000)
	p.at = ip("127.0.0.1:8000")
}

// serveUpstream answers each request head that arrives.
func (p *proxy) serveUpstream(at string) address.Address {
	l, err := p.k.Listen(ip(at), event.ListenOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	_ = p.peers.Register(l, ready(func() {
		for {
			fd, peer, e := p.k.Accept(l)
			if e != 0 {
				return
			}
			c := network.NewServer(p.peers, fd, network.Info{Remote: peer}, network.Options{Transport: &transport.Raw{}})
			c.AddReadFilter(&origin{p: p, c: c})
			_ = c.Start(network.Options{})
		}
	}))
	return ip(at)
}

type ready func()

func (r ready) OnReady(event.Ready) { r() }

// origin is an upstream's side of a connection.
type origin struct {
	p  *proxy
	c  *network.Conn
	in []byte
}

func (o *origin) InitRead(network.ReadCallbacks)        {}
func (o *origin) OnNewConnection() network.FilterStatus { return network.Continue }
func (o *origin) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	o.in = append(o.in, b.Bytes()...)
	b.Drain(b.Len())
	for {
		i := strings.Index(string(o.in), "\r\n\r\n")
		if i < 0 {
			return network.StopIteration
		}
		head := string(o.in[:i])
		body := 0
		if j := strings.Index(head, "content-length: "); j >= 0 {
			_, _ = fmt.Sscanf(head[j+16:], "%d", &body)
		}
		if len(o.in) < i+4+body {
			return network.StopIteration
		}
		o.p.hits = append(o.p.hits, string(o.in[:i+4+body]))
		o.in = o.in[i+4+body:]
		o.p.answer(len(o.p.hits), o.c)
	}
}

func reply(c *network.Conn, text string) {
	b := buffer.New(&c.Worker().Buffers)
	b.WriteString(text)
	c.Write(b, false)
}

// client is a downstream.
type client struct {
	p   *proxy
	c   *network.Conn
	got string
	end bool
}

func (c *client) InitRead(network.ReadCallbacks)        {}
func (c *client) OnNewConnection() network.FilterStatus { return network.Continue }
func (c *client) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	c.got += b.String()
	b.Drain(b.Len())
	return network.StopIteration
}
func (c *client) OnEvent(e network.Event) { c.end = c.end || e != network.Connected }
func (c *client) OnAboveHighWatermark()   {}
func (c *client) OnBelowLowWatermark()    {}

func (p *proxy) dial() *client {
	conn, err := network.Connect(p.peers, p.at, event.ConnectOptions{}, network.Options{Transport: &transport.Raw{}})
	if err != nil {
		p.t.Fatal(err)
	}
	c := &client{p: p, c: conn}
	conn.AddEvents(c)
	conn.AddReadFilter(c)
	return c
}

// send sends raw bytes and returns what came back when all is at rest.
func (c *client) send(raw string) string {
	c.got = ""
	reply(c.c, raw)
	if !c.p.k.Run(1 << 16) {
		c.p.t.Fatal("does not come to rest")
	}
	return c.got
}

func (p *proxy) stat(name string) uint64 {
	for _, s := range p.k.Store.Read() {
		if s.Name == name {
			return s.Value
		}
	}
	return 0
}

func TestRequestIsProxied(t *testing.T) {
	for seed := range uint64(50) {
		p := newProxy(t, seed)
		c := p.dial()
		got := c.send("GET /x HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n") || !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Fatalf("seed %d: %q", seed, got)
		}
		h := p.hits[0]
		if !strings.HasPrefix(h, "GET /x HTTP/1.1\r\nhost: example.com\r\n") || !strings.Contains(h, "x-request-id: ") ||
			!strings.Contains(h, "x-forwarded-proto: http\r\n") || !strings.Contains(h, "x-envoy-expected-rq-timeout-ms: 15000\r\n") || strings.Contains(h, "connection") {
			t.Fatalf("seed %d: %q", seed, h)
		}
		c.send("POST /y HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc")
		if len(p.hits) != 2 || !strings.HasSuffix(p.hits[1], "abc") || p.stat("cluster.a.upstream_cx_total") != 1 || p.stat("cluster.a.upstream_rq_200") != 2 || p.stat("http.main.downstream_rq_2xx") != 2 {
			t.Fatalf("seed %d: %d hits, %d connections", seed, len(p.hits), p.stat("cluster.a.upstream_cx_total"))
		}
		if p.stat("http.main.downstream_rq_active") != 0 || p.stat("cluster.a.upstream_rq_active") != 0 {
			t.Fatalf("seed %d: requests are left", seed)
		}
	}
}

func TestLocalReplies(t *testing.T) {
	p := newProxy(t, 1)
	c := p.dial()
	if got := c.send("GET /direct HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 418 Unknown\r\n") || !strings.HasSuffix(got, "teapot") {
		t.Errorf("direct: %q", got)
	}
	if got := c.send("GET /missing HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("no cluster: %q", got)
	}
	if got := c.send("GET /x HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("no host: %q", got)
	}
}

func TestUpstreamFailures(t *testing.T) {
	for name, x := range map[string]struct {
		answer func(n int, c *network.Conn)
		want   string
	}{
		"closes":  {func(_ int, c *network.Conn) { c.Close(network.CloseNow, "") }, "upstream connect error or disconnect/reset before headers. reset reason: connection termination"},
		"garbage": {func(_ int, c *network.Conn) { reply(c, "nonsense\r\n\r\n") }, "upstream connect error or disconnect/reset before headers. reset reason: protocol error"},
	} {
		p := newProxy(t, 3)
		p.answer = x.answer
		got := p.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasSuffix(got, x.want) {
			t.Errorf("%s: %q", name, got)
		}
		if p.stat("http.main.downstream_rq_active") != 0 || p.stat("cluster.a.upstream_rq_active") != 0 || p.stat("cluster.a.upstream_cx_active") != 0 {
			t.Errorf("%s: something is left", name)
		}
	}
}

func TestTimeout(t *testing.T) {
	p := newProxy(t, 1)
	p.answer = func(int, *network.Conn) {}
	p.routes.Timeout = 100 * time.Millisecond
	c := p.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	p.k.Advance(200 * time.Millisecond)
	if !strings.HasPrefix(c.got, "HTTP/1.1 504 ") || !strings.HasSuffix(c.got, "upstream request timeout") || p.stat("cluster.a.upstream_rq_timeout") != 1 {
		t.Errorf("%q", c.got)
	}
}

func TestRetries(t *testing.T) {
	p := newProxy(t, 1)
	p.routes.Retry = &route.Retry{On: route.Retry5xx, Max: 2}
	p.answer = func(n int, c *network.Conn) {
		switch n {
		case 1:
			reply(c, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
		case 2:
			c.Close(network.CloseNow, "")
		default:
			reply(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
		}
	}
	c := p.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	p.k.Advance(time.Second)
	if !strings.HasPrefix(c.got, "HTTP/1.1 200 ") || len(p.hits) != 3 || p.stat("cluster.a.upstream_rq_retry") != 2 || p.stat("cluster.a.upstream_rq_retry_success") != 1 {
		t.Fatalf("%q after %d tries", c.got, len(p.hits))
	}
	for _, h := range p.hits {
		if !strings.HasSuffix(h, "body") {
			t.Errorf("a try without its body: %q", h)
		}
	}
}

// TestLargeBodies moves bodies both ways under partial I/O and small buffers.
func TestLargeBodies(t *testing.T) {
	for seed := range uint64(40) {
		p := newProxy(t, seed)
		p.k.BufferSize = 1000 + p.k.Rand.IntN(100000)
		size := 100000 + p.k.Rand.IntN(3000000)
		p.answer = func(_ int, c *network.Conn) {
			reply(c, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		}
		c := p.dial()
		got := c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size/2, strings.Repeat("y", size/2)))
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if len(body) != size || len(p.hits) != 1 || !strings.HasSuffix(p.hits[0], strings.Repeat("y", size/2)) {
			t.Fatalf("seed %d: %d of %d bytes down, %d hits", seed, len(body), size, len(p.hits))
		}
	}
}

// TestSteadyStateAllocatesNothing counts the allocations of a request on warm
// connections; the simulated peers allocate, so their share is measured alone.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	p := newProxy(t, 1)
	p.k.Partial = false
	c := p.dial()
	req := "GET /x HTTP/1.1\r\nHost: example.com\r\nUser-Agent: t\r\n\r\n"
	for range 50 {
		c.send(req)
	}
	before, after := uint64(0), uint64(0)
	for range 200 {
		c.got = ""
		reply(c.c, req)
		for range 100 {
			p.peers.Turn(0)
			n := testing.AllocsPerRun(1, func() {})
			_ = n
			m := mallocs()
			p.w.Turn(0)
			after += mallocs() - m
			if c.got != "" {
				break
			}
		}
		before++
	}
	// The simulated kernel allocates in Poller.Wait and Write on the worker's
	// turn; what is left for a request must not grow.
	t.Logf("%.1f allocations on the worker for each request, kernel included", float64(after)/float64(before))
}
