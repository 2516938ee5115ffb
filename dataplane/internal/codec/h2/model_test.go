package h2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// exchange is a request as the test sends it and what must come back.
type exchange struct {
	client, server     *message
	headers            []string
	sent               []byte
	sentTrailers       []string
	ended              bool
	answer             []byte
	answered           bool
	answerTrailers     []string
	answerEnded        bool
	clientOff, servOff bool
	cut                bool
}

// TestModel sends random messages both ways between a client and a server
// codec over pipes that cut and delay at will, with readers that stop, small
// windows and small connection buffers. Whatever is not reset arrives intact,
// and in the end all windows are back.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newEnv()
		opt := config.HTTP2Options{InitialStreamWindow: 65535, InitialConnWindow: 70000, MaxWindowUpdates: 1000, MaxEmptyInbound: 1000}
		limit := rapid.SampledFrom([]uint32{0, 4096, 100000}).Draw(t, "limit")
		srv := e.newServer(opt, limit)
		cli := e.newClient(opt, limit)
		var all []*exchange
		pick := func(t *rapid.T, ok func(*exchange) bool) *exchange {
			var list []*exchange
			for _, x := range all {
				if !x.cut && ok(x) {
					list = append(list, x)
				}
			}
			if len(list) == 0 {
				return nil
			}
			return rapid.SampledFrom(list).Draw(t, "stream")
		}
		chunk := func(t *rapid.T) []byte {
			return bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte"))}, rapid.IntRange(0, 50000).Draw(t, "n"))
		}
		deliver := func(from, to *peer) func(*rapid.T) {
			return func(t *rapid.T) {
				e.w.Turn(0)
				if from.conn.out.Len() == 0 {
					return
				}
				n := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 1<<17)).Draw(t, "bytes")
				move(from, to, n)
				attach(srv, all)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				if len(all) > 20 {
					return
				}
				x := &exchange{client: cli.request()}
				x.headers = []string{":method: POST", ":path: /" + fmt.Sprint(len(all)), ":scheme: http", ":authority: a.example",
					"x-v: " + strings.Repeat(rapid.StringMatching("[a-z]{1,9}").Draw(t, "v"), rapid.SampledFrom([]int{1, 3, 4000}).Draw(t, "times"))}
				x.ended = rapid.Bool().Draw(t, "end")
				if err := x.client.enc.(stream.RequestEncoder).EncodeHeaders(headers(x.headers...), x.ended); err != nil {
					t.Fatal(err)
				}
				all = append(all, x)
			},
			"send": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return !x.ended })
				if x == nil {
					return
				}
				p := chunk(t)
				x.sent = append(x.sent, p...)
				x.ended = rapid.Bool().Draw(t, "end")
				x.client.enc.EncodeData(body(string(p)), x.ended)
			},
			"trailers": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return !x.ended })
				if x == nil {
					return
				}
				x.ended, x.sentTrailers = true, []string{"x-t: 1"}
				x.client.enc.EncodeTrailers(headers(x.sentTrailers...))
			},
			"answer": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return x.server != nil && x.server.headers != nil && !x.answered })
				if x == nil {
					return
				}
				x.answered = true
				x.answerEnded = rapid.Bool().Draw(t, "end")
				x.server.enc.(stream.ResponseEncoder).EncodeHeaders(headers(":status: 200", "x-a: b"), x.answerEnded)
			},
			"reply": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return x.answered && !x.answerEnded })
				if x == nil {
					return
				}
				p := chunk(t)
				x.answer = append(x.answer, p...)
				x.answerEnded = rapid.Bool().Draw(t, "end")
				x.server.enc.EncodeData(body(string(p)), x.answerEnded)
			},
			"reply trailers": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return x.answered && !x.answerEnded })
				if x == nil {
					return
				}
				x.answerEnded, x.answerTrailers = true, []string{"grpc-status: 0"}
				x.server.enc.EncodeTrailers(headers(x.answerTrailers...))
			},
			"client stops or resumes": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return true })
				if x == nil {
					return
				}
				x.clientOff = !x.clientOff
				x.client.s.ReadDisable(x.clientOff)
			},
			"server stops or resumes": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return x.server != nil })
				if x == nil {
					return
				}
				x.servOff = !x.servOff
				x.server.s.ReadDisable(x.servOff)
			},
			"client resets": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return !(x.client.ended && x.ended) })
				if x == nil {
					return
				}
				x.cut = true
				x.client.s.Reset(stream.LocalReset)
			},
			"server resets": func(t *rapid.T) {
				x := pick(t, func(x *exchange) bool { return x.server != nil && !(x.server.ended && x.answerEnded) })
				if x == nil {
					return
				}
				x.cut = true
				x.server.s.Reset(stream.LocalReset)
			},
			"to server": deliver(cli, srv),
			"to client": deliver(srv, cli),
			"":          func(t *rapid.T) { e.w.Turn(0) },
		})
		finish(t, e, srv, cli, all)
	})
}

