//go:build linux

package event

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

func newReal(t *testing.T) *Worker {
	t.Helper()
	p, err := NewEpoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return NewWorker(Config{Clock: clock.Real{}, Poller: p, System: Sockets{}, Stats: stats.NewStore().NewLocal(), Seed: [2]uint64{1, 2}})
}

type handler func(Ready)

func (h handler) OnReady(r Ready) { h(r) }

// TestRealSockets connects two sockets of one worker and moves bytes.
func TestRealSockets(t *testing.T) {
	w := newReal(t)
	s := Sockets{}
	l, err := s.Listen(address.FromIP(netip.MustParseAddrPort("127.0.0.1:0")), ListenOptions{ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(l)
	here := s.LocalAddress(l)
	if _, err := s.Listen(here, ListenOptions{}); err == nil || err.Error() != "cannot bind '"+here.String()+"': Address already in use" {
		t.Errorf("second listener: %v", err)
	}
	var got string
	served := -1
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Register(l, handler(func(Ready) {
		fd, peer, e := s.Accept(l)
		if e != 0 || !peer.IsIP() {
			t.Errorf("accept: %v from %v", e, peer)
			return
		}
		served = fd
		must(w.Register(fd, handler(func(r Ready) {
			if r&Readable == 0 {
				return
			}
			b := make([]byte, 100)
			n, e := s.Read(fd, b)
			if e == 0 && n > 0 {
				got = string(b[:n])
			}
		})))
	})))
	c, err := s.Connect(here, ConnectOptions{})
	must(err)
	must(w.Register(c, handler(func(r Ready) {
		if r&Writable != 0 && s.SocketError(c) == 0 {
			_, _ = s.Write(c, [][]byte{[]byte("hello "), nil, []byte("there")})
		}
	})))
	for i := 0; i < 50 && got == ""; i++ {
		w.Turn(100 * time.Millisecond)
	}
	if got != "hello there" {
		t.Fatalf("got %q", got)
	}
	s.Reset(served)
	w.Unregister(served)
	s.Close(served)
	failed := false
	w.Unregister(c)
	must(w.Register(c, handler(func(r Ready) { failed = failed || r&(Failed|PeerClosed) != 0 })))
	for i := 0; i < 50 && !failed; i++ {
		w.Turn(100 * time.Millisecond)
	}
	if e := s.SocketError(c); !failed || e != syscall.ECONNRESET {
		t.Errorf("after a reset: %v %v", failed, e)
	}
}

// TestPostWakes posts from other goroutines while the worker sleeps.
func TestPostWakes(t *testing.T) {
	w := newReal(t)
	done := make(chan struct{})
	go func() { w.Run(); close(done) }()
	var n atomic.Int32
	for range 100 {
		ran := make(chan struct{})
		w.Post(func() { n.Add(1); close(ran) })
		<-ran
	}
	w.Stop()
	<-done
	if n.Load() != 100 || w.Post(func() {}) {
		t.Errorf("%d posts ran", n.Load())
	}
}

// TestPostsFromManyAreNeverLost: a Wake that meets the poller while it empties
// its eventfd must not keep later ones from being heard.
func TestPostsFromManyAreNeverLost(t *testing.T) {
	w := newReal(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run()
	}()
	const posters, each = 4, 5000
	left := make(chan bool, posters)
	for range posters {
		go func() {
			ran := make(chan struct{}, 1)
			for range each {
				w.Post(func() { ran <- struct{}{} })
				select {
				case <-ran:
				case <-time.After(10 * time.Second):
					left <- false
					return
				}
			}
			left <- true
		}()
	}
	for range posters {
		if !<-left {
			t.Fatal("a post never ran")
		}
	}
	w.Stop()
	<-done
}
