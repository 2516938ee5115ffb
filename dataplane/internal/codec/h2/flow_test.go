package h2

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"golang.org/x/net/http2/hpack"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// TestSlowReaderStopsItsPeer: a stream that is read-disabled holds back its
// sender, whose own watermark callbacks come, and not other streams.
func TestSlowReaderStopsItsPeer(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{InitialStreamWindow: 65535, InitialConnWindow: 1 << 20}, 0)
	slow, fast := cli.get(t, true), cli.get(t, true)
	slow.s.ReadDisable(true)
	e.settle(t, cli, srv)
	for _, m := range srv.requests {
		m.respond(false, ":status: 200")
		m.enc.EncodeData(body(strings.Repeat("x", 200000)), true)
	}
	e.settle(t, cli, srv)
	if len(fast.body) != 200000 || !fast.ended {
		t.Fatalf("the fast stream got %d octets", len(fast.body))
	}
	if s := srv.requests[0]; len(slow.body) != 0 || s.above != 1 {
		t.Fatalf("the slow stream got %d octets; its sender is above %d watermarks", len(slow.body), s.above)
	}
	slow.s.ReadDisable(false)
	e.settle(t, cli, srv)
	if len(slow.body) != 200000 || !slow.ended || srv.requests[0].above != 0 {
		t.Fatalf("after resuming %d octets, above %d", len(slow.body), srv.requests[0].above)
	}
}

// TestFullConnectionStopsStreams: above the connection's watermark nothing is
// written, and streams are told; also those that begin meanwhile.
func TestFullConnectionStopsStreams(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{}, 20000)
	a := cli.get(t, true)
	e.settle(t, cli, srv)
	srv.requests[0].respond(false, ":status: 200")
	srv.requests[0].enc.EncodeData(body(strings.Repeat("x", 200000)), true)
	e.w.Turn(0)
	if n := srv.conn.out.Len(); n > 60000 || srv.requests[0].above != 1 {
		t.Fatalf("%d octets are written, above %d", n, srv.requests[0].above)
	}
	b := cli.get(t, true)
	e.w.Turn(0)
	move(cli, srv, 1<<20)
	if srv.requests[1].above != 1 {
		t.Fatal("a new stream was not told that the connection is full")
	}
	srv.requests[1].respond(true, ":status: 200")
	e.settle(t, cli, srv)
	if len(a.body) != 200000 || !a.ended || !b.ended || srv.requests[0].above > 1 {
		t.Fatalf("%d octets, ended %v %v", len(a.body), a.ended, b.ended)
	}
}

// TestFairness: streams with data take turns, a frame each.
func TestFairness(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{}, 0)
	for range 3 {
		cli.get(t, true)
	}
	e.settle(t, cli, srv)
	for _, m := range srv.requests {
		m.respond(false, ":status: 200")
	}
	e.w.Turn(0)
	srv.conn.out.Drain(1 << 20)
	for _, m := range srv.requests {
		m.enc.EncodeData(body(strings.Repeat("x", 40000)), true)
	}
	e.w.Turn(0)
	want := "DATA 1 16384 false, DATA 3 16384 false, DATA 5 16384 false, DATA 1 16384 false, DATA 3 16384 false, DATA 5 16384 false, " +
		"DATA 1 7232 true, DATA 3 7232 true, DATA 5 7232 true"
	if got := parse(t, srv.conn.out.Bytes()); got != want {
		t.Fatalf("wrote %s", got)
	}
}

// TestResetAfterResponse: a complete response is sent before the reset that
// stops the request.
func TestResetAfterResponse(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{}, 0)
	m := cli.get(t, false)
	e.settle(t, cli, srv)
	s := srv.requests[0]
	s.respond(false, ":status: 413")
	s.enc.EncodeData(body("too large"), true)
	s.s.Reset(stream.LocalReset)
	if !s.reset {
		t.Fatal("the callbacks must hear of the reset at once")
	}
	e.w.Turn(0)
	if got := parse(t, srv.conn.out.Bytes()[:]); !strings.HasSuffix(got, "DATA 1 9 true, RST 1 NO_ERROR") {
		t.Fatalf("wrote %s", got)
	}
	e.settle(t, cli, srv)
	if string(m.body) != "too large" || !m.ended {
		t.Fatalf("the response did not arrive: %+v", m)
	}
}

