package h2

import (
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// FuzzServer feeds a server any bytes after the preface, in two sizes of
// pieces: it must not panic, must behave the same, and what it writes must be
// HTTP/2. Then requests are answered, so that the sending side runs too.
func FuzzServer(f *testing.F) {
	r := newRaw()
	_ = r.WriteSettings()
	r.request(1, false, with(post, "a: b")...)
	_ = r.WriteData(1, false, []byte("hello"))
	r.request(1, true, "t: 1")
	_ = r.WriteWindowUpdate(0, 100)
	_ = r.WritePing(false, [8]byte{})
	_ = r.WriteRSTStream(1, 8)
	_ = r.WriteGoAway(0, 0, []byte("bye"))
	f.Add(r.Bytes(), byte(3))
	f.Fuzz(func(t *testing.T, p []byte, step byte) {
		one := feed(t, p, 1<<30, false)
		two := feed(t, p, int(step)+1, false)
		if one != two {
			t.Fatalf("pieces make a difference:\n%s\n%s", one, two)
		}
		feed(t, p, int(step)+1, true)
	})
}

func feed(t *testing.T, p []byte, step int, answer bool) string {
	e := newEnv()
	srv := e.newServer(config.HTTP2Options{MaxHeadersKiB: 1, MaxConcurrentStreams: 4}, 0)
	srv.hooks = func(m *message, what string) {
		switch {
		case !answer:
		case what == "headers":
			m.enc.(stream.ResponseEncoder).EncodeHeaders(headers(":status: 200"), false)
			m.enc.EncodeData(body("x"), m.ended)
		case m.ended:
			m.enc.EncodeData(body(""), true)
		}
	}
	b := buffer.New(&e.w.Buffers)
	b.WriteString(preface)
	err := srv.server.Dispatch(b, false)
	for len(p) > 0 && err == nil {
		n := min(step, len(p))
		_, _ = b.Write(p[:n])
		err = srv.server.Dispatch(b, false)
		p = p[n:]
	}
	e.w.Turn(0)
	parse(t, srv.conn.out.Bytes())
	out := failures(srv)
	if err != nil {
		out += " " + err.Error()
	}
	for _, m := range srv.requests {
		out += " " + m.result()
	}
	srv.server.OnConnectionClosed(stream.ConnectionTermination, "")
	if c := srv.c(); c.first != nil || len(c.streams) != 0 {
		t.Fatal("streams are left")
	}
	if v := e.group.GaugeValue(statPendingSend); v != 0 {
		t.Fatalf("pending_send_bytes is %d", v)
	}
	return out
}
