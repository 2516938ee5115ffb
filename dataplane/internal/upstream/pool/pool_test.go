package pool

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/breaker"
)

// world is one pool over a simulated kernel, and its peer.
type world struct {
	t        *testing.T
	k        *sim.Kernel
	w, peers *event.Worker
	cfg      *config.Cluster
	host     *upstream.Host
	breakers *breaker.Set
	p        *HTTP
	idle     int
	accepted []*network.Conn
	// answer is what the peer does with an HTTP/1 request.
	answer func(c *network.Conn, n int)
	// reply is what the peer does with an HTTP/2 request.
	reply func(e stream.ResponseEncoder, n int)
	hits  int
}

type ready func()

func (r ready) OnReady(event.Ready) { r() }

func ip(s string) address.Address { return address.FromIP(netip.MustParseAddrPort(s)) }

func newWorld(t *testing.T, seed uint64, mode Mode, change func(c *config.Cluster)) *world {
	x := &world{t: t, k: sim.New(seed)}
	x.w, x.peers = x.k.NewWorker(), x.k.NewWorker()
	x.cfg = &config.Cluster{
		Name: "c", ConnectTimeout: time.Second, BufferLimit: 1 << 20,
		Protocol: config.UpstreamProtocol{HTTP1: config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60}},
		Breakers: [2]config.BreakerLimits{{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3}},
	}
	if change != nil {
		change(x.cfg)
	}
	g := x.k.Store.Group("cluster.c.", upstream.ClusterSchema)
	x.host = &upstream.Host{Address: ip("127.0.0.1:9000")}
	x.breakers = breaker.New(x.cfg.Breakers[0], x.k.Store, "cluster.c.circuit_breakers.default.")
	x.p = NewHTTP(Config{
		Worker: x.w, Host: x.host, Info: &upstream.Info{Config: x.cfg, Stats: g, Store: x.k.Store}, Breakers: x.breakers, Mode: mode,
		H1: h1.NewStats(x.k.Store), H2: h2.NewStatsAt(x.k.Store, "cluster.c.http2."), Bytes: BytesOf(g), OnIdle: func() { x.idle++ },
	})
	x.answer = func(c *network.Conn, _ int) { text(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
	x.reply = func(e stream.ResponseEncoder, _ int) { respond(e) }
	return x
}

func respond(e stream.ResponseEncoder) {
	h := new(header.Map)
	h.AddID(header.Status, "200")
	e.EncodeHeaders(h, true)
}

func text(c *network.Conn, s string) {
	b := buffer.New(&c.Worker().Buffers)
	b.WriteString(s)
	c.Write(b, false)
}

// listen starts the peer.
func (x *world) listen() {
	l, err := x.k.Listen(x.host.Address, event.ListenOptions{})
	if err != nil {
		x.t.Fatal(err)
	}
	_ = x.peers.Register(l, ready(func() {
		for {
			fd, peer, e := x.k.Accept(l)
			if e != 0 {
				return
			}
			c := network.NewServer(x.peers, fd, network.Info{Remote: peer}, network.Options{Transport: &transport.Raw{}})
			x.accepted = append(x.accepted, c)
			if x.p.cfg.Mode == HTTP2 {
				s := &peer2{x: x, c: c}
				s.codec = h2.NewServer(c, config.HTTP2Options{MaxConcurrentStreams: x.cfg.Protocol.HTTP2.MaxConcurrentStreams}, nil, s)
				c.AddReadFilter(s)
				c.AddEvents(s)
			} else {
				c.AddReadFilter(&peer1{x: x, c: c})
			}
			_ = c.Start(network.Options{})
		}
	}))
}

// peer1 answers HTTP/1 requests without bodies.
type peer1 struct {
	x  *world
	c  *network.Conn
	in string
}

func (s *peer1) InitRead(network.ReadCallbacks)        {}
func (s *peer1) OnNewConnection() network.FilterStatus { return network.Continue }
func (s *peer1) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	s.in += b.String()
	b.Drain(b.Len())
	for {
		_, rest, found := strings.Cut(s.in, "\r\n\r\n")
		if !found {
			return network.StopIteration
		}
		s.in = rest
		s.x.hits++
		s.x.answer(s.c, s.x.hits)
	}
}

