package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// nopPoller has no sockets.
type nopPoller struct{}

func (nopPoller) Add(int, uint64) error                 { return nil }
func (nopPoller) Remove(int) error                      { return nil }
func (nopPoller) Wait([]event.Event, time.Duration) int { return 0 }
func (nopPoller) Wake()                                 {}
func (nopPoller) Close() error                          { return nil }

// fakeConn is a network.Connection whose kernel is the test.
type fakeConn struct {
	network.Connection // panics on what the codec must not use
	w                  *event.Worker
	out                buffer.Buffer
	limit              uint32
	above              bool
	codec              stream.Codec
	closed             bool
	detail             string
}

func (f *fakeConn) Worker() *event.Worker    { return f.w }
func (f *fakeConn) BufferLimit() uint32      { return f.limit }
func (f *fakeConn) AboveHighWatermark() bool { return f.above }
func (f *fakeConn) Buffered() int            { return f.out.Len() }

func (f *fakeConn) Write(b *buffer.Buffer, _ bool) {
	b.MoveTo(&f.out, b.Len())
	if f.limit > 0 && !f.above && f.out.Len() > int(f.limit) {
		f.above = true
		f.codec.OnAboveWriteBufferHighWatermark()
	}
}

func (f *fakeConn) Close(_ network.CloseType, detail string) {
	if !f.closed {
		f.closed, f.detail = true, detail
		f.codec.OnConnectionClosed(stream.ConnectionTermination, "")
	}
}

// sent takes up to n bytes that were written.
func (f *fakeConn) sent(n int, to *buffer.Buffer) {
	f.out.MoveTo(to, n)
	if f.above && f.out.Len() <= int(f.limit)/2 {
		f.above = false
		f.codec.OnBelowWriteBufferLowWatermark()
	}
}

type env struct {
	clock *clock.Fake
	w     *event.Worker
	group *stats.Group
	store *stats.Store
	st    *Stats
}

func newEnv() *env {
	e := &env{clock: clock.NewFake(time.Unix(1000, 0)), store: stats.NewStore()}
	e.w = event.NewWorker(event.Config{Clock: e.clock, Poller: nopPoller{}, Stats: e.store.NewLocal(), Seed: [2]uint64{1, 2}})
	e.st = NewStats(e.store)
	e.group = e.st.group
	return e
}

// message is one side's view of a request or response.
type message struct {
	enc      stream.Encoder
	s        stream.Stream
	headers  []string
	interim  []string
	trailers []string
	body     []byte
	ended    bool
	reset    bool
	reason   stream.ResetReason
	detail   string
	above    int
	hooks    func(m *message, what string)
}

func lines(h *header.Map) []string {
	var out []string
	for i := range h.Len() {
		e := h.At(i)
		out = append(out, strings.Clone(e.Name)+": "+strings.Clone(e.Value))
	}
	slices.Sort(out)
	return out
}

func (m *message) call(what string) {
	if m.hooks != nil {
		m.hooks(m, what)
	}
}

func (m *message) check() {
	if m.ended || m.reset {
		panic(fmt.Sprintf("event after the end of a message: ended %v reset %v", m.ended, m.reset))
	}
}

func (m *message) DecodeHeaders(h *header.Map, end bool) {
	m.check()
	m.headers, m.ended = lines(h), end
	m.call("headers")
}

func (m *message) Decode1xx(h *header.Map) {
	m.check()
	m.interim = append(m.interim, lines(h)...)
}

func (m *message) DecodeData(b *buffer.Buffer, end bool) {
	m.check()
	m.body = append(m.body, b.Bytes()...)
	b.Drain(b.Len())
	m.ended = end
	m.call("data")
}

func (m *message) DecodeTrailers(h *header.Map) {
	m.check()
	m.trailers, m.ended = lines(h), true
	m.call("trailers")
}

func (m *message) LocalReply(int, string, string) { panic("no local replies in HTTP/2") }

func (m *message) OnReset(r stream.ResetReason, d string) {
	if m.reset {
		panic("two resets")
	}
	m.reset, m.reason, m.detail = true, r, d
	m.call("reset")
}
func (m *message) OnAboveWriteBufferHighWatermark() { m.above++ }
func (m *message) OnBelowWriteBufferLowWatermark()  { m.above-- }

// peer is one codec with what happened on it.
type peer struct {
	conn     *fakeConn
	server   *Server
	client   *Client
	in       buffer.Buffer // on the way to this peer
	requests []*message
	hooks    func(m *message, what string)
	goAways  int
	max      uint32
	err      error
}

func (p *peer) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	m := &message{enc: e, s: e.Stream(), hooks: p.hooks}
	m.s.AddCallbacks(m)
	p.requests = append(p.requests, m)
	return m
}
func (p *peer) OnGoAway(bool)                   { p.goAways++ }
func (p *peer) OnMaxConcurrentStreams(n uint32) { p.max = n }

func (p *peer) c() *conn {
	if p.server != nil {
		return &p.server.conn
	}
	return &p.client.conn
}

func (e *env) newServer(o config.HTTP2Options, limit uint32) *peer {
	p := &peer{conn: &fakeConn{w: e.w, limit: limit}}
	p.server = NewServer(p.conn, o, e.st, p)
	p.conn.codec = p.server
	return p
}

func (e *env) newClient(o config.HTTP2Options, limit uint32) *peer {
	p := &peer{conn: &fakeConn{w: e.w, limit: limit}}
	p.client = NewClient(p.conn, o, e.st, p)
	p.conn.codec = p.client
	return p
}

func (p *peer) request(lines ...string) *message {
	m := &message{}
	m.enc = p.client.NewStream(m)
	m.s = m.enc.Stream()
	m.s.AddCallbacks(m)
	return m
}

func headers(lines ...string) *header.Map {
	m := new(header.Map)
	for _, l := range lines {
		i := strings.Index(l[1:], ": ") + 1
		m.Add(l[:i], l[i+2:])
	}
	return m
}

// move carries n bytes from a to b and dispatches them.
func move(a, b *peer, n int) {
	a.conn.sent(n, &b.in)
	if b.in.Len() == 0 || b.err != nil {
		return
	}
	b.err = b.conn.codec.Dispatch(&b.in, false)
}

// settle moves everything both ways until nothing moves.
func (e *env) settle(t testing.TB, a, b *peer) {
	t.Helper()
	for range 100000 {
		e.w.Turn(0)
		if a.conn.out.Len() == 0 && b.conn.out.Len() == 0 && e.w.Idle() {
			return
		}
		move(a, b, a.conn.out.Len())
		move(b, a, b.conn.out.Len())
	}
	t.Fatal("the connection does not come to rest")
}

func body(s string) *buffer.Buffer {
	b := new(buffer.Buffer)
	b.WriteString(s)
	return b
}
