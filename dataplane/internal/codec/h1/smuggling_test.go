package h1

import (
	"strings"
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network/networktest"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// smuggled stands behind each case; it must be seen as a request only where
// the case says so.
const smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"

// TestSmuggling goes through the classes of disguised lengths. want is the
// refusal, or "" when the case is one plain request with smuggled behind it.
func TestSmuggling(t *testing.T) {
	for name, c := range map[string]struct{ lines, body, want string }{
		"CL.TE":             {"content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", "http1.content_length_and_chunked_not_allowed"},
		"TE.CL":             {"transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n", "http1.content_length_and_chunked_not_allowed"},
		"CL.TE unknown":     {"content-length: 5\r\ntransfer-encoding: xchunked\r\n", "0\r\n\r\n", "http1.content_length_and_chunked_not_allowed"},
		"CL.TE hidden":      {"connection: content-length\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", "http1.content_length_and_chunked_not_allowed"},
		"TE hidden":         {"connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", ""},
		"CL hidden":         {"connection: content-length\r\ncontent-length: 5\r\n", "0\r\n\r\n", ""},
		"TE.TE":             {"transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE twice":          {"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE list":           {"transfer-encoding: chunked, identity\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE parameter":      {"transfer-encoding: chunked;q=1\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE quoted":         {"transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE empty":          {"transfer-encoding:\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE vertical tab":   {"transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n", "http1.invalid_characters"},
		"TE no-break space": {"transfer-encoding: \xa0chunked\r\n", "0\r\n\r\n", "http1.invalid_transfer_encoding"},
		"TE with CR":        {"transfer-encoding: chun\rked\r\n", "0\r\n\r\n", "http1.codec_error"},
		"TE upper":          {"Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n", ""},
		"TE folded":         {"transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n", ""},
		"TE space colon":    {"transfer-encoding : chunked\r\n", "0\r\n\r\n", "http1.codec_error"},
		"TE tab colon":      {"transfer-encoding\t: chunked\r\n", "0\r\n\r\n", "http1.codec_error"},
		"TE on next line":   {"transfer-encoding\r\n : chunked\r\n", "0\r\n\r\n", "http1.codec_error"},
		"TE first fold":     {" transfer-encoding: chunked\r\n", "0\r\n\r\n", "http.invalid_authority"},
		"CL.0":              {"content-length: 0\r\n", "", ""},
		"CL.CL":             {"content-length: 0\r\ncontent-length: 5\r\n", "", "http1.codec_error"},
		"CL twice":          {"content-length: 0\r\ncontent-length: 0\r\n", "", "http1.codec_error"},
		"CL list":           {"content-length: 0, 0\r\n", "", "http1.codec_error"},
		"CL sign":           {"content-length: +0\r\n", "", "http1.codec_error"},
		"CL hex":            {"content-length: 0x0\r\n", "", "http1.codec_error"},
		"CL empty":          {"content-length:\r\n", "", "http1.codec_error"},
		"CL with CR":        {"content-length: 0\r5\r\n", "", "http1.codec_error"},
		"CL wraps":          {"content-length: 18446744073709551616\r\n", "", "http1.codec_error"},
		"chunk LF":          {"transfer-encoding: chunked\r\n", "1\na\r\n0\r\n\r\n", "http1.codec_error"},
		"chunk extension":   {"transfer-encoding: chunked\r\n", "1;a=\"b\"\r\na\r\n0;c\r\n\r\n", ""},
		"extension LF":      {"transfer-encoding: chunked\r\n", "1;a\na\r\n0\r\n\r\n", "http1.codec_error"},
		"extension CR":      {"transfer-encoding: chunked\r\n", "1;a\rb\r\na\r\n0\r\n\r\n", "http1.codec_error"},
		"chunk sign":        {"transfer-encoding: chunked\r\n", "+1\r\na\r\n0\r\n\r\n", "http1.codec_error"},
		"chunk prefix":      {"transfer-encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n", "http1.codec_error"},
		"chunk wraps":       {"transfer-encoding: chunked\r\n", "10000000000000001\r\na\r\n0\r\n\r\n", "http1.codec_error"},
		"chunk end CR":      {"transfer-encoding: chunked\r\n", "1\r\na\r0\r\n\r\n", "http1.codec_error"},
	} {
		got := request("POST /first HTTP/1.1\r\nhost: x\r\n"+c.lines+"\r\n"+c.body+smuggled, defaults)
		if c.want != "" {
			if !strings.HasSuffix(got, " "+c.want+"\n") || strings.Contains(got, "/smuggled") {
				t.Errorf("%s: want %s, got\n%s", name, c.want, got)
			}
			continue
		}
		if strings.Count(got, "headers") != 2 || !strings.Contains(got, "/smuggled") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// TestTargets knows the forms of request targets, and hosts (RFC 9112 section
// 3.2). want is ":authority :path", or a refusal.
func TestTargets(t *testing.T) {
	for line, want := range map[string]string{
		"GET /a?b":              "host /a?b",
		"OPTIONS *":             "host *",
		"OPTIONS *a":            "host *a",
		"GET *":                 "http1.invalid_url",
		"GET a":                 "http1.codec_error",
		"GET a:80":              "http1.codec_error",
		"GET /a\xff":            "http1.codec_error",
		"GET /a\x01":            "http1.invalid_characters",
		"GET /a\x7f":            "http1.invalid_characters",
		"GET http://y":          "y /",
		"OPTIONS http://y":      "y /",
		"GET http://y?c":        "y ?c",
		"GET http://y:80/b":     "y:80 /b",
		"GET HTTP://[::1]:80/b": "[::1]:80 /b",
		"GET http://u:p@y/b":    "y /b",
		"GET http://u@v@y/b":    "http1.invalid_url",
		"GET http://a@@b/":      "http1.codec_error",
		"GET http://[::1/b":     "http1.invalid_url",
		"GET http://[zz]/b":     "http1.invalid_url",
		"GET http://y:/b":       "http1.invalid_url",
		"GET http://y:x/b":      "http1.invalid_url",
		"GET http://y:65536/b":  "http1.invalid_url",
		"GET http://y_z/b":      "http1.invalid_url",
		"GET http://y<z/b":      "http1.codec_error",
		"GET http://y#z":        "http1.codec_error",
		"GET http:///b":         "http1.invalid_url",
		"GET http://":           "http1.invalid_url",
		"GET ftp://y/b":         "http1.invalid_scheme",
		"GET 1http://y/b":       "http1.codec_error",
		"CONNECT a:80":          "a:80 ",
		"CONNECT [::1]:80":      "[::1]:80 ",
		"CONNECT a":             "http1.invalid_url",
		"CONNECT a:99999":       "http1.invalid_url",
		"CONNECT u@a:80":        "http1.invalid_url",
		"CONNECT http://a:80/":  "http1.invalid_url",
		"CONNECT /a":            "http1.invalid_url",
		"CONNECT a:80?x":        "http1.invalid_url",
	} {
		got := outcome(request(line+" HTTP/1.1\r\nhost: host\r\n\r\n", defaults))
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for host, want := range map[string]string{
		"": " /", "u@x": "u@x /", "-._~%!$&'()[]*+,;=:": "-._~%!$&'()[]*+,;=: /",
		"a b": "http.invalid_authority", "a/b": "http.invalid_authority", "a\xff": "http.invalid_authority",
		"a\r\n b": "http.invalid_authority", "a\r\nhost: b": "a,b /",
	} {
		if got := outcome(request("GET / HTTP/1.1\r\nhost: "+host+"\r\n\r\n", defaults)); got != want {
			t.Errorf("host %q: %q, want %q", host, got, want)
		}
	}
}

// outcome is ":authority :path" of what request returns, or the refusal.
func outcome(log string) string {
	if _, refusal, ok := strings.Cut(log, "refused "); ok {
		return strings.TrimSpace(refusal[4:])
	}
	field := func(name string) string {
		_, v, _ := strings.Cut(log, "["+name+"=")
		v, _, _ = strings.Cut(v, "] [")
		v, _, _ = strings.Cut(v, "]\n")
		return v
	}
	return field(":authority") + " " + field(":path")
}

// TestFolds: the blanks between the lines of a folded value stay, those at its
// ends do not, and bare CRs go.
func TestFolds(t *testing.T) {
	for raw, want := range map[string]string{
		"x: a\r\n \r\n b":     "a  b",
		"x: a  \r\n b":        "a   b",
		"x: a\r\n  ":          "a",
		"x:  \r\n \t b":       "b",
		"x:\r\n \r\n  b":      "b",
		"x: a\r\n b\rc":       "a bc",
		"x: a\n\tb":           "a\tb",
		"x: a\r\n b\r\n  c  ": "a b  c",
	} {
		got := request("GET / HTTP/1.1\r\nhost: h\r\n"+raw+"\r\n\r\n", defaults)
		if !strings.Contains(got, "[x="+want+"] ") {
			t.Errorf("%q: %s", raw, got)
		}
	}
}

// TestConnectionHeader: what it names is removed; what must not be named, and
// too many names, are refused.
func TestConnectionHeader(t *testing.T) {
	for value, want := range map[string]string{
		"a, close":            "headers [:method=GET] [:path=/] [connection=a, close] [cookie=c] [:authority=x]\nend\n",
		"a, cookie":           "headers [:method=GET] [:path=/] [connection=a, cookie] [:authority=x]\nend\n",
		"a,b,c,d,e,f,g,h,i,j": "refused 400 http1.connection_header_rejected\n",
		":path":               "refused 400 http1.connection_header_rejected\n",
	} {
		if got := request("GET / HTTP/1.1\r\nhost: x\r\nconnection: "+value+"\r\na: 1\r\ncookie: c\r\n\r\n", defaults); got != want {
			t.Errorf("%s: got\n%swant\n%s", value, got, want)
		}
	}
}

// TestUnderscores takes the three ways with names that hold one.
func TestUnderscores(t *testing.T) {
	for action, want := range map[config.UnderscoreAction]string{
		config.AllowUnderscore:  "headers [:method=GET] [:path=/] [a_b=1 2] [:authority=x]\nend\n",
		config.DropUnderscore:   "headers [:method=GET] [:path=/] [:authority=x]\nend\n",
		config.RejectUnderscore: "refused 400 http1.unexpected_underscore\n",
	} {
		o := defaults
		o.Underscores = action
		if got := request("GET / HTTP/1.1\r\nhost: x\r\na_b: 1\r\n 2\r\n\r\n", o); got != want {
			t.Errorf("%d: %s", action, got)
		}
	}
}

// TestFlood: a client that sends a third request while two responses wait is
// cut off without an answer.
func TestFlood(t *testing.T) {
	c := networktest.New()
	r := &recorder{}
	o := defaults
	st := stats.NewStore()
	s := NewServer(c, r, &o, NewStats(st))
	r.onEnd = func() {
		h := c.W.Headers.Get()
		h.AddID(header.Status, "200")
		r.encoder.EncodeHeaders(h, true)
		c.Waiting = len(c.Written)
	}
	in := buffer.New(nil)
	ask := func() error {
		in.WriteString("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
		return s.Dispatch(in, false)
	}
	for range 2 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	c.Waiting = len(c.Written) / 2 // the first is gone
	if err := ask(); err != nil {
		t.Fatalf("refused though one response is gone: %v", err)
	}
	if err := ask(); err == nil || s.stream.Detail() != "codec_error:Too_many_responses_queued." || s.stream.active {
		t.Fatalf("%v %q", err, s.stream.Detail())
	}
}

// watcher counts the watermarks and resets of a stream.
type watcher struct{ above, below, resets int }

func (w *watcher) OnReset(stream.ResetReason, string) { w.resets++ }
func (w *watcher) OnAboveWriteBufferHighWatermark()   { w.above++ }
func (w *watcher) OnBelowWriteBufferLowWatermark()    { w.below++ }

// TestFlowControl: watermarks reach the stream once each, reading is disabled
// through it, and a stream that has begun hears of the connection's end.
func TestFlowControl(t *testing.T) {
	c := networktest.New()
	r := &recorder{}
	o := defaults
	s := NewServer(c, r, &o, nil)
	in := buffer.New(nil)
	in.WriteString("GE")
	if err := s.Dispatch(in, false); err != nil || r.encoder == nil {
		t.Fatal("a request's first byte opens no stream", err)
	}
	w := &watcher{}
	st := r.encoder.Stream()
	st.AddCallbacks(w)
	for range 2 {
		s.OnAboveWriteBufferHighWatermark()
	}
	s.OnBelowWriteBufferLowWatermark()
	st.ReadDisable(true)
	st.ReadDisable(true)
	st.ReadDisable(false)
	if w.above != 1 || w.below != 1 || c.ReadDisabled != 1 {
		t.Errorf("%+v, reading disabled %d times", w, c.ReadDisabled)
	}
	s.OnConnectionClosed(stream.ConnectionTermination, "")
	s.OnConnectionClosed(stream.ConnectionTermination, "")
	if w.resets != 1 {
		t.Errorf("%d resets", w.resets)
	}
}

// TestTunnel: after a 101 bytes pass both ways without framing, those that came
// with the request too.
func TestTunnel(t *testing.T) {
	c := networktest.New()
	r := &recorder{}
	o := defaults
	s := NewServer(c, r, &o, nil)
	in := buffer.New(nil)
	in.WriteString("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly")
	if err := s.Dispatch(in, false); err != nil || r.body != 5 {
		t.Fatal(err, r.body)
	}
	h := c.W.Headers.Get()
	h.AddID(header.Status, "101")
	r.encoder.EncodeHeaders(h, false)
	b := buffer.New(nil)
	b.WriteString("raw")
	r.encoder.EncodeData(b, false)
	in.WriteString("GET / HTTP/1.1\r\n\r\n")
	if err := s.Dispatch(in, false); err != nil || r.body != 5+18 {
		t.Fatal(err, r.body)
	}
	if got := string(c.Written); got != "HTTP/1.1 101 Switching Protocols\r\n\r\nraw" {
		t.Fatalf("%q", got)
	}
}

// TestRequestEncoding is how requests are framed for an upstream.
func TestRequestEncoding(t *testing.T) {
	full, proper := defaults, defaults
	full.FullyQualifiedURL, proper.ProperCase = true, true
	const chunk = "4\r\nbody\r\n0\r\n\r\n"
	for name, c := range map[string]struct {
		opts   config.HTTP1Options
		method string
		lines  [][2]string
		body   string
		want   string
	}{
		"get":        {defaults, "GET", nil, "", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"},
		"delete":     {defaults, "DELETE", nil, "", "DELETE / HTTP/1.1\r\nhost: x\r\n\r\n"},
		"options":    {defaults, "OPTIONS", nil, "", "OPTIONS / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"},
		"post":       {defaults, "POST", nil, "", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"},
		"chunked":    {defaults, "GET", nil, "body", "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk},
		"foreign te": {defaults, "GET", [][2]string{{"transfer-encoding", "gzip"}}, "body", "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk},
		"length":     {defaults, "PUT", [][2]string{{"content-length", "4"}}, "body", "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"},
		"no upgrade": {defaults, "PUT", [][2]string{{"upgrade", "a"}}, "body", "PUT / HTTP/1.1\r\nhost: x\r\nupgrade: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunk},
		"upgrade":    {defaults, "GET", [][2]string{{"upgrade", "a"}, {"connection", "Upgrade"}}, "body", "GET / HTTP/1.1\r\nhost: x\r\nupgrade: a\r\nconnection: Upgrade\r\n\r\nbody"},
		"full url":   {full, "GET", [][2]string{{":scheme", "http"}}, "", "GET http://x/ HTTP/1.1\r\nhost: x\r\n\r\n"},
		"proper":     {proper, "GET", [][2]string{{"x-1abc--d_e", "v"}}, "", "GET / HTTP/1.1\r\nHost: x\r\nX-1abc--D_E: v\r\n\r\n"},
		"large":      {defaults, "GET", [][2]string{{"x", strings.Repeat("v", 50000)}}, "", "GET / HTTP/1.1\r\nhost: x\r\nx: " + strings.Repeat("v", 50000) + "\r\n\r\n"},
	} {
		conn := networktest.New()
		o := c.opts
		e := NewClient(conn, &recorder{}, &o, nil).NewStream(&recorder{})
		h := conn.W.Headers.Get()
		h.AddID(header.Method, c.method)
		h.AddID(header.Path, "/")
		h.AddID(header.Authority, "x")
		for _, l := range c.lines {
			h.Add(l[0], l[1])
		}
		if err := e.EncodeHeaders(h, c.body == ""); err != nil {
			t.Fatal(name, err)
		}
		if c.body != "" {
			b := buffer.New(nil)
			b.WriteString(c.body)
			e.EncodeData(b, true)
		}
		if got := string(conn.Written); got != c.want {
			t.Errorf("%s: %.200q, want %.200q", name, got, c.want)
		}
		if m := e.Stream().Meter(); int(m.WireBytesSent) != len(c.want) {
			t.Errorf("%s: %d bytes counted of %d", name, m.WireBytesSent, len(c.want))
		}
	}
}

// TestTrailers: trailers pass when they are enabled, both ways, and are read
// and dropped when not.
func TestTrailers(t *testing.T) {
	on, small := defaults, defaults
	on.EnableTrailers = true
	small.EnableTrailers, small.MaxHeaders, small.MaxHeadersKiB = true, 2, 1
	const head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
	for name, c := range map[string]struct {
		opts     config.HTTP1Options
		raw, end string
	}{
		"on":       {on, "T: 1\r\n\r\n", "body 1\ntrailers [t=1]\nend\n"},
		"none":     {on, "\r\n", "body 1\nend\n"},
		"off":      {defaults, "T: 1\r\n\r\n", "body 1\nend\n"},
		"off, bad": {defaults, "T 1\r\n\r\n", "body 1\nrefused 400 http1.codec_error\n"},
		"many":     {small, "a: 1\r\nb: 2\r\nc: 3\r\n\r\n", "body 1\nrefused 431 http1.too_many_headers\n"},
		"large":    {small, "a: " + strings.Repeat("x", 1100) + "\r\n\r\n", "body 1\nrefused 431 http1.headers_too_large\n"},
	} {
		if got := request(head+c.raw, c.opts, len(head)); !strings.HasSuffix(got, c.end) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for enabled, want := range map[bool]string{true: "0\r\nt: 1\r\n\r\n", false: "0\r\n\r\n"} {
		conn := networktest.New()
		o := defaults
		o.EnableTrailers = enabled
		r := &recorder{}
		s := NewServer(conn, r, &o, nil)
		in := buffer.New(nil)
		in.WriteString("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
		if err := s.Dispatch(in, false); err != nil {
			t.Fatal(err)
		}
		h, tr := conn.W.Headers.Get(), conn.W.Headers.Get()
		h.AddID(header.Status, "200")
		tr.Add("t", "1")
		r.encoder.EncodeHeaders(h, false)
		r.encoder.EncodeTrailers(tr)
		if got := string(conn.Written); got != "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"+want {
			t.Errorf("enabled %v: %q", enabled, got)
		}
	}
}

// TestTruncatedResponses: a response that lacks its end breaks the protocol; a
// connection that ends before a response does not.
func TestTruncatedResponses(t *testing.T) {
	for raw, want := range map[string]stream.ResetReason{
		"":                         stream.ConnectionTermination,
		"HTTP/1.1 200 OK\r\nConte": stream.ProtocolError,
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok":              stream.ProtocolError,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\no": stream.ProtocolError,
	} {
		c := networktest.New()
		o := defaults
		r := &recorder{}
		k := NewClient(c, r, &o, nil)
		e := k.NewStream(r)
		got := resetReason(255)
		e.Stream().AddCallbacks(&got)
		in := buffer.New(nil)
		in.WriteString(raw)
		if err := k.Dispatch(in, false); err != nil {
			t.Fatal(err)
		}
		k.OnConnectionClosed(stream.ConnectionTermination, "")
		if stream.ResetReason(got) != want {
			t.Errorf("%q: %d, want %v", raw, got, want)
		}
	}
}

// resetReason keeps the reason of a stream's end.
type resetReason stream.ResetReason

func (r *resetReason) OnReset(reason stream.ResetReason, _ string) { *r = resetReason(reason) }
func (r *resetReason) OnAboveWriteBufferHighWatermark()            {}
func (r *resetReason) OnBelowWriteBufferLowWatermark()             {}