// peer2 answers HTTP/2 requests.
type peer2 struct {
	x     *world
	c     *network.Conn
	codec *h2.Server
}

func (s *peer2) InitRead(network.ReadCallbacks)        {}
func (s *peer2) OnNewConnection() network.FilterStatus { return network.Continue }
func (s *peer2) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if s.codec.Dispatch(b, end) != nil {
		s.c.Close(network.CloseNow, "")
	}
	return network.StopIteration
}
func (s *peer2) OnEvent(e network.Event) {
	if e != network.Connected {
		s.codec.OnConnectionClosed(stream.ConnectionTermination, "")
	}
}
func (s *peer2) OnAboveHighWatermark() { s.codec.OnAboveWriteBufferHighWatermark() }
func (s *peer2) OnBelowLowWatermark()  { s.codec.OnBelowWriteBufferLowWatermark() }
func (s *peer2) OnGoAway(bool)         {}
func (s *peer2) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	s.x.hits++
	return &request2{s: s, e: e, n: s.x.hits}
}

type request2 struct {
	s *peer2
	e stream.ResponseEncoder
	n int
}

func (r *request2) DecodeHeaders(*header.Map, bool) { r.s.x.reply(r.e, r.n) }
func (r *request2) DecodeData(*buffer.Buffer, bool) {}
func (r *request2) DecodeTrailers(*header.Map)      {}
func (r *request2) LocalReply(int, string, string)  {}

// try is one request of a test; it must end once.
type try struct {
	x        *world
	wait     upstream.Cancellable
	e        stream.RequestEncoder
	conn     uint64
	response int
	reset    int
	failed   int
	failure  upstream.PoolFailure
	detail   string
	left     bool // given up by the test
}

func (r *try) outcomes() int { return r.response + r.reset + r.failed }

func (x *world) request() *try {
	r := &try{x: x}
	if w := x.p.NewStream(r, r); w != nil {
		r.wait = w
	}
	return r
}

func (r *try) OnPoolReady(e stream.RequestEncoder, u *upstream.UpstreamInfo) {
	r.wait, r.e, r.conn = nil, e, u.ConnectionID
	e.Stream().AddCallbacks(r)
	h := new(header.Map)
	h.AddID(header.Method, "GET")
	h.AddID(header.Scheme, "http")
	h.AddID(header.Path, "/")
	h.AddID(header.Authority, "x")
	if err := e.EncodeHeaders(h, true); err != nil {
		r.x.t.Fatal(err)
	}
}

func (r *try) OnPoolFailure(f upstream.PoolFailure, detail string, _ *upstream.Host) {
	r.wait, r.failure, r.detail = nil, f, detail
	r.failed++
}

func (r *try) Decode1xx(*header.Map) {}
func (r *try) DecodeHeaders(_ *header.Map, end bool) {
	if end {
		r.response++
	}
}
func (r *try) DecodeData(b *buffer.Buffer, end bool) {
	b.Drain(b.Len())
	if end {
		r.response++
	}
}
func (r *try) DecodeTrailers(*header.Map)         { r.response++ }
func (r *try) OnReset(stream.ResetReason, string) { r.reset++ }
func (r *try) OnAboveWriteBufferHighWatermark()   {}
func (r *try) OnBelowWriteBufferLowWatermark()    {}

// giveUp ends a request from the test's side.
func (r *try) giveUp() {
	if r.left || r.outcomes() > 0 {
		return
	}
	r.left = true
	if r.wait != nil {
		r.wait.Cancel()
		r.wait = nil
	} else if r.e != nil {
		r.e.Stream().RemoveCallbacks(r)
		r.e.Stream().Reset(stream.LocalReset)
	}
}

func (x *world) run() {
	x.t.Helper()
	if !x.k.Run(1 << 16) {
		x.t.Fatal("does not come to rest")
	}
}

func (x *world) stat(name string) uint64 {
	for _, s := range x.k.Store.Read() {
		if s.Name == "cluster.c."+name {
			return s.Value
		}
	}
	return 0
}

