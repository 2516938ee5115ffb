package network_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
)

// end is one side of a connection under test: it records what happens.
type end struct {
	t         testing.TB
	conn      *network.Conn
	got       []byte
	gotEnd    bool
	connected int
	closed    []network.Event
	above     int
	onData    func(b *buffer.Buffer, last bool)
}

func (e *end) InitRead(network.ReadCallbacks) {}
func (e *end) OnNewConnection() network.FilterStatus {
	return network.Continue
}
func (e *end) OnData(b *buffer.Buffer, last bool) network.FilterStatus {
	if len(e.closed) > 0 {
		e.t.Error("data after the end")
	}
	if e.onData != nil {
		e.onData(b, last)
	} else {
		e.got = append(e.got, b.Bytes()...)
		b.Drain(b.Len())
	}
	e.gotEnd = e.gotEnd || last
	return network.StopIteration
}
func (e *end) OnEvent(v network.Event) {
	if v == network.Connected {
		e.connected++
		return
	}
	e.closed = append(e.closed, v)
}
func (e *end) OnAboveHighWatermark() { e.above++ }
func (e *end) OnBelowLowWatermark()  { e.above-- }

// pair connects two ends on two workers of one simulated kernel.
func pair(t testing.TB, k *sim.Kernel) (client, server *end) {
	cw, sw := k.NewWorker(), k.NewWorker()
	l, err := k.Listen(address.FromIP(netip.MustParseAddrPort("127.0.0.1:0")), event.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client, server = &end{t: t}, &end{t: t}
	if err := sw.Register(l, accept(func() {
		fd, peer, e := k.Accept(l)
		if e != 0 {
			return
		}
		c := network.NewServer(sw, fd, network.Info{Remote: peer, Local: k.LocalAddress(fd)}, network.Options{Transport: &transport.Raw{}})
		server.conn = c
		c.AddEvents(server)
		c.AddReadFilter(server)
		if err := c.Start(network.Options{}); err != nil {
			t.Error(err)
		}
	})); err != nil {
		t.Fatal(err)
	}
	client.conn, err = network.Connect(cw, k.LocalAddress(l), event.ConnectOptions{}, network.Options{Transport: &transport.Raw{}})
	if err != nil {
		t.Fatal(err)
	}
	client.conn.AddEvents(client)
	client.conn.AddReadFilter(client)
	if !k.Run(1000) || server.conn == nil || client.connected != 1 || server.connected != 1 {
		t.Fatal("not connected")
	}
	return client, server
}

type accept func()

func (a accept) OnReady(event.Ready) { a() }

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

func (e *end) write(p []byte, last bool) {
	b := buffer.New(&e.conn.Worker().Buffers)
	_, _ = b.Write(p)
	e.conn.Write(b, last)
}

// TestTransfer moves bytes both ways under many schedules of partial reads and
// writes, half-closes at the end, and expects every byte once, in order.
func TestTransfer(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			k := sim.New(seed)
			k.BufferSize = 1 + k.Rand.IntN(70000)
			c, s := pair(t, k)
			for _, e := range []*end{c, s} {
				e.conn.EnableHalfClose(true)
				e.conn.SetBufferLimit(uint32(1 + k.Rand.IntN(100000)))
			}
			up, down := pattern(k.Rand.IntN(300000)), pattern(k.Rand.IntN(300000))
			for i := 0; i < len(up); {
				n := min(len(up)-i, 1+k.Rand.IntN(50000))
				c.write(up[i:i+n], false)
				i += n
				if k.Rand.IntN(2) == 0 {
					k.Run(k.Rand.IntN(20))
				}
				if k.Rand.IntN(4) == 0 {
					s.conn.ReadDisable(true)
					k.Run(k.Rand.IntN(20))
					s.conn.ReadDisable(false)
				}
			}
			s.write(down, true)
			c.write(nil, true)
			if !k.Run(1 << 20) {
				t.Fatal("does not come to rest")
			}
			if !bytes.Equal(s.got, up) || !bytes.Equal(c.got, down) {
				t.Fatalf("%d of %d up, %d of %d down", len(s.got), len(up), len(c.got), len(down))
			}
			for _, e := range []*end{c, s} {
				if !e.gotEnd || len(e.closed) != 1 || e.above != 0 {
					t.Errorf("end seen %v, closed %v, watermarks %d", e.gotEnd, e.closed, e.above)
				}
			}
			if k.Open() != 1 {
				t.Errorf("%d sockets are open", k.Open())
			}
		})
	}
}

func TestCloseFlushSendsEverything(t *testing.T) {
	for _, how := range []network.CloseType{network.CloseFlush, network.CloseFlushDelay} {
		k := sim.New(uint64(how))
		k.BufferSize = 1000
		c, s := pair(t, k)
		s.conn.SetDelayedCloseTimeout(time.Second)
		want := pattern(50000)
		s.write(want, false)
		s.conn.Close(how, "done")
		s.write([]byte("too late"), false)
		c.write([]byte("more of a request that nobody reads"), false)
		k.Run(1 << 20)
		if !bytes.Equal(c.got, want) {
			t.Errorf("%v: %d of %d bytes", how, len(c.got), len(want))
		}
		if how == network.CloseFlushDelay {
			if len(s.closed) != 0 {
				t.Errorf("closed before the peer: %v", s.closed)
			}
			k.Advance(1100 * time.Millisecond)
		}
		if len(s.closed) != 1 || s.closed[0] != network.LocalClose || len(c.closed) != 1 || c.closed[0] != network.RemoteClose {
			t.Errorf("%v: closed %v and %v", how, s.closed, c.closed)
		}
		if d := s.conn.Info().TerminationDetails; d != "done" {
			t.Errorf("details %q", d)
		}
	}
}