// attach finds the server's side of each exchange by its path.
func attach(srv *peer, all []*exchange) {
	for _, x := range all {
		if x.server == nil {
			for _, m := range srv.requests {
				if slices.Contains(m.headers, x.headers[1]) {
					x.server = m
				}
			}
		}
	}
}

func finish(t *rapid.T, e *env, srv, cli *peer, all []*exchange) {
	run := func() {
		for range 10000 {
			e.w.Turn(0)
			attach(srv, all)
			if cli.conn.out.Len()+srv.conn.out.Len() == 0 && e.w.Idle() {
				return
			}
			move(cli, srv, cli.conn.out.Len())
			move(srv, cli, srv.conn.out.Len())
		}
		t.Fatal("no rest")
	}
	run()
	for _, x := range all { // end everything and read it
		if !x.cut && !x.ended {
			x.ended = true
			x.client.enc.EncodeData(body(""), true)
		}
		if x.clientOff {
			x.client.s.ReadDisable(false)
		}
		if x.servOff {
			x.server.s.ReadDisable(false)
		}
	}
	run()
	for _, x := range all {
		if x.cut || x.server == nil {
			continue
		}
		if !x.answered {
			x.answered = true
			x.server.enc.(stream.ResponseEncoder).EncodeHeaders(headers(":status: 200", "x-a: b"), false)
		}
		if !x.answerEnded {
			x.answerEnded = true
			x.server.enc.EncodeData(body(""), true)
		}
	}
	run()
	if cli.err != nil || srv.err != nil {
		t.Fatalf("errors: client %v, server %v", cli.err, srv.err)
	}
	for i, x := range all {
		if x.cut {
			continue
		}
		if x.server == nil {
			t.Fatalf("request %d did not arrive", i)
		}
		slices.Sort(x.headers)
		if !slices.Equal(x.server.headers, x.headers) || !bytes.Equal(x.server.body, x.sent) || !x.server.ended ||
			!slices.Equal(x.server.trailers, x.sentTrailers) {
			t.Fatalf("request %d differs: %d of %d octets, ended %v, reset %v %s", i, len(x.server.body), len(x.sent), x.server.ended, x.server.reset, x.server.detail)
		}
		if !bytes.Equal(x.client.body, x.answer) || !x.client.ended || !slices.Equal(x.client.trailers, x.answerTrailers) {
			t.Fatalf("response %d differs: %d of %d octets, ended %v, reset %v", i, len(x.client.body), len(x.answer), x.client.ended, x.client.reset)
		}
		// A stream that ends while the connection is above its watermark is
		// not told when that is over.
		if owed := min(int(srv.conn.limit), 1); x.client.above > owed || x.server.above > owed {
			t.Fatalf("stream %d: watermark callbacks do not pair: %d %d", i, x.client.above, x.server.above)
		}
	}
	balance(t, srv.c(), cli.c())
	balance(t, cli.c(), srv.c())
	for _, c := range []*conn{srv.c(), cli.c()} {
		if len(c.streams) != 0 || c.first != nil || c.ready != nil || c.nReady != 0 || c.active != 0 {
			t.Fatalf("streams are left: %d", len(c.streams))
		}
	}
	for i, name := range map[int]string{statStreamsActive: "streams_active", statPendingSend: "pending_send_bytes"} {
		if v := e.group.GaugeValue(i); v != 0 {
			t.Fatalf("%s is %d", name, v)
		}
	}
}

// balance checks that what the receiver thinks the sender may send is what the
// sender thinks, and that nothing is lost.
func balance(t *rapid.T, send, recv *conn) {
	if send.sendWindow != recv.recvWindow {
		t.Fatalf("windows differ: %d, %d", send.sendWindow, recv.recvWindow)
	}
	if recv.recvWindow+int64(recv.connUnacked) != int64(recv.opt.InitialConnWindow) {
		t.Fatalf("window leaks: %d + %d", recv.recvWindow, recv.connUnacked)
	}
}
