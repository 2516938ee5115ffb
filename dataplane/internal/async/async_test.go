package async

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/manager"
)

// world is a client, clusters and an upstream over a simulated kernel.
type world struct {
	t        *testing.T
	k        *sim.Kernel
	w, peers *event.Worker
	m        *manager.Manager
	c        *Client
	// accept is what the upstream does with a connection.
	accept func(c *network.Conn)
}

type ready func()

func (r ready) OnReady(event.Ready) { r() }

func ip(s string) address.Address { return address.FromIP(netip.MustParseAddrPort(s)) }

func newWorld(t *testing.T, seed uint64, mode config.ProtocolMode) *world {
	x := &world{t: t, k: sim.New(seed)}
	x.w = x.k.NewWorker()
	control := x.k.NewWorker()
	x.peers = x.k.NewWorker()
	l, err := x.k.Listen(ip("127.0.0.1:9000"), event.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = x.peers.Register(l, ready(func() {
		for {
			fd, peer, e := x.k.Accept(l)
			if e != 0 {
				return
			}
			c := network.NewServer(x.peers, fd, network.Info{Remote: peer}, network.Options{Transport: &transport.Raw{}})
			x.accept(c)
			_ = c.Start(network.Options{})
		}
	}))
	x.m = manager.New(manager.Config{Workers: []*event.Worker{x.w}, Control: control, Stats: x.k.Store, Random: x.k.Rand.Uint64})
	limits := config.BreakerLimits{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, MaxPools: 1 << 30}
	for name, at := range map[string]string{"a": "127.0.0.1:9000", "dead": "127.0.0.1:9001", "empty": ""} {
		c := &config.Cluster{
			Name: name, ConnectTimeout: time.Second, BufferLimit: 1 << 20, Breakers: [2]config.BreakerLimits{limits, limits},
			Protocol: config.UpstreamProtocol{Mode: mode, HTTP1: config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60}},
		}
		if at != "" {
			c.Assignment = &config.Assignment{Localities: []config.LocalityEndpoints{{Endpoints: []config.Endpoint{{Address: ip(at), Weight: 1}}}}}
		}
		if err := x.m.Update(c, nil); err != nil {
			t.Fatal(err)
		}
	}
	x.c = New(x.w, x.m.On(0))
	return x
}

func (x *world) run() {
	x.t.Helper()
	if !x.k.Run(1 << 16) {
		x.t.Fatal("does not come to rest")
	}
}

func (x *world) stat(name string) uint64 {
	for _, s := range x.k.Store.Read() {
		if s.Name == name {
			return s.Value
		}
	}
	return 0
}

// atRest checks that nothing of a call is left.
func (x *world) atRest() {
	x.t.Helper()
	for _, c := range []string{"a", "dead"} {
		for _, s := range []string{"upstream_rq_active", "upstream_rq_pending_active"} {
			if n := x.stat("cluster." + c + "." + s); n != 0 {
				x.t.Errorf("cluster %s: %s is %d", c, s, n)
			}
		}
	}
	if n := x.m.On(0).Get("a").Breakers(0).Retries().Count(); n != 0 {
		x.t.Errorf("%d retries are held", n)
	}
}

// origin answers HTTP/1 requests by script.
type origin struct {
	c      *network.Conn
	in     string
	answer func(head string) string
}

func (o *origin) InitRead(network.ReadCallbacks)        {}
func (o *origin) OnNewConnection() network.FilterStatus { return network.Continue }
func (o *origin) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	o.in += b.String()
	b.Drain(b.Len())
	for {
		head, rest, found := strings.Cut(o.in, "\r\n\r\n")
		n := 0
		if i := strings.Index(head, "content-length: "); i >= 0 {
			_, _ = fmt.Sscanf(head[i+16:], "%d", &n)
		}
		if !found || len(rest) < n {
			return network.StopIteration
		}
		o.in = rest[n:]
		text := o.answer(head + "\r\n\r\n" + rest[:n])
		if text == "close" {
			o.c.Close(network.CloseNow, "")
			return network.StopIteration
		}
		out := buffer.New(&o.c.Worker().Buffers)
		out.WriteString(text)
		o.c.Write(out, false)
	}
}

