package h2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// pump runs a codec on a net.Conn until either side ends. posts are run on its
// goroutine.
func pump(e *env, fc *fakeConn, nc net.Conn, posts <-chan func()) error {
	defer func() { _ = nc.Close() }()
	reads, done := make(chan []byte), make(chan struct{})
	defer close(done)
	go func() {
		defer close(reads)
		for {
			p := make([]byte, 5000)
			n, err := nc.Read(p)
			if err != nil {
				return
			}
			select {
			case reads <- p[:n]:
			case <-done:
				return
			}
		}
	}()
	// Writes go through a goroutine too: a pipe has no buffer.
	out := make(chan []byte, 1<<12)
	defer close(out)
	go func() {
		for p := range out {
			if _, err := nc.Write(p); err != nil {
				return
			}
		}
	}()
	in := new(buffer.Buffer)
	for {
		e.w.Turn(0)
		if fc.out.Len() > 0 {
			b := new(buffer.Buffer)
			fc.sent(1<<30, b)
			out <- b.Bytes()
			continue
		}
		select {
		case p, ok := <-reads:
			if !ok {
				fc.codec.OnConnectionClosed(stream.ConnectionTermination, "")
				return nil
			}
			_, _ = in.Write(p)
			if err := fc.codec.Dispatch(in, false); err != nil {
				return err
			}
		case f, ok := <-posts:
			if !ok {
				return nil
			}
			f()
		}
	}
}

// echo answers a request with its body and a trailer.
func echo(m *message, what string) {
	if what == "reset" {
		return
	}
	if what == "headers" {
		m.enc.(stream.ResponseEncoder).EncodeHeaders(headers(":status: 200", "x-lines: "+fmt.Sprint(len(m.headers))), false)
	}
	if m.ended {
		b := body(string(m.body))
		m.enc.EncodeData(b, false)
		m.enc.EncodeTrailers(headers("x-length: " + fmt.Sprint(len(m.body))))
	}
}

// TestGoClient lets another implementation's client talk to our server.
func TestGoClient(t *testing.T) {
	t.Parallel()
	tr := &http2.Transport{AllowHTTP: true, DisableCompression: true}
	ours, theirs := net.Pipe()
	e := newEnv()
	srv := e.newServer(config.HTTP2Options{}, 1<<20)
	srv.hooks = echo
	ended := make(chan error, 1)
	go func() { ended <- pump(e, srv.conn, ours, nil) }()
	cc, err := tr.NewClientConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, i*10000)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.example/", bytes.NewReader(payload))
			req.Header.Set("x-long", strings.Repeat("{}", 10000))
			resp, err := cc.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, payload) || resp.Trailer.Get("x-length") != fmt.Sprint(len(payload)) {
				t.Errorf("request %d: %v, %d octets, trailer %v", i, err, len(got), resp.Trailer)
			}
		})
	}
	wg.Wait()
	_ = cc.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestGoServer lets our client talk to another implementation's server.
func TestGoServer(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	go (&http2.Server{}).ServeConn(theirs, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("trailer", "x-length")
		p, _ := io.ReadAll(r.Body)
		_, _ = w.Write(p)
		w.Header().Set("x-length", fmt.Sprint(len(p)))
	})})
	e := newEnv()
	cli := e.newClient(config.HTTP2Options{}, 1<<20)
	posts := make(chan func(), 1)
	var all []*message
	left := 20
	posts <- func() {
		for i := range left {
			m := cli.request()
			m.hooks = func(m *message, _ string) {
				if m.ended || m.reset {
					if left--; left == 0 {
						close(posts)
					}
				}
			}
			all = append(all, m)
			h := headers(post...)
			h.Add("x-long", strings.Repeat("{}", 10000))
			_ = m.enc.(stream.RequestEncoder).EncodeHeaders(h, false)
			m.enc.EncodeData(body(strings.Repeat(string(rune('a'+i)), i*10000)), true)
		}
	}
	if err := pump(e, cli.conn, ours, posts); err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		if string(m.body) != strings.Repeat(string(rune('a'+i)), i*10000) || len(m.trailers) != 1 {
			t.Errorf("response %d: %d octets, %v, reset %v %s", i, len(m.body), m.trailers, m.reset, m.detail)
		}
	}
}
