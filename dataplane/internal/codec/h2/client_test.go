package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// dispatch gives a codec what r wrote.
func (p *peer) dispatch(r *raw) error {
	b := new(buffer.Buffer)
	_, _ = b.Write(r.Bytes())
	r.Buffer.Reset()
	return p.conn.codec.Dispatch(b, false)
}

// TestClientResponses sends a GET (or HEAD) and answers with raw frames.
func TestClientResponses(t *testing.T) {
	override := config.HTTP2Options{OverrideStreamError: true}
	for _, c := range []struct {
		name   string
		method string
		opt    config.HTTP2Options
		send   func(r *raw)
		err    string
		result string
	}{
		{name: "plain", send: func(r *raw) { r.request(1, false, ":status: 200", "a: b"); _ = r.WriteData(1, true, []byte("hi")) },
			result: "[:status: 200 a: b] hi end"},
		{name: "interim", send: func(r *raw) {
			r.request(1, false, ":status: 103", "link: x")
			r.request(1, false, ":status: 200")
			r.request(1, true, "t: 1")
		}, result: "interim [:status: 103 link: x] [:status: 200]  trailers [t: 1] end"},
		{name: "interim ends the stream", send: func(r *raw) { r.request(1, true, ":status: 100") }, err: textProtocol, result: "detail " + detailMessaging},
		{name: "101", send: func(r *raw) { r.request(1, false, ":status: 101") }, err: textProtocol, result: "detail " + detailInvalidField},
		{name: "two digits", send: func(r *raw) { r.request(1, true, ":status: 99") }, err: textProtocol, result: "detail " + detailInvalidField},
		{name: "no status", send: func(r *raw) { r.request(1, true, "a: b") }, err: textProtocol, result: "detail " + detailMessaging},
		{name: "status twice", send: func(r *raw) { r.request(1, true, ":status: 200", ":status: 201") }, err: textProtocol, result: "detail " + detailInvalidField},
		{name: "request pseudo-header", send: func(r *raw) { r.request(1, true, ":status: 200", ":path: /x") }, err: textProtocol, result: "detail " + detailInvalidField},
		{name: "bad name, stream error", opt: override, send: func(r *raw) { r.request(1, true, ":status: 200", "x bad: 1") },
			result: "reset protocol error " + detailInvalidField},
		{name: "length too long", send: func(r *raw) {
			r.request(1, false, ":status: 200", "content-length: 3")
			_ = r.WriteData(1, true, []byte("hello"))
		},
			result: "[:status: 200 content-length: 3]  reset protocol error " + detailRemoteReset},
		{name: "length without body", send: func(r *raw) { r.request(1, true, ":status: 200", "content-length: 3") }, err: textProtocol, result: "detail " + detailMessaging},
		{name: "HEAD", method: "HEAD", send: func(r *raw) { r.request(1, true, ":status: 200", "content-length: 3") }, result: "[:status: 200 content-length: 3]  end"},
		{name: "HEAD with body", method: "HEAD", send: func(r *raw) {
			r.request(1, false, ":status: 200", "content-length: 3")
			_ = r.WriteData(1, true, []byte("abc"))
		},
			result: "[:status: 200 content-length: 3]  reset protocol error " + detailRemoteReset},
		{name: "304", send: func(r *raw) { r.request(1, true, ":status: 304", "content-length: 55") }, result: "[:status: 304 content-length: 55]  end"},
		{name: "204", send: func(r *raw) { r.request(1, true, ":status: 204", "content-length: 0") }, result: "[:status: 204]  end"},
		{name: "data before headers", send: func(r *raw) { _ = r.WriteData(1, false, []byte("hello")) }, result: "reset protocol error " + detailRemoteReset},
		{name: "refused", send: func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, result: "reset remote refused stream reset " + detailRemoteRefuse},
		{name: "cancelled", send: func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeCancel) }, result: "reset remote reset " + detailRemoteReset},
		{name: "connect error", send: func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeConnect) }, result: "reset remote error with CONNECT request " + detailRemoteReset},
		{name: "not looked at", send: func(r *raw) { _ = r.WriteGoAway(0, 0, nil) }, result: "reset remote refused stream reset " + detailRemoteRefuse},
		{name: "cookies are not joined", send: func(r *raw) { r.request(1, true, ":status: 200", "set-cookie: a", "set-cookie: b") },
			result: "[:status: 200 set-cookie: a set-cookie: b]  end"},
		{name: "HTTP/1", send: func(r *raw) { r.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n") }, err: textProtocol},
		{name: "push", send: func(r *raw) { r.frame(framePushPromise, 4, 1, 0, 0, 0, 2) }, err: textProtocol, result: "detail " + detailUnknown},
		{name: "stream that we did not open", send: func(r *raw) { r.request(3, true, ":status: 200") }, err: textProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv()
			p := e.newClient(c.opt, 0)
			m := p.request()
			method := max(c.method, "GET")
			if err := m.enc.(stream.RequestEncoder).EncodeHeaders(headers(":method: "+method, ":path: /", ":scheme: http", ":authority: a"), true); err != nil {
				t.Fatal(err)
			}
			e.w.Turn(0)
			r := newRaw()
			_ = r.WriteSettings()
			c.send(r)
			checkError(t, p.dispatch(r), c.err, fault.KindProtocol)
			if got := m.result(); got != c.result {
				t.Errorf("got %q, want %q", got, c.result)
			}
		})
	}
}