// outcome is a Callbacks that notes.
type outcome struct {
	r     *Response
	f     *Failure
	calls int
}

func (o *outcome) OnResponse(r *Response) { o.r = r; o.calls++ }
func (o *outcome) OnFailure(f *Failure)   { o.f = f; o.calls++ }

func (x *world) request(method, path string) *header.Map {
	h := x.w.Headers.Get()
	h.AddID(header.Method, method)
	h.AddID(header.Path, path)
	h.AddID(header.Authority, "callee")
	h.AddID(header.Scheme, "http")
	return h
}

func TestSend(t *testing.T) {
	for seed := range uint64(50) {
		x := newWorld(t, seed, config.ExplicitHTTP1)
		var hits []string
		x.accept = func(c *network.Conn) {
			c.AddReadFilter(&origin{c: c, answer: func(r string) string {
				hits = append(hits, r)
				return "HTTP/1.1 203 Fine\r\ncontent-length: 5\r\nx-it: is\r\n\r\nhello"
			}})
		}
		var o outcome
		x.c.Send("a", x.request("POST", "/p"), []byte("body"), &o, Options{Timeout: 2 * time.Second, LocalAddress: "10.0.0.1"})
		x.run()
		if o.calls != 1 || o.r == nil || o.r.Status != 203 || string(o.r.Body) != "hello" {
			t.Fatalf("seed %d: %+v", seed, o)
		}
		if v, _ := o.r.Headers.Get("x-it"); v != "is" {
			t.Fatalf("seed %d: header %q", seed, v)
		}
		for _, want := range []string{"POST /p HTTP/1.1", "x-envoy-internal: true", "x-forwarded-for: 10.0.0.1", "x-envoy-expected-rq-timeout-ms: 2000", "\r\n\r\nbody"} {
			if len(hits) != 1 || !strings.Contains(hits[0], want) {
				t.Fatalf("seed %d: %q is not in %q", seed, want, hits)
			}
		}
		if x.stat("cluster.a.internal.upstream_rq_203") != 1 || x.stat("cluster.a.upstream_rq_2xx") != 1 {
			t.Fatalf("seed %d: the response was not counted", seed)
		}
		x.atRest()
	}
}