func (x *world) expect(want map[string]uint64) {
	x.t.Helper()
	for n, v := range want {
		if got := x.stat(n); got != v {
			x.t.Errorf("%s is %d, want %d", n, got, v)
		}
	}
}

func TestConnectionsAreUsedAgainLastFirst(t *testing.T) {
	x := newWorld(t, 1, HTTP1, nil)
	x.listen()
	a, b := x.request(), x.request()
	x.run()
	if a.response != 1 || b.response != 1 || a.conn == b.conn {
		t.Fatalf("%+v %+v", a, b)
	}
	c := x.request()
	x.run()
	d := x.request()
	x.run()
	if c.conn != d.conn || c.response+d.response != 2 {
		t.Errorf("connections %d and %d", c.conn, d.conn)
	}
	x.expect(map[string]uint64{"upstream_cx_total": 2, "upstream_cx_active": 2, "upstream_cx_http1_total": 2, "upstream_rq_total": 4, "upstream_rq_active": 0, "upstream_rq_pending_total": 2, "upstream_cx_destroy": 0})
}

func TestConnectFailureEndsAllThatWait(t *testing.T) {
	x := newWorld(t, 1, HTTP1, nil)
	a, b := x.request(), x.request()
	x.run()
	if a.failed != 1 || b.failed != 1 || a.failure != upstream.RemoteConnectFailure || a.detail == "" {
		t.Fatalf("%+v %+v", a, b)
	}
	x.expect(map[string]uint64{"upstream_rq_pending_failure_eject": 2, "upstream_rq_total": 0, "upstream_cx_active": 0, "upstream_rq_pending_active": 0})
	if x.breakers.Connections().Count() != 0 || x.idle == 0 {
		t.Error("something is left")
	}
}