func TestFlushTimeout(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{InitialStreamWindow: 65535}, 0)
	m := cli.get(t, true)
	m.s.ReadDisable(true)
	e.settle(t, cli, srv)
	s := srv.requests[0]
	s.s.SetFlushTimeout(5 * time.Second)
	s.respond(false, ":status: 200")
	s.enc.EncodeData(body(strings.Repeat("x", 100000)), true)
	e.settle(t, cli, srv)
	e.clock.Advance(5 * time.Second)
	e.settle(t, cli, srv)
	if !s.reset || s.reason != stream.LocalReset || !m.reset {
		t.Fatalf("server %v, client %v", s.reset, m.reset)
	}
	checkStats(t, e, "tx_flush_timeout=1 pending_send_bytes=0")
}

// TestSteadyStateAllocatesNothing counts a whole exchange with bodies both
// ways. Values that change from message to message would cost hpack a string
// each.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	e := newEnv()
	opt := config.HTTP2Options{}
	srv, cli := &quiet{pool: &e.w.Headers}, &quiet{pool: &e.w.Headers}
	sc, cc := &fakeConn{w: e.w}, &fakeConn{w: e.w}
	s := NewServer(sc, opt, e.st, srv)
	c := NewClient(cc, opt, e.st, cli)
	sc.codec, cc.codec = s, c
	in := buffer.New(&e.w.Buffers)
	req := headers(get...)
	req.Add("user-agent", "test")
	srv.answer = headers(":status: 200", "content-type: text/plain", "server: envoy")
	payload := buffer.New(&e.w.Buffers)
	once := func() {
		q := c.NewStream(cli)
		_ = q.EncodeHeaders(req, false)
		payload.WriteString("hello")
		q.EncodeData(payload, true)
		for range 3 {
			e.w.Turn(0)
			cc.sent(1<<20, in)
			_ = s.Dispatch(in, false)
			e.w.Turn(0)
			sc.sent(1<<20, in)
			_ = c.Dispatch(in, false)
		}
		if srv.last == nil {
			t.Fatal("no request")
		}
		srv.last.(stream.Releaser).Release()
		q.Stream().(stream.Releaser).Release()
		srv.last = nil
	}
	for range 10 {
		once()
	}
	if n := testing.AllocsPerRun(200, once); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// quiet answers every request and allocates nothing.
type quiet struct {
	answer *header.Map
	last   stream.ResponseEncoder
	pool   *header.Pool
}

func (q *quiet) NewStream(e stream.ResponseEncoder) stream.RequestDecoder { q.last = e; return q }
func (q *quiet) OnGoAway(bool)                                            {}
func (q *quiet) OnMaxConcurrentStreams(uint32)                            {}
func (q *quiet) LocalReply(int, string, string)                           {}
func (q *quiet) Decode1xx(h *header.Map)                                  { q.pool.Put(h) }
func (q *quiet) DecodeTrailers(h *header.Map)                             { q.pool.Put(h) }
func (q *quiet) DecodeHeaders(h *header.Map, _ bool)                      { q.pool.Put(h) }
func (q *quiet) DecodeData(b *buffer.Buffer, end bool) {
	if q.last == nil || !end {
		return
	}
	q.last.EncodeHeaders(q.answer, false)
	q.last.EncodeData(b, true)
}

// TestCompressor compares what our compressor writes with what another
// implementation reads, while the table changes its size.
func TestCompressor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCompressor()
		var got []header.Entry
		d := hpack.NewDecoder(maxEncoderTable, func(f hpack.HeaderField) { got = append(got, header.Entry{Name: f.Name, Value: f.Value}) })
		name := rapid.SampledFrom([]string{":method", ":path", ":status", "x-a", "x-b", "etag", "cookie", "authorization", "date", "content-length"})
		value := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"", "a", "GET", "200", "\xff\x00", "{}"}).Draw(t, "v"), rapid.SampledFrom([]int{1, 2, 300, 3000}).Draw(t, "times"))
		})
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			for range rapid.IntRange(0, 2).Draw(t, "resizes") {
				n := rapid.Uint32Range(0, 6000).Draw(t, "table")
				c.setMax(n)
			}
			got = nil
			var want []header.Entry
			b := c.begin(nil)
			for range rapid.IntRange(0, 12).Draw(t, "fields") {
				e := header.Entry{Name: name.Draw(t, "name"), Value: value.Draw(t, "value")}
				want = append(want, e)
				b = c.field(b, header.Lookup(e.Name), e.Name, e.Value)
			}
			if _, err := d.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d fields, want %d", len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("field %d is %v", i, got[i])
				}
			}
		}
	})
}