func TestSendFailures(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		answer        string
		o             Options
		status        int
		body          string
		flags         fault.Flag
	}{
		{"no host", "empty", "", Options{}, 503, "no healthy upstream", fault.NoHealthyUpstream},
		{"refused", "dead", "", Options{}, 503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure", fault.UpstreamConnectionFailure},
		{"closed", "a", "close", Options{}, 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination", fault.UpstreamConnectionTermination},
		{"garbage", "a", "bad\r\n\r\n", Options{}, 502, "upstream connect error or disconnect/reset before headers. reset reason: protocol error", fault.UpstreamProtocolError},
		{"late", "a", "", Options{Timeout: 100 * time.Millisecond}, 504, "upstream request timeout", fault.UpstreamRequestTimeout},
		{"too large", "a", "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhello, world", Options{BufferLimit: 5}, 0, "", fault.UpstreamOverflow},
		{"cut", "a", "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhel", Options{Timeout: time.Second}, 0, "", fault.UpstreamRequestTimeout},
		{"retried", "a", "close", Options{Retry: &Retry{Max: 2, Reset: true}}, 503, "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination", fault.UpstreamConnectionTermination},
	} {
		x := newWorld(t, 3, config.ExplicitHTTP1)
		x.accept = func(p *network.Conn) {
			p.AddReadFilter(&origin{c: p, answer: func(string) string { return c.answer }})
		}
		var o outcome
		x.c.Send(c.cluster, x.request("GET", "/"), nil, &o, c.o)
		x.k.Advance(5 * time.Second)
		if o.calls != 1 || o.f == nil || o.f.Status != c.status || o.f.Body != c.body || o.f.Flags != c.flags {
			t.Errorf("%s: %d calls, %+v", c.name, o.calls, o.f)
		}
		x.atRest()
	}
	x := newWorld(t, 1, config.ExplicitHTTP1)
	h := x.request("GET", "/")
	if x.c.Send("nobody", h, nil, &outcome{}, Options{}) != nil {
		t.Error("a cluster that does not exist took a request")
	}
}

func TestRetries(t *testing.T) {
	for seed := range uint64(30) {
		x := newWorld(t, seed, config.ExplicitHTTP1)
		n := 0
		var bodies []string
		x.accept = func(c *network.Conn) {
			c.AddReadFilter(&origin{c: c, answer: func(r string) string {
				n++
				_, b, _ := strings.Cut(r, "\r\n\r\n")
				bodies = append(bodies, b)
				return []string{"", "close", "HTTP/1.1 503 No\r\ncontent-length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"}[n]
			}})
		}
		var o outcome
		x.c.Send("a", x.request("PUT", "/"), []byte("again"), &o, Options{Retry: &Retry{Max: 3, Reset: true, Statuses: []int{503}}})
		x.k.Advance(5 * time.Second)
		if o.r == nil || o.r.Status != 200 || strings.Join(bodies, " ") != "again again again" {
			t.Fatalf("seed %d: %+v %q", seed, o, bodies)
		}
		if x.stat("cluster.a.upstream_rq_retry") != 2 || x.stat("cluster.a.upstream_rq_retry_success") != 1 {
			t.Fatalf("seed %d: retries were not counted", seed)
		}
		x.atRest()
	}
}

func TestCancelAtAnyTime(t *testing.T) {
	for turns := range 40 {
		x := newWorld(t, uint64(turns), config.ExplicitHTTP1)
		x.accept = func(c *network.Conn) {
			c.AddReadFilter(&origin{c: c, answer: func(string) string { return "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc" }})
		}
		var o outcome
		k := x.c.Send("a", x.request("GET", "/"), nil, &o, Options{})
		for range turns {
			x.k.Run(1)
		}
		before := o.calls
		k.Cancel()
		x.run()
		if o.calls != before {
			t.Fatalf("after %d turns: a callback after Cancel", turns)
		}
		x.atRest()
	}
}

// grpcServer answers gRPC streams by script.
type grpcServer struct {
	codec   *h2.Server
	c       *network.Conn
	message func(s *grpcExchange, m string)
	headers func(s *grpcExchange)
}

func (g *grpcServer) InitRead(network.ReadCallbacks)        {}
func (g *grpcServer) OnNewConnection() network.FilterStatus { return network.Continue }
func (g *grpcServer) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if g.codec.Dispatch(b, end) != nil {
		g.c.Close(network.CloseNow, "")
	}
	return network.StopIteration
}
func (g *grpcServer) OnGoAway(bool) {}
func (g *grpcServer) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	return &grpcExchange{g: g, e: e}
}

type grpcExchange struct {
	g  *grpcServer
	e  stream.ResponseEncoder
	h  *header.Map
	in string
}

func (s *grpcExchange) DecodeHeaders(h *header.Map, _ bool) {
	s.h = h
	if s.g.headers != nil {
		s.g.headers(s)
	}
}
func (s *grpcExchange) DecodeTrailers(*header.Map)     {}
func (s *grpcExchange) LocalReply(int, string, string) {}
func (s *grpcExchange) DecodeData(b *buffer.Buffer, _ bool) {
	s.in += b.String()
	b.Drain(b.Len())
	for len(s.in) >= 5 {
		n := int(binary.BigEndian.Uint32([]byte(s.in[1:5])))
		if len(s.in) < 5+n {
			return
		}
		m := s.in[5 : 5+n]
		s.in = s.in[5+n:]
		s.g.message(s, m)
	}
}

func (s *grpcExchange) send(end bool, pairs ...string) {
	h := new(header.Map)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	s.e.EncodeHeaders(h, end)
}

func (s *grpcExchange) data(messages ...string) {
	b := buffer.New(&s.g.c.Worker().Buffers)
	for _, m := range messages {
		var p [5]byte
		binary.BigEndian.PutUint32(p[1:], uint32(len(m)))
		_, _ = b.Write(p[:])
		b.WriteString(m)
	}
	s.e.EncodeData(b, false)
}

func (s *grpcExchange) trailers(pairs ...string) {
	h := new(header.Map)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	s.e.EncodeTrailers(h)
}

