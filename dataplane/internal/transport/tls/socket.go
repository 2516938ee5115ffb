package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// phase is where a connection's TLS stands.
type phase uint8

const (
	idle phase = iota
	handshaking
	open
	failed
)

// socket is a network.Transport.
type socket struct {
	f       *Factory
	cfg     *tls.Config
	cb      network.TransportCallbacks
	w       *event.Worker
	m       *mem
	c       *tls.Conn
	phase   phase
	reason  string
	server  bool
	end     bool // close_notify was written
	endSent bool
	closed  bool
	cancel  context.CancelFunc
}

// Attach implements network.Transport.
func (s *socket) Attach(cb network.TransportCallbacks) { s.cb, s.w = cb, cb.Worker() }

// Protocol implements network.Transport.
func (s *socket) Protocol() string {
	if s.phase != open {
		return ""
	}
	return s.c.ConnectionState().NegotiatedProtocol
}

// FailureReason implements network.Transport.
func (s *socket) FailureReason() string { return s.reason }

// CanFlush implements network.Transport.
func (s *socket) CanFlush() bool { return s.phase != idle }

// OnConnected implements network.Transport: the handshake begins.
func (s *socket) OnConnected() {
	s.phase = handshaking
	s.m = newMem(func() {
		s.w.Post(func() {
			if !s.closed {
				s.cb.Resume()
			}
		})
	})
	if s.server {
		s.c = tls.Server(s.m, s.cfg)
	} else {
		s.c = tls.Client(s.m, s.cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		err := s.c.HandshakeContext(ctx)
		s.m.unblock()
		s.w.Post(func() { s.onHandshake(err) })
	}()
}

// onHandshake is the end of the handshake, on the worker.
func (s *socket) onHandshake(err error) {
	if s.closed {
		return
	}
	s.cancel()
	if err != nil {
		s.phase = failed
		s.reason = reasonOf(err)
		s.f.stats.failed(s.w.Stats(), err)
		s.flush() // the alert
		s.cb.Raise(network.RemoteClose)
		return
	}
	s.phase = open
	state := s.c.ConnectionState()
	i := s.cb.Connection().Info()
	i.TLS = describe(&state, s.cfg, s.server)
	i.NegotiatedProtocol = state.NegotiatedProtocol
	i.HandshakeDone = s.w.Now()
	if s.server && i.ServerName == "" {
		i.ServerName = state.ServerName
	}
	s.f.stats.succeeded(s.w.Stats(), &state)
	s.flush()
	s.cb.Raise(network.Connected)
	if !s.closed {
		s.cb.Resume() // bytes of the first request may have come with the handshake
	}
}

// readSize is how much ciphertext is read at once.
const readSize = 32 << 10

// fill moves ciphertext from the socket into memory.
func (s *socket) fill() (n int, end, reset, more bool) {
	scratch := s.f.scratch(s.w)
	sys, fd := s.w.System(), s.cb.FD()
	for n < 8*readSize {
		k, e := sys.Read(fd, scratch)
		switch {
		case e == syscall.EAGAIN:
			return n, false, false, false
		case e != 0:
			return n, false, true, false
		case k == 0:
			return n, true, false, false
		}
		s.m.feed(scratch[:k])
		n += k
		if k < len(scratch) {
			return n, false, false, false
		}
	}
	return n, false, false, true
}

// Read implements network.Transport.
func (s *socket) Read(b *buffer.Buffer, limit int) network.IOResult {
	var res network.IOResult
	if s.phase == idle || s.phase == failed {
		return res
	}
	_, end, reset, more := s.fill()
	res.More = more
	if end || reset {
		s.m.finish()
	}
	if s.phase == handshaking {
		return res // the goroutine goes on; its end is posted
	}
	for res.Bytes < limit {
		n, err := s.c.Read(b.Reserve(1))
		b.Commit(n)
		res.Bytes += n
		if err == nil {
			continue
		}
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			res.Reset = reset
			return res
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			res.End = true
			res.Reset = reset
		default:
			res.Action = network.CloseConnection
			s.reason = reasonOf(err)
			s.f.stats.failed(s.w.Stats(), err)
			s.flush()
		}
		return res
	}
	res.More = true
	return res
}

// maxPending is how much ciphertext may wait for the socket.
const maxPending = 128 << 10

// Write implements network.Transport.
func (s *socket) Write(b *buffer.Buffer, end bool) network.IOResult {
	var res network.IOResult
	if s.phase == idle {
		return res
	}
	for {
		for s.phase == open && b.Len() > 0 && s.m.pending() < maxPending {
			p := b.Front()
			n, err := s.c.Write(p)
			if err != nil {
				res.Action = network.CloseConnection
				return res
			}
			b.Drain(n)
			res.Bytes += n
		}
		if s.phase == open && end && b.Len() == 0 && !s.end {
			s.end = true
			_ = s.c.CloseWrite()
		}
		blocked, broken := s.flush()
		if broken {
			res.Action = network.CloseConnection
			return res
		}
		if blocked {
			res.More = true
			return res
		}
		if b.Len() == 0 || s.phase != open {
			break
		}
	}
	if s.end && !s.endSent {
		s.endSent = true
		s.w.System().ShutdownWrite(s.cb.FD())
	}
	return res
}

// flush gives ciphertext to the socket.
func (s *socket) flush() (blocked, broken bool) {
	sys, fd := s.w.System(), s.cb.FD()
	pieces := s.w.Pieces[:1]
	for {
		out := s.m.take()
		if len(out) == 0 {
			return false, false
		}
		pieces[0] = out
		n, e := sys.Write(fd, pieces)
		pieces[0] = nil
		if e == syscall.EAGAIN {
			return true, false
		}
		if e != 0 {
			return false, true
		}
		s.m.drop(n)
	}
}

// Close implements network.Transport.
func (s *socket) Close() {
	if s.closed {
		return
	}
	s.closed = true
	if s.phase == open && !s.end {
		_ = s.c.CloseWrite()
		s.flush() // as far as the kernel takes it
	}
	if s.m != nil {
		s.m.finish()
	}
	if s.cancel != nil {
		s.cancel()
	}
}
