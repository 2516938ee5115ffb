package h2

import (
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// BenchmarkExchange is a request and its response, both sides, 8 at a time.
func BenchmarkExchange(b *testing.B) {
	const streams = 8
	e := newEnv()
	srv, cli := &crowd{pool: &e.w.Headers}, &quiet{pool: &e.w.Headers}
	sc, cc := &fakeConn{w: e.w}, &fakeConn{w: e.w}
	s := NewServer(sc, config.HTTP2Options{}, e.st, srv)
	c := NewClient(cc, config.HTTP2Options{}, e.st, cli)
	sc.codec, cc.codec = s, c
	in := buffer.New(&e.w.Buffers)
	req := headers(with(get, "user-agent: bench", "accept: */*")...)
	srv.answer = headers(":status: 200", "content-type: text/plain", "server: envoy", "date: Thu, 01 Jan 1970 00:00:00 GMT")
	payload := buffer.New(&e.w.Buffers)
	var open [streams]stream.RequestEncoder
	b.ReportAllocs()
	for b.Loop() {
		for i := range open {
			open[i] = c.NewStream(cli)
			_ = open[i].EncodeHeaders(req, false)
			payload.WriteString("hello")
			open[i].EncodeData(payload, true)
		}
		for range 2 {
			e.w.Turn(0)
			cc.sent(1<<20, in)
			if err := s.Dispatch(in, false); err != nil {
				b.Fatal(err)
			}
			sc.sent(1<<20, in)
			if err := c.Dispatch(in, false); err != nil {
				b.Fatal(err)
			}
		}
		for i := range srv.requests {
			srv.requests[i].last.Stream().(stream.Releaser).Release()
		}
		for _, q := range open {
			q.Stream().(stream.Releaser).Release()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/exchange")
}

// crowd serves 8 requests at a time and allocates nothing.
type crowd struct {
	requests [8]quiet
	next     int
	answer   *header.Map
	pool     *header.Pool
}

func (q *crowd) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	r := &q.requests[q.next%len(q.requests)]
	q.next++
	*r = quiet{answer: q.answer, last: e, pool: q.pool}
	return r
}

func (q *crowd) OnGoAway(bool) {}