func TestPeerCloseEndsTheWait(t *testing.T) {
	k := sim.New(1)
	c, s := pair(t, k)
	s.conn.SetDelayedCloseTimeout(time.Hour)
	s.conn.Close(network.CloseFlushDelay, "")
	c.write([]byte("x"), false)
	k.Run(1000)
	c.conn.Close(network.CloseNow, "")
	k.Run(1000)
	if len(s.closed) != 1 {
		t.Error("the peer's end did not end the delayed close")
	}
}

func TestResetAndNow(t *testing.T) {
	for _, how := range []network.CloseType{network.CloseNow, network.CloseReset} {
		k := sim.New(3)
		c, s := pair(t, k)
		s.write([]byte("lost"), false)
		s.conn.Close(how, "")
		if len(s.closed) != 1 || s.closed[0] != network.LocalClose {
			t.Errorf("events %v before Close returned", s.closed)
		}
		k.Run(1000)
		if len(c.closed) != 1 || c.closed[0] != network.RemoteClose || len(c.got) != 0 {
			t.Errorf("peer: %v %q", c.closed, c.got)
		}
	}
}

func TestRefusedConnection(t *testing.T) {
	k := sim.New(1)
	w := k.NewWorker()
	e := &end{t: t}
	c, err := network.Connect(w, address.FromIP(netip.MustParseAddrPort("127.0.0.1:9")), event.ConnectOptions{}, network.Options{Transport: &transport.Raw{}})
	if err != nil {
		t.Fatal(err)
	}
	c.AddEvents(e)
	k.Run(100)
	if e.connected != 0 || len(e.closed) != 1 || c.Info().TransportFailure != "delayed connect error: Connection refused" {
		t.Errorf("%+v %q", e.closed, c.Info().TransportFailure)
	}
}

func TestReadDisableKeepsBytesAndSeesTheEnd(t *testing.T) {
	k := sim.New(1)
	c, s := pair(t, k)
	s.conn.ReadDisable(true)
	s.conn.ReadDisable(true)
	c.write([]byte("abc"), false)
	k.Run(100)
	s.conn.ReadDisable(false)
	k.Run(100)
	if len(s.got) != 0 {
		t.Fatal("read while disabled")
	}
	s.conn.ReadDisable(false)
	k.Run(100)
	if string(s.got) != "abc" {
		t.Fatalf("%q", s.got)
	}
	s.conn.ReadDisable(true)
	c.conn.Close(network.CloseNow, "")
	k.Run(100)
	if len(s.closed) != 1 {
		t.Error("the peer's end was not noticed while reading was disabled")
	}
}

func TestCloseInsideOfACallback(t *testing.T) {
	k := sim.New(1)
	c, s := pair(t, k)
	s.onData = func(b *buffer.Buffer, _ bool) { s.conn.Close(network.CloseNow, "") }
	c.write([]byte("x"), false)
	k.Run(100)
	if len(s.closed) != 1 || k.Open() != 1 {
		t.Errorf("%v, %d sockets", s.closed, k.Open())
	}
}

func TestConnectTimeout(t *testing.T) {
	k := sim.New(1)
	w := k.NewWorker()
	e := &end{t: t}
	timeouts := 0
	c, err := network.Connect(w, address.FromIP(netip.MustParseAddrPort("10.0.0.1:80")), event.ConnectOptions{}, network.Options{
		Transport: &silent{}, ConnectTimeout: time.Second, OnTimeout: func() { timeouts++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.AddEvents(e)
	w.Unregister(c.FD()) // the answer never comes
	k.Advance(2 * time.Second)
	if timeouts != 1 || len(e.closed) != 1 || e.closed[0] != network.LocalClose {
		t.Errorf("%d timeouts, %v", timeouts, e.closed)
	}
}

// silent is a transport whose handshake never ends.
type silent struct{ transport.Raw }

func (*silent) OnConnected() {}

// TestSteadyStateAllocatesNothing echoes on a warm connection.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	k := sim.New(1)
	k.Partial = false
	c, s := pair(t, k)
	cw, sw := c.conn.Worker(), s.conn.Worker()
	s.onData = func(b *buffer.Buffer, _ bool) { s.conn.Write(b, false) }
	c.onData = func(b *buffer.Buffer, _ bool) { b.Drain(b.Len()) }
	msg := []byte("hello")
	b := buffer.New(&cw.Buffers)
	turn := func() {
		_, _ = b.Write(msg)
		c.conn.Write(b, false)
		cw.Turn(0)
		sw.Turn(0)
		cw.Turn(0)
	}
	turn()
	base := testing.AllocsPerRun(50, func() { cw.Turn(0); sw.Turn(0); cw.Turn(0) })
	// The simulated kernel allocates its events; the connections nothing.
	if n := testing.AllocsPerRun(200, turn); n > base+6 {
		t.Errorf("%v allocations for an echo, %v for empty turns", n, base)
	}
}
