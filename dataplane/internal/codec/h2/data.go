package h2

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// beginData checks a DATA frame and takes it off the windows.
func (c *conn) beginData() error {
	f := &c.f
	if f.id == 0 || c.idle(f.id) {
		return c.failGoAway(codeProtocol)
	}
	s := c.streams[f.id]
	if s == nil && c.recent.endedByPeer(f.id) {
		return c.failGoAway(codeStreamClosed)
	}
	if s != nil && s.recvPhase >= recvEnded {
		return c.failGoAway(codeStreamClosed)
	}
	if !f.has(flagPadded) {
		if err := c.trackEmpty(f.length == 0 && !f.has(flagEndStream), s); err != nil {
			return err
		}
	}
	if c.recvWindow -= int64(f.length); c.recvWindow < 0 {
		return c.failGoAway(codeFlowControl)
	}
	if s != nil {
		s.meter.WireBytesReceived += uint64(frameHeaderLen + f.length)
		if s.recvWindow -= int64(f.length); s.recvWindow < 0 {
			c.resetStream(s, codeFlowControl, stream.ProtocolError, detailRemoteReset)
			s = nil
		} else if s.recvPhase == recvIdle {
			// A response without (final) headers.
			c.resetStream(s, codeProtocol, stream.ProtocolError, detailRemoteReset)
			s = nil
		}
	}
	c.on = s
	return c.beginPadded(false)
}

// onDataPadding gives the padding back, which nobody consumes.
func (c *conn) onDataPadding(n int) error {
	if err := c.trackEmpty(c.fragment == 0 && !c.f.has(flagEndStream), c.on); err != nil {
		return err
	}
	if s := c.on; s != nil {
		s.held += n
		if s.readDisabled == 0 {
			c.grant(s)
		}
		return nil
	}
	c.release(n)
	return nil
}

func (c *conn) dataBytes(b *buffer.Buffer, n int) error {
	s := c.on
	if s == nil {
		b.Drain(n)
		c.release(n)
		return nil
	}
	s.recvLen += int64(n)
	end := c.f.has(flagEndStream) && c.left == 0
	if s.badLength(end) {
		b.Drain(n)
		c.release(n)
		c.badMessageBody(s)
		return nil
	}
	b.MoveTo(&c.data, n)
	c.sent = end
	c.deliver(s, end)
	return nil
}

// endData delivers an end that did not come with the last of the data.
func (c *conn) endData() error {
	s := c.on
	if s == nil || c.sent || !c.f.has(flagEndStream) {
		return nil
	}
	if s.badLength(true) {
		c.badMessageBody(s)
		return nil
	}
	c.deliver(s, true)
	return nil
}

// badLength says whether the body does not fit its content-length.
func (s *strm) badLength(end bool) bool {
	return s.contentLen >= 0 && (s.recvLen > s.contentLen || end && s.recvLen != s.contentLen)
}

// badMessageBody resets a stream whose body is malformed (RFC 9113 section
// 8.1.1). As in Envoy this never costs the connection.
func (c *conn) badMessageBody(s *strm) {
	s.setDetail(detailRemoteReset)
	c.resetStream(s, codeProtocol, stream.ProtocolError, s.detail)
}

// deliver passes the content of c.data on, or keeps it while the stream is
// read-disabled.
func (c *conn) deliver(s *strm, end bool) {
	n := c.data.Len()
	if s.discard {
		c.data.Drain(n)
		c.release(n)
		if end {
			s.recvPhase = recvSettled
			c.closeIfDone(s)
		}
		return
	}
	s.held += n
	if s.readDisabled > 0 || s.recv.Len() > 0 {
		c.data.MoveTo(&s.recv, n)
		if end {
			s.recvPhase = recvEnded
		}
		return
	}
	if end {
		s.recvPhase = recvSettled
	}
	s.dec.DecodeData(&c.data, end)
	c.data.Drain(c.data.Len())
	if s.closed || s.discard {
		return
	}
	if s.readDisabled == 0 {
		c.grant(s)
	}
	if end {
		c.closeIfDone(s)
	}
}

// resume makes what was kept for s be delivered soon, not inside of the call
// that enabled reading again.
func (c *conn) resume(s *strm) {
	if !s.resuming {
		s.resuming = true
		c.resumes = append(c.resumes, s)
		c.kick()
	}
}

func (c *conn) runResumes() {
	for i := 0; i < len(c.resumes); i++ {
		s := c.resumes[i]
		c.resumes[i] = nil
		if s.resuming {
			s.resuming = false
			c.redeliver(s)
		}
		if c.dead {
			break
		}
	}
	c.resumes = c.resumes[:0]
}

func (c *conn) redeliver(s *strm) {
	if s.closed || s.discard || s.readDisabled > 0 {
		return
	}
	end := s.recvPhase == recvEnded && s.recvTrailers == nil
	if s.recv.Len() > 0 || end {
		if end {
			s.recvPhase = recvSettled
		}
		s.dec.DecodeData(&s.recv, end)
		s.recv.Drain(s.recv.Len())
		if s.closed || s.discard || s.readDisabled > 0 {
			if !s.closed && !s.discard {
				c.closeIfDone(s)
			}
			return
		}
	}
	if h := s.recvTrailers; h != nil {
		s.recvTrailers = nil
		s.recvPhase = recvSettled
		s.dec.DecodeTrailers(h)
		if s.closed || s.discard {
			return
		}
	}
	c.grant(s)
	c.closeIfDone(s)
}

// grant gives the peer back the windows that the stream held. It is announced
// when half of a window has come together.
func (c *conn) grant(s *strm) {
	n := s.held
	if n == 0 {
		return
	}
	s.held = 0
	c.release(n)
	if s.recvPhase >= recvEnded || s.closed {
		return
	}
	if s.unacked += n; s.unacked >= int(c.opt.InitialStreamWindow)/2 {
		c.writeWindowUpdate(s.id, uint32(s.unacked))
		s.recvWindow += int64(s.unacked)
		s.unacked = 0
	}
}

// release gives the connection's window back.
func (c *conn) release(n int) {
	if n == 0 || c.dead {
		return
	}
	if c.connUnacked += n; c.connUnacked >= int(max(c.opt.InitialConnWindow, defaultWindow))/2 {
		c.writeWindowUpdate(0, uint32(c.connUnacked))
		c.recvWindow += int64(c.connUnacked)
		c.connUnacked = 0
	}
}
