package health

import (
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// tcpSession checks by a connection, and bytes where they are configured.
type tcpSession struct {
	t     *target
	conn  *network.Conn
	quiet bool
	got   []byte
}

func (s *tcpSession) check() {
	s.got = s.got[:0]
	if s.conn == nil {
		s.quiet = false
		if s.conn = s.t.connect(s, s, false); s.conn == nil {
			s.t.done(outcome{network: true})
		}
		return
	}
	s.send()
}

func (s *tcpSession) send() {
	if hc := s.t.c.cfg.TCP; hc != nil && len(hc.Send) > 0 {
		b := buffer.New(&s.t.c.w.Buffers)
		_, _ = b.Write(hc.Send)
		s.conn.Write(b, false)
	}
}

func (s *tcpSession) abandon() { s.close() }

func (s *tcpSession) close() {
	s.quiet = true
	if c := s.conn; c != nil {
		s.conn = nil
		c.Close(network.CloseNow, "")
	}
}

// OnEvent implements network.Events.
func (s *tcpSession) OnEvent(e network.Event) {
	if e == network.Connected {
		hc := s.t.c.cfg.TCP
		if hc == nil || len(hc.Receive) == 0 {
			s.close()
			s.t.done(outcome{ok: true})
			return
		}
		s.send()
		return
	}
	if !s.quiet {
		s.conn = nil
		s.t.done(outcome{network: true})
	}
}

// OnData implements network.ReadFilter.
func (s *tcpSession) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	s.got = append(s.got, b.Bytes()...)
	b.Drain(b.Len())
	if hc := s.t.c.cfg.TCP; hc != nil && matches(s.got, hc.Receive) {
		if !s.t.c.cfg.ReuseConnection {
			s.close()
		}
		s.t.done(outcome{ok: true})
	}
	return network.StopIteration
}

// matches looks for the pieces in order, with anything between them.
func matches(got []byte, want [][]byte) bool {
	text := string(got)
	for _, w := range want {
		i := strings.Index(text, string(w))
		if i < 0 {
			return false
		}
		text = text[i+len(w):]
	}
	return true
}

// InitRead implements network.ReadFilter.
func (s *tcpSession) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (s *tcpSession) OnNewConnection() network.FilterStatus { return network.Continue }

// OnAboveHighWatermark implements network.Events.
func (s *tcpSession) OnAboveHighWatermark() {}

// OnBelowLowWatermark implements network.Events.
func (s *tcpSession) OnBelowLowWatermark() {}