func (m *message) result() string {
	var out []string
	if m.interim != nil {
		out = append(out, fmt.Sprintf("interim %v", m.interim))
	}
	if m.headers != nil {
		out = append(out, fmt.Sprint(m.headers), string(m.body))
	}
	if m.trailers != nil {
		out = append(out, fmt.Sprintf("trailers %v", m.trailers))
	}
	switch {
	case m.reset:
		out = append(out, "reset "+m.reason.String()+" "+m.detail)
	case m.ended:
		out = append(out, "end")
	case m.s.Detail() != "":
		out = append(out, "detail "+m.s.Detail())
	}
	return strings.Join(out, " ")
}

// pair is a client and a server that have exchanged their settings.
func pair(t *testing.T, o config.HTTP2Options, limit uint32) (*env, *peer, *peer) {
	e := newEnv()
	srv, cli := e.newServer(o, limit), e.newClient(o, limit)
	e.settle(t, cli, srv)
	return e, cli, srv
}

func (p *peer) get(t *testing.T, end bool, more ...string) *message {
	t.Helper()
	m := p.request()
	if err := m.enc.(stream.RequestEncoder).EncodeHeaders(headers(with(get, more...)...), end); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *message) respond(end bool, lines ...string) {
	m.enc.(stream.ResponseEncoder).EncodeHeaders(headers(lines...), end)
}

func TestGoAwayAndDrain(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{}, 0)
	one := cli.get(t, true)
	e.settle(t, cli, srv)
	srv.server.ShutdownNotice()
	two := cli.get(t, true) // on its way: still taken
	e.settle(t, cli, srv)
	if cli.goAways != 1 || len(srv.requests) != 2 {
		t.Fatalf("%d notices, %d requests", cli.goAways, len(srv.requests))
	}
	srv.server.GoAway()
	late := cli.get(t, true) // against the notice, before the GOAWAY arrives
	e.settle(t, cli, srv)
	if len(srv.requests) != 2 || !late.reset || late.reason != stream.RemoteRefused {
		t.Fatalf("%d requests, late %+v", len(srv.requests), late)
	}
	for _, m := range srv.requests {
		m.respond(true, ":status: 200")
	}
	e.settle(t, cli, srv)
	if !one.ended || !two.ended || cli.goAways != 1 {
		t.Fatal("requests before the GOAWAY did not finish")
	}
	checkStats(t, e, "goaway_sent=1 streams_active=0")
	cli.client.GoAway()
	e.settle(t, cli, srv)
	if srv.goAways != 1 {
		t.Fatal("the server did not hear the client's GOAWAY")
	}
}

func TestKeepalive(t *testing.T) {
	e := newEnv()
	o := config.HTTP2Options{PingInterval: 10 * time.Second, PingTimeout: 2 * time.Second, PingJitter: 15}
	srv, cli := e.newServer(config.HTTP2Options{}, 0), e.newClient(o, 0)
	e.settle(t, cli, srv)
	for range 3 {
		e.clock.Advance(11500 * time.Millisecond)
		e.w.Turn(0)
		if !cli.client.waiting {
			t.Fatal("no PING was sent")
		}
		e.settle(t, cli, srv)
		if cli.client.waiting {
			t.Fatal("the PING was not answered")
		}
	}
	m := cli.get(t, true)
	e.clock.Advance(11500 * time.Millisecond)
	e.w.Turn(0)
	e.clock.Advance(2 * time.Second)
	e.w.Turn(0)
	if !cli.conn.closed || cli.conn.detail != "http2_ping_timeout" || !m.reset || m.reason != stream.ConnectionTermination {
		t.Fatalf("closed %v %q, request %+v", cli.conn.closed, cli.conn.detail, m)
	}
	checkStats(t, e, "keepalive_timeout=1")
}

func TestUpgrade(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{AllowConnect: true}, 0)
	m := cli.get(t, false, "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13")
	e.settle(t, cli, srv)
	want := []string{":authority: a.example", ":method: GET", ":path: /", ":scheme: http", "connection: upgrade", "sec-websocket-version: 13", "upgrade: websocket"}
	if got := srv.requests[0].headers; !slices.Equal(got, want) {
		t.Fatalf("request %q", got)
	}
	srv.requests[0].respond(false, ":status: 101", "upgrade: websocket", "connection: upgrade")
	srv.requests[0].enc.EncodeData(body("hello"), false)
	e.settle(t, cli, srv)
	if want := []string{":status: 101", "connection: upgrade", "upgrade: websocket"}; !slices.Equal(m.headers, want) || string(m.body) != "hello" {
		t.Fatalf("response %q %q", m.headers, m.body)
	}
}

func TestRequestHeadersAreChecked(t *testing.T) {
	e, cli, srv := pair(t, config.HTTP2Options{}, 0)
	for _, bad := range [][]string{{":path: /"}, {":method: GET"}, {":method: CONNECT"}} {
		m := cli.request()
		if err := m.enc.(stream.RequestEncoder).EncodeHeaders(headers(bad...), true); err == nil {
			t.Errorf("%q was sent", bad)
		}
		m.s.Reset(stream.LocalReset)
	}
	m := cli.get(t, true, "connection: x", "keep-alive: 1", "te: gzip", "transfer-encoding: chunked", "x: 1", "cookie: a=1", "cookie: b=2")
	e.settle(t, cli, srv)
	want := []string{":authority: a.example", ":method: GET", ":path: /", ":scheme: http", "cookie: a=1; b=2", "x: 1"}
	if srv.err != nil || len(srv.requests) != 1 || !slices.Equal(srv.requests[0].headers, want) {
		t.Fatalf("%v, %q", srv.err, srv.requests[0].headers)
	}
	if m.s.ID() != 1 {
		t.Fatalf("the refused requests took numbers: %d", m.s.ID())
	}
}