func (x *world) serveGRPC(g grpcServer) {
	x.accept = func(c *network.Conn) {
		s := g
		s.c = c
		s.codec = h2.NewServer(c, config.HTTP2Options{}, nil, &s)
		c.AddReadFilter(&s)
	}
}

// dialogue notes what a gRPC stream got.
type dialogue struct {
	got    []string
	closed []string
}

func (d *dialogue) OnMessage(m []byte) { d.got = append(d.got, string(m)) }
func (d *dialogue) OnClose(status int, message string) {
	d.closed = append(d.closed, fmt.Sprintf("%d %s", status, message))
}

func TestGRPCStream(t *testing.T) {
	for seed := range uint64(50) {
		x := newWorld(t, seed, config.ExplicitHTTP2)
		var path, timeout string
		x.serveGRPC(grpcServer{
			headers: func(s *grpcExchange) {
				path, timeout = s.h.GetID(header.Path), s.h.GetID(header.GrpcTimeout)
				s.send(false, ":status", "200", "content-type", "application/grpc")
			},
			message: func(s *grpcExchange, m string) {
				if m == "end" {
					s.trailers("grpc-status", "9", "grpc-message", "so%20it is")
					return
				}
				s.data("re: "+m, "")
			},
		})
		var d dialogue
		g := &GRPC{Client: x.c, Cluster: "a"}
		k := g.Start("/s.S/M", &d, time.Minute)
		big := strings.Repeat("m", 1000+int(seed)*3000)
		k.Send([]byte("one"))
		k.Send([]byte(big))
		x.run()
		k.Send([]byte("end"))
		x.run()
		if len(d.got) != 4 || d.got[0] != "re: one" || d.got[1] != "" || d.got[2] != "re: "+big || len(d.closed) != 1 || d.closed[0] != "9 so it is" {
			t.Fatalf("seed %d: %d messages, %q", seed, len(d.got), d.closed)
		}
		if path != "/s.S/M" || timeout != "60000m" {
			t.Fatalf("seed %d: path %q timeout %q", seed, path, timeout)
		}
		k.Send([]byte("after the end"))
		x.run()
		x.atRest()
	}
}

func TestGRPCStatuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster string
		headers func(s *grpcExchange)
		want    string
	}{
		{"trailers only", "a", func(s *grpcExchange) { s.send(true, ":status", "200", "grpc-status", "5", "grpc-message", "none") }, "5 none"},
		{"http error", "a", func(s *grpcExchange) { s.send(true, ":status", "403") }, "7 HTTP status 403"},
		{"no status", "a", func(s *grpcExchange) { s.send(true, ":status", "200") }, "2 missing or invalid grpc-status"},
		{"http error with status", "a", func(s *grpcExchange) { s.send(true, ":status", "503", "grpc-status", "8") }, "8 "},
		{"no message", "a", func(s *grpcExchange) { s.send(false, ":status", "200"); s.trailers("grpc-status", "0") }, "13 response has no message"},
		{"reset", "a", func(s *grpcExchange) { s.e.Stream().Reset(stream.LocalReset) }, "14 upstream connect error or disconnect/reset before headers. reset reason: remote reset"},
		{"late", "a", func(*grpcExchange) {}, "14 upstream request timeout"},
		{"refused", "dead", nil, "14 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"},
		{"no host", "empty", nil, "14 no healthy upstream"},
		{"fine", "a", func(s *grpcExchange) {
			s.send(false, ":status", "200")
			s.data("yes")
			s.trailers("grpc-status", "0")
		}, "0 yes"},
	} {
		x := newWorld(t, 5, config.ExplicitHTTP2)
		x.serveGRPC(grpcServer{headers: c.headers, message: func(*grpcExchange, string) {}})
		var got []string
		g := &GRPC{Client: x.c, Cluster: c.cluster}
		g.Call("/s.S/M", []byte("q"), time.Second, func(m []byte, status int, text string) {
			got = append(got, fmt.Sprintf("%d %s%s", status, text, m))
		})
		x.k.Advance(3 * time.Second)
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		x.atRest()
	}
	x := newWorld(t, 1, config.ExplicitHTTP2)
	if (&GRPC{Client: x.c, Cluster: "nobody"}).Start("/s.S/M", &dialogue{}, 0) != nil {
		t.Error("a cluster that does not exist took a stream")
	}
}