func TestBreakers(t *testing.T) {
	x := newWorld(t, 1, HTTP1, func(c *config.Cluster) {
		c.Breakers[0] = config.BreakerLimits{MaxConnections: 1, MaxPending: 1, MaxRequests: 2}
	})
	x.listen()
	var held []*network.Conn
	x.answer = func(c *network.Conn, _ int) { held = append(held, c) }
	a := x.request()
	x.run()
	b, c := x.request(), x.request() // b waits for a's connection; c finds the list full
	x.run()
	if c.failed != 1 || c.failure != upstream.PoolOverflow || b.outcomes() != 0 {
		t.Fatalf("b %+v c %+v", b, c)
	}
	x.expect(map[string]uint64{"upstream_cx_overflow": 1, "upstream_rq_pending_overflow": 1, "upstream_rq_pending_active": 1, "circuit_breakers.default.cx_open": 1, "circuit_breakers.default.rq_pending_open": 1})
	text(held[0], "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	x.run()
	text(held[1], "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	x.run()
	if a.response != 1 || b.response != 1 {
		t.Errorf("a %+v b %+v", a, b)
	}
	x.expect(map[string]uint64{"upstream_cx_total": 1, "circuit_breakers.default.rq_pending_open": 0})

	x = newWorld(t, 1, HTTP1, func(c *config.Cluster) {
		c.Breakers[0] = config.BreakerLimits{MaxConnections: 0, MaxPending: 1024, MaxRequests: 0}
	})
	x.listen()
	a = x.request()
	x.run()
	if a.failed != 1 || a.failure != upstream.PoolOverflow {
		t.Errorf("max_requests 0: %+v", a)
	}
	// A pool without a connection gets one over the limit.
	x.expect(map[string]uint64{"upstream_cx_total": 1, "upstream_cx_overflow": 1, "upstream_rq_active_overflow": 1, "upstream_rq_pending_overflow": 0, "upstream_rq_total": 0})
}

func TestTimersOfConnections(t *testing.T) {
	x := newWorld(t, 1, HTTP1, func(c *config.Cluster) { c.Protocol.IdleTimeout = time.Second })
	x.listen()
	x.request()
	x.run()
	x.k.Advance(900 * time.Millisecond)
	x.expect(map[string]uint64{"upstream_cx_active": 1})
	x.k.Advance(200 * time.Millisecond)
	x.expect(map[string]uint64{"upstream_cx_active": 0, "upstream_cx_idle_timeout": 1, "upstream_cx_destroy_local": 1})

	x = newWorld(t, 1, HTTP1, func(c *config.Cluster) { c.Protocol.MaxDuration = time.Second })
	x.listen()
	var held *network.Conn
	x.answer = func(c *network.Conn, _ int) { held = c }
	a := x.request()
	x.run()
	x.k.Advance(1100 * time.Millisecond)
	x.expect(map[string]uint64{"upstream_cx_active": 1, "upstream_cx_max_duration_reached": 1})
	text(held, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	x.run()
	if a.response != 1 {
		t.Error("max_connection_duration cut a request")
	}
	x.expect(map[string]uint64{"upstream_cx_active": 0, "upstream_cx_destroy_with_active_rq": 0})
}

func TestMaxRequestsPerConnection(t *testing.T) {
	for _, mode := range []Mode{HTTP1, HTTP2} {
		x := newWorld(t, 1, mode, func(c *config.Cluster) { c.MaxRequestsPerConnection = 2 })
		x.listen()
		for range 5 {
			r := x.request()
			x.run()
			if r.response != 1 {
				t.Fatalf("%+v", r)
			}
		}
		x.expect(map[string]uint64{"upstream_cx_total": 3, "upstream_cx_max_requests": 2, "upstream_rq_total": 5, "upstream_cx_active": 1})
	}
}

func TestPreconnect(t *testing.T) {
	x := newWorld(t, 1, HTTP1, func(c *config.Cluster) { c.PerUpstreamPreconnect = 3 })
	x.listen()
	x.request()
	x.run()
	x.expect(map[string]uint64{"upstream_cx_total": 3, "upstream_cx_active": 3, "upstream_rq_total": 1})
}

func TestPrematureDataClosesIdleConnections(t *testing.T) {
	x := newWorld(t, 1, HTTP1, nil)
	x.listen()
	x.request()
	x.run()
	text(x.accepted[0], "HTTP/1.1 200 OK\r\n\r\n")
	x.run()
	x.expect(map[string]uint64{"upstream_cx_active": 0})
	r := x.request()
	x.run()
	if r.response != 1 || len(x.accepted) != 2 {
		t.Errorf("%+v on %d connections", r, len(x.accepted))
	}
}

func TestGoAwayMovesToANewConnection(t *testing.T) {
	x := newWorld(t, 1, HTTP2, nil)
	x.listen()
	var held []stream.ResponseEncoder
	x.reply = func(e stream.ResponseEncoder, _ int) { held = append(held, e) }
	a := x.request()
	x.run()
	for c := range x.p.all {
		c.OnGoAway(true)
	}
	b := x.request()
	x.run()
	if len(x.accepted) != 2 || a.conn == b.conn || len(held) != 2 {
		t.Fatalf("%d connections, %d streams", len(x.accepted), len(held))
	}
	respond(held[0])
	respond(held[1])
	x.run()
	if a.response != 1 || b.response != 1 {
		t.Errorf("%+v %+v", a, b)
	}
	x.expect(map[string]uint64{"upstream_cx_close_notify": 1, "upstream_cx_active": 1})
}

func TestDrain(t *testing.T) {
	for _, mode := range []Mode{HTTP1, HTTP2} {
		x := newWorld(t, 1, mode, nil)
		x.listen()
		x.request()
		x.run()
		var held []func()
		x.answer = func(c *network.Conn, _ int) {
			held = append(held, func() { text(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") })
		}
		x.reply = func(e stream.ResponseEncoder, _ int) { held = append(held, func() { respond(e) }) }
		a := x.request()
		x.run()
		x.idle = 0
		x.p.Drain()
		x.run()
		if a.outcomes() != 0 || x.idle != 0 {
			t.Fatalf("mode %d: drain cut a request", mode)
		}
		held[0]()
		x.run()
		if a.response != 1 || x.idle != 1 || x.stat("upstream_cx_active") != 0 {
			t.Errorf("mode %d: %+v, idle %d", mode, a, x.idle)
		}
	}
}

// TestSchedules drives pools through random lives of requests, connections and
// peers: every request ends once, and at the end nothing is left on the books.
func TestSchedules(t *testing.T) {
	for seed := range uint64(3000) {
		mode := Mode(seed % 2)
		x := newWorld(t, seed, mode, nil)
		r := x.k.Rand
		if r.IntN(2) == 0 {
			x.cfg.MaxRequestsPerConnection = uint32(r.IntN(4))
		}
		if r.IntN(3) == 0 {
			x.cfg.PerUpstreamPreconnect = 1 + 2*r.Float64()
		}
		if r.IntN(3) == 0 {
			x.cfg.Protocol.HTTP2.MaxConcurrentStreams = uint32(1 + r.IntN(3))
			x.p.opts.HTTP2.MaxConcurrentStreams = x.cfg.Protocol.HTTP2.MaxConcurrentStreams
		}
		x.cfg.Protocol.IdleTimeout = time.Duration(r.IntN(3)) * time.Second
		x.cfg.Protocol.MaxDuration = time.Duration(r.IntN(3)) * time.Second
		var later []func()
		x.answer = func(c *network.Conn, _ int) {
			ok := func() { text(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
			switch r.IntN(8) {
			case 0:
				c.Close(network.CloseReset, "")
			case 1:
				text(c, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
				c.Close(network.CloseFlush, "")
			case 2:
				later = append(later, ok)
			case 3:
				text(c, "nonsense\r\n\r\n")
			default:
				ok()
			}
		}
		x.reply = func(e stream.ResponseEncoder, _ int) {
			switch r.IntN(8) {
			case 0:
				e.Stream().Reset(stream.LocalReset)
			case 1:
				x.accepted[r.IntN(len(x.accepted))].Close(network.CloseNow, "")
			case 2, 3:
				later = append(later, func() { respond(e) })
			default:
				respond(e)
			}
		}
		listening := r.IntN(10) > 0
		if listening {
			x.listen()
		}
		var all []*try
		for range 40 {
			switch r.IntN(10) {
			case 0, 1, 2, 3:
				all = append(all, x.request())
			case 4:
				if len(all) > 0 {
					all[r.IntN(len(all))].giveUp()
				}
			case 5:
				if n := len(later); n > 0 {
					later[n-1]()
					later = later[:n-1]
				}
			case 6:
				x.k.Advance(time.Duration(r.IntN(1500)) * time.Millisecond)
			case 7:
				if n := len(x.accepted); n > 0 && r.IntN(3) == 0 {
					x.accepted[r.IntN(n)].Close(network.CloseNow, "")
				}
			default:
				x.k.Run(r.IntN(6))
			}
		}
		for _, f := range later {
			f()
		}
		x.run()
		for _, q := range all {
			q.giveUp()
		}
		x.run()
		x.p.Drain()
		x.run()
		x.k.Advance(5 * time.Second)
		for i, q := range all {
			if q.outcomes() > 1 || q.outcomes() == 0 && !q.left {
				t.Fatalf("seed %d: request %d ended %d times: %+v", seed, i, q.outcomes(), q)
			}
		}
		for _, s := range []string{"upstream_cx_active", "upstream_rq_active", "upstream_rq_pending_active"} {
			if n := x.stat(s); n != 0 {
				t.Fatalf("seed %d: %s is %d at the end", seed, s, n)
			}
		}
		b := x.breakers
		if b.Connections().Count()+b.Requests().Count()+b.Pending().Count() != 0 {
			t.Fatalf("seed %d: breakers hold %d %d %d", seed, b.Connections().Count(), b.Requests().Count(), b.Pending().Count())
		}
		h := &x.host.Active
		if h.Connections.Load()+h.Requests.Load()+h.Pending.Load() != 0 || !x.p.Idle() {
			t.Fatalf("seed %d: the host holds %s", seed, fmt.Sprint(h.Connections.Load(), h.Requests.Load(), h.Pending.Load()))
		}
		if x.p.connecting != 0 || len(x.p.ready) != 0 {
			t.Fatalf("seed %d: %d connecting, %d ready", seed, x.p.connecting, len(x.p.ready))
		}
	}
}
