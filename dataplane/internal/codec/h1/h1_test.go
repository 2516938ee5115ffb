package h1

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network/networktest"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

var defaults = config.HTTP1Options{AllowAbsoluteURL: true, MaxHeaders: 100, MaxHeadersKiB: 60}

// recorder is everything above a codec: it writes down what it gets.
type recorder struct {
	log     strings.Builder
	encoder stream.ResponseEncoder
	onEnd   func()
	body    int
}

func (r *recorder) NewStream(e stream.ResponseEncoder) stream.RequestDecoder { r.encoder = e; return r }
func (r *recorder) OnGoAway(bool)                                            {}
func (r *recorder) OnMaxConcurrentStreams(uint32)                            {}
func (r *recorder) Decode1xx(h *header.Map)                                  { r.write("1xx", h) }
func (r *recorder) DecodeTrailers(h *header.Map)                             { r.write("trailers", h); r.end() }
func (r *recorder) DecodeHeaders(h *header.Map, end bool) {
	r.write("headers", h)
	if end {
		r.end()
	}
}
func (r *recorder) write(what string, h *header.Map) {
	r.flush()
	r.log.WriteString(what)
	for i := range h.Len() {
		fmt.Fprintf(&r.log, " [%s=%s]", h.At(i).Name, h.At(i).Value)
	}
	r.log.WriteString("\n")
}
func (r *recorder) flush() {
	if r.body > 0 {
		fmt.Fprintf(&r.log, "body %d\n", r.body)
		r.body = 0
	}
}
func (r *recorder) DecodeData(b *buffer.Buffer, end bool) {
	r.body += b.Len()
	b.Drain(b.Len())
	if end {
		r.end()
	}
}
func (r *recorder) end() {
	r.flush()
	r.log.WriteString("end\n")
	if r.onEnd != nil {
		r.onEnd()
	}
}
func (r *recorder) LocalReply(status int, _, detail string) {
	r.flush()
	fmt.Fprintf(&r.log, "refused %d %s\n", status, detail)
}

// request feeds raw bytes to a server codec in pieces and returns what came of
// it; each request is answered at once.
func request(raw string, opts config.HTTP1Options, cuts ...int) string {
	c := networktest.New()
	r := &recorder{}
	s := NewServer(c, r, &opts, nil)
	r.onEnd = func() {
		h := c.W.Headers.Get()
		h.AddID(header.Status, "200")
		r.encoder.EncodeHeaders(h, true)
	}
	in := buffer.New(&c.W.Buffers)
	var failed error
	for _, piece := range pieces(raw, cuts) {
		in.WriteString(piece)
		if failed = s.Dispatch(in, false); failed != nil {
			break
		}
	}
	r.flush()
	return r.log.String()
}

func pieces(raw string, cuts []int) []string {
	var out []string
	at := 0
	for _, c := range cuts {
		if c > at && c < len(raw) {
			out = append(out, raw[at:c])
			at = c
		}
	}
	return append(out, raw[at:])
}

