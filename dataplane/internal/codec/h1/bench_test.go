package h1

import (
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network/networktest"
)

// typical is a request of a browser, with eight header lines.
const typical = "GET /some/path?x=y HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/json\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCookie: a=b; c=d\r\nX-Request-Id: 0123456789\r\nConnection: keep-alive\r\n\r\n"

func BenchmarkRequest(b *testing.B) {
	c := networktest.New()
	o := defaults
	p := &parser{opts: &o, pool: &c.W.Headers, limit: 60 << 10}
	p.data.SetPool(&c.W.Buffers)
	p.sink = &discard{p: p}
	in := buffer.New(&c.W.Buffers)
	for b.Loop() {
		in.WriteString(typical)
		p.reset()
		if err := p.parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncode writes a request head of eight lines to an upstream.
func BenchmarkEncode(b *testing.B) {
	c := networktest.New()
	o := defaults
	k := NewClient(c, &recorder{}, &o, nil)
	h := c.W.Headers.Get()
	for _, l := range [][2]string{
		{":method", "GET"}, {":path", "/some/path?x=y"}, {":authority", "example.com"}, {"user-agent", "Mozilla/5.0 (X11; Linux x86_64)"},
		{"accept", "text/html,application/json"}, {"accept-encoding", "gzip, deflate"}, {"accept-language", "en"},
		{"cookie", "a=b; c=d"}, {"x-request-id", "0123456789"}, {"x-forwarded-proto", "http"},
	} {
		h.Add(l[0], l[1])
	}
	for b.Loop() {
		c.Written = c.Written[:0]
		k.stream.active = false
		if err := k.NewStream(nil).EncodeHeaders(h, true); err != nil {
			b.Fatal(err)
		}
	}
}

// discard is a sink that drops everything.
type discard struct{ p *parser }

func (d *discard) startLine([]byte) error         { return nil }
func (d *discard) head() (framing, uint64, error) { d.p.pool.Put(d.p.h); return noBody, 0, nil }
func (d *discard) body(*buffer.Buffer, bool)      {}
func (d *discard) trailers(*header.Map)           {}