var requestCases = map[string]struct{ raw, want string }{
	"simple":        {"GET /a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "headers [:method=GET] [:path=/a] [accept=*/*] [:authority=x]\nend\n"},
	"length":        {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", "headers [:method=POST] [:path=/] [content-length=3] [:authority=x]\nbody 3\nend\n"},
	"chunked":       {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n02\r\nde\r\n0\r\n\r\n", "headers [:method=POST] [:path=/] [transfer-encoding=chunked] [:authority=x]\nbody 5\nend\n"},
	"pipelined":     {"GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n", "headers [:method=GET] [:path=/1] [:authority=x]\nend\nheaders [:method=GET] [:path=/2] [:authority=x]\nend\n"},
	"absolute":      {"GET http://A.b:8/x?y HTTP/1.1\r\nhost: other\r\n\r\n", "headers [:method=GET] [:path=/x?y] [:authority=A.b:8] [:scheme=http]\nend\n"},
	"fold":          {"GET / HTTP/1.1\r\nhost: x\r\nx-a: one\r\n two\r\n\r\n", "headers [:method=GET] [:path=/] [x-a=one two] [:authority=x]\nend\n"},
	"bare lf":       {"GET / HTTP/1.1\nhost: x\n\n", "headers [:method=GET] [:path=/] [:authority=x]\nend\n"},
	"cr in value":   {"GET / HTTP/1.1\r\nhost: x\r\nx-a: one\rtwo\r\n\r\n", "headers [:method=GET] [:path=/] [x-a=onetwo] [:authority=x]\nend\n"},
	"leading lines": {"\r\n\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", "headers [:method=GET] [:path=/] [:authority=x]\nend\n"},
	"named":         {"GET / HTTP/1.1\r\nhost: x\r\nconnection: x-a, close\r\nx-a: 1\r\n\r\n", "headers [:method=GET] [:path=/] [connection=x-a, close] [:authority=x]\nend\n"},

	"cl and te":       {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "refused 400 http1.content_length_and_chunked_not_allowed\n"},
	"te.te":           {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", "refused 501 http1.invalid_transfer_encoding\n"},
	"te vertical tab": {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "refused 400 http1.invalid_characters\n"},
	"te list":         {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "refused 501 http1.invalid_transfer_encoding\n"},
	"two lengths":     {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", "refused 400 http1.codec_error\n"},
	"length list":     {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3, 3\r\n\r\nabc", "refused 400 http1.codec_error\n"},
	"length plus":     {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc", "refused 400 http1.codec_error\n"},
	"length overflow": {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551617\r\n\r\n", "refused 400 http1.codec_error\n"},
	"space colon":     {"GET / HTTP/1.1\r\nhost : x\r\n\r\n", "refused 400 http1.codec_error\n"},
	"no colon":        {"GET / HTTP/1.1\r\nhost\r\n\r\n", "refused 400 http1.codec_error\n"},
	"pseudo":          {"GET / HTTP/1.1\r\n:path: /x\r\n\r\n", "refused 400 http1.codec_error\n"},
	"nul":             {"GET / HTTP/1.1\r\nhost: x\x00\r\n\r\n", "refused 400 http1.invalid_characters\n"},
	"version 1.0":     {"GET / HTTP/1.0\r\n\r\n", "refused 426 low_version\n"},
	"no version":      {"GET /\r\n\r\n", "refused 426 low_version\n"},
	"odd byte":        {"G\x01T / HTTP/1.1\r\n\r\n", "refused 400 http1.invalid_characters\n"},
	"binary":          {"\x16\x03\x01\x00\x01\r\n\r\n", "refused 400 http1.codec_error\n"},
	"odd method":      {"GE(T / HTTP/1.1\r\n\r\n", "refused 400 http1.codec_error\n"},
	"relative":        {"GET a HTTP/1.1\r\n\r\n", "refused 400 http1.codec_error\n"},
	"forbidden name":  {"GET / HTTP/1.1\r\nhost: x\r\nconnection: x-forwarded-for\r\n\r\n", "refused 400 http1.connection_header_rejected\n"},
	"chunk size sign": {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", "headers [:method=POST] [:path=/] [transfer-encoding=chunked] [:authority=x]\nrefused 400 http1.codec_error\n"},
	"chunk size lf":   {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", "headers [:method=POST] [:path=/] [transfer-encoding=chunked] [:authority=x]\nrefused 400 http1.codec_error\n"},
	"chunk overflow":  {"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na", "headers [:method=POST] [:path=/] [transfer-encoding=chunked] [:authority=x]\nrefused 400 http1.codec_error\n"},
}

// TestRequests feeds every case whole, byte by byte, and at random cuts: the
// outcome must not depend on them.
func TestRequests(t *testing.T) {
	for name, c := range requestCases {
		t.Run(name, func(t *testing.T) {
			if got := request(c.raw, defaults); got != c.want {
				t.Fatalf("got\n%swant\n%s", got, c.want)
			}
			every := make([]int, len(c.raw))
			for i := range every {
				every[i] = i
			}
			if got := request(c.raw, defaults, every...); got != c.want {
				t.Fatalf("byte by byte\n%swant\n%s", got, c.want)
			}
			rapid.Check(t, func(t *rapid.T) {
				cuts := rapid.SliceOfN(rapid.IntRange(1, len(c.raw)), 0, 6).Draw(t, "cuts")
				for i := 1; i < len(cuts); i++ {
					cuts[i] = max(cuts[i], cuts[i-1])
				}
				if got := request(c.raw, defaults, cuts...); got != c.want {
					t.Fatalf("got\n%swant\n%s", got, c.want)
				}
			})
		})
	}
}

func TestLimits(t *testing.T) {
	o := defaults
	o.MaxHeaders, o.MaxHeadersKiB = 3, 1
	for raw, want := range map[string]string{
		"GET / HTTP/1.1\r\nhost: x\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n":                 "refused 431 http1.too_many_headers\n",
		"GET / HTTP/1.1\r\nhost: x\r\na: " + strings.Repeat("y", 1100) + "\r\n\r\n": "refused 431 http1.headers_too_large\n",
		"GET /" + strings.Repeat("y", 1100):                                         "refused 431 http1.headers_too_large\n",
	} {
		if got := request(raw, o); got != want {
			t.Errorf("%.30q: %s", raw, got)
		}
	}
}

// TestDifferential compares the parser with net/http's. Where ours takes what
// net/http refuses, or the other way round, the table says why.
func TestDifferential(t *testing.T) {
	explained := map[string]string{
		"cl and te":      "net/http drops the length, we refuse",
		"two lengths":    "net/http takes equal lengths, we refuse",
		"pseudo":         "",
		"version 1.0":    "accept_http_10 is off",
		"forbidden name": "Envoy's rule, no RFC's",
		"cr in value":    "Envoy drops the CR, net/http refuses",
		"leading lines":  "RFC 9112 section 2.2 allows what net/http refuses",
		"relative":       "", "space colon": "net/http trims server requests, RFC 9112 section 5.1 wants a refusal",
		"chunk size sign": "", "chunk size lf": "net/http takes a bare LF after a chunk size", "chunk overflow": "",
		"length overflow": "", "no version": "",
	}
	for name, c := range requestCases {
		theirs := readAll(c.raw)
		ours := !strings.Contains(c.want, "refused")
		if _, ok := explained[name]; theirs != ours && !ok {
			t.Errorf("%s: net/http accepts: %v, we: %v, and nobody says why", name, theirs, ours)
		}
	}
}

func readAll(raw string) bool {
	r := bufio.NewReader(strings.NewReader(raw))
	for n := 0; ; n++ {
		req, err := http.ReadRequest(r)
		if err == io.EOF && n > 0 {
			return true
		}
		if err != nil {
			return false
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return false
		}
	}
}

// respond feeds raw bytes to a client codec and returns what came of it.
func respond(method, raw string, eof bool) (string, error) {
	c := networktest.New()
	r := &recorder{}
	o := defaults
	k := NewClient(c, r, &o, nil)
	e := k.NewStream(r)
	h := c.W.Headers.Get()
	h.AddID(header.Method, method)
	h.AddID(header.Path, "/")
	h.AddID(header.Authority, "x")
	_ = e.EncodeHeaders(h, true)
	in := buffer.New(&c.W.Buffers)
	in.WriteString(raw)
	err := k.Dispatch(in, eof)
	r.flush()
	if err == nil && !k.stream.active {
		fmt.Fprintf(&r.log, "reusable %v\n", k.Reusable())
	}
	return r.log.String(), err
}

func TestResponses(t *testing.T) {
	for name, c := range map[string]struct {
		method, raw string
		eof         bool
		want        string
	}{
		"length":      {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, "headers [:status=200] [content-length=2]\nbody 2\nend\nreusable true\n"},
		"chunked":     {"GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, "headers [:status=200] [transfer-encoding=chunked]\nbody 2\nend\nreusable true\n"},
		"until close": {"GET", "HTTP/1.1 200 OK\r\n\r\nok", true, "headers [:status=200]\nbody 2\nend\nreusable false\n"},
		"head":        {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n", false, "headers [:status=200] [content-length=200]\nend\nreusable true\n"},
		"interim":     {"GET", "HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false, "1xx [:status=103] [link=a]\nheaders [:status=204]\nend\nreusable true\n"},
		"closes":      {"GET", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false, "headers [:status=200] [connection=close] [content-length=0]\nend\nreusable false\n"},
		"http/1.0":    {"GET", "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false, "headers [:status=200] [content-length=0]\nend\nreusable false\n"},
		"switch":      {"GET", "HTTP/1.1 101 Switching\r\nupgrade: a\r\n\r\n", false, "headers [:status=101] [upgrade=a]\nend\nreusable false\n"},
		"304":         {"GET", "HTTP/1.1 304 Not\r\ncontent-length: 10\r\n\r\n", false, "headers [:status=304] [content-length=10]\nend\nreusable true\n"},
	} {
		got, err := respond(c.method, c.raw, c.eof)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%swant\n%s", name, err, got, c.want)
		}
	}
	for name, raw := range map[string]string{
		"both":          "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
		"two lengths":   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
		"lower case":    "http/1.1 200 OK\r\n\r\n",
		"letters":       "HTTP/1.1 2x0 OK\r\n\r\n",
		"extra":         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokmore",
		"no content":    "HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\nhello",
		"after switch":  "HTTP/1.1 101 Switching\r\n\r\nraw bytes",
		"unknown te":    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
		"leading space": " HTTP/1.1 200 OK\r\n\r\n",
		"leading line":  "\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		if got, err := respond("GET", raw, false); err == nil {
			t.Errorf("%s is accepted:\n%s", name, got)
		}
	}
}

func TestResponseFraming(t *testing.T) {
	for name, c := range map[string]struct {
		method, status string
		lines          [][2]string
		body           string
		want           string
	}{
		"empty":        {"GET", "200", nil, "", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
		"length":       {"GET", "200", [][2]string{{"content-length", "2"}}, "ok", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
		"chunked":      {"GET", "404", nil, "gone", "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n"},
		"head":         {"HEAD", "200", nil, "", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
		"204":          {"GET", "204", [][2]string{{"content-length", "0"}}, "", "HTTP/1.1 204 No Content\r\n\r\n"},
		"304":          {"GET", "304", nil, "", "HTTP/1.1 304 Not Modified\r\n\r\n"},
		"foreign te":   {"GET", "200", [][2]string{{"transfer-encoding", "gzip"}}, "x", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
		"unknown code": {"GET", "599", nil, "", "HTTP/1.1 599 Unknown\r\ncontent-length: 0\r\n\r\n"},
	} {
		conn := networktest.New()
		r := &recorder{}
		o := defaults
		s := NewServer(conn, r, &o, nil)
		in := buffer.New(nil)
		in.WriteString(c.method + " / HTTP/1.1\r\nhost: x\r\n\r\n")
		if err := s.Dispatch(in, false); err != nil {
			t.Fatal(err)
		}
		h := conn.W.Headers.Get()
		h.AddID(header.Status, c.status)
		for _, l := range c.lines {
			h.Add(l[0], l[1])
		}
		r.encoder.EncodeHeaders(h, c.body == "")
		if c.body != "" {
			b := buffer.New(nil)
			b.WriteString(c.body)
			r.encoder.EncodeData(b, true)
		}
		if string(conn.Written) != c.want {
			t.Errorf("%s: %q, want %q", name, conn.Written, c.want)
		}
	}
}

func TestPipeliningWaits(t *testing.T) {
	c := networktest.New()
	r := &recorder{}
	o := defaults
	s := NewServer(c, r, &o, nil)
	in := buffer.New(nil)
	in.WriteString("GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n")
	if err := s.Dispatch(in, false); err != nil {
		t.Fatal(err)
	}
	if strings.Count(r.log.String(), "headers") != 1 || c.ReadDisabled != 1 {
		t.Fatalf("%s reading disabled %d times", r.log.String(), c.ReadDisabled)
	}
	h := c.W.Headers.Get()
	h.AddID(header.Status, "200")
	r.encoder.EncodeHeaders(h, true)
	if c.ReadDisabled != 0 {
		t.Fatal("reading is not resumed")
	}
	if err := s.Dispatch(in, false); err != nil || strings.Count(r.log.String(), "headers") != 2 {
		t.Fatal("the second request was lost")
	}
}

// TestSteadyStateAllocatesNothing passes a request and a response through both
// codecs.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	down, up := networktest.New(), networktest.New()
	up.W = down.W
	relay := &relay{}
	o := defaults
	s := NewServer(down, relay, &o, nil)
	relay.client = NewClient(up, relay, &o, nil)
	in := buffer.New(&down.W.Buffers)
	req := "GET /some/path HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1.0\r\nAccept: */*\r\nX-One: 1\r\n\r\n"
	resp := "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!"
	once := func() {
		down.Written, up.Written = down.Written[:0], up.Written[:0]
		in.WriteString(req)
		if err := s.Dispatch(in, false); err != nil {
			t.Fatal(err)
		}
		in.WriteString(resp)
		if err := relay.client.Dispatch(in, false); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if !strings.HasSuffix(string(down.Written), "Hello, world!") || !strings.HasPrefix(string(up.Written), "GET /some/path HTTP/1.1\r\nhost: example.com\r\n") {
		t.Fatalf("%q %q", up.Written, down.Written)
	}
	if n := testing.AllocsPerRun(200, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// relay joins a server and a client codec.
type relay struct {
	client *Client
	down   stream.ResponseEncoder
}

func (r *relay) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	r.down = e
	return (*relayDown)(r)
}
func (r *relay) OnGoAway(bool)                 {}
func (r *relay) OnMaxConcurrentStreams(uint32) {}
func (r *relay) Decode1xx(*header.Map)         {}
func (r *relay) DecodeHeaders(h *header.Map, end bool) {
	r.down.EncodeHeaders(h, end)
	r.client.parser.pool.Put(h)
}
func (r *relay) DecodeData(b *buffer.Buffer, end bool) { r.down.EncodeData(b, end) }
func (r *relay) DecodeTrailers(*header.Map)            {}

type relayDown relay

func (r *relayDown) DecodeHeaders(h *header.Map, end bool) {
	_ = r.client.NewStream((*relay)(r)).EncodeHeaders(h, end)
	r.client.parser.pool.Put(h)
}
func (r *relayDown) DecodeData(b *buffer.Buffer, end bool) {}
func (r *relayDown) DecodeTrailers(*header.Map)            {}
func (r *relayDown) LocalReply(int, string, string)        {}

func FuzzRequest(f *testing.F) {
	for _, c := range requestCases {
		f.Add(c.raw, 7)
	}
	f.Fuzz(func(t *testing.T, raw string, cut int) {
		whole := request(raw, defaults)
		if cut > 0 && cut < len(raw) {
			// Body bytes before a violation are passed on or not as they come.
			if got := request(raw, defaults, cut); got != whole && !strings.Contains(whole, "refused") {
				t.Fatalf("cut at %d:\n%swhole:\n%s", cut, got, whole)
			}
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
	f.Add("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		_, _ = respond("GET", raw, true)
	})
}
