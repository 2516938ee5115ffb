package h2

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// kick makes flush run at the end of the worker's turn. Dispatch flushes by
// itself.
func (c *conn) kick() {
	if !c.inDispatch && !c.dead {
		c.w.Schedule(&c.task)
	}
}

// flush delivers what waited for a reader, and sends what may be sent.
func (c *conn) flush() {
	if c.dead {
		return
	}
	c.runResumes()
	if c.dead {
		return
	}
	c.reclaim()
	c.pump()
	if c.dead || c.endFlooded() {
		return
	}
	c.writeOut()
}

// queue puts a stream into the ring of those that have something to send.
func (c *conn) queue(s *strm) {
	if !s.ready {
		s.ready = true
		c.nReady++
		if c.ready == nil {
			s.readyNext, s.readyPrev = s, s
			c.ready = s
		} else { // before the head: last in turn
			head := c.ready
			s.readyNext, s.readyPrev = head, head.readyPrev
			head.readyPrev.readyNext = s
			head.readyPrev = s
		}
	}
	c.kick()
}

func (c *conn) unready(s *strm) {
	if !s.ready {
		return
	}
	s.ready = false
	c.nReady--
	if s.readyNext == s {
		c.ready = nil
	} else {
		s.readyPrev.readyNext = s.readyNext
		s.readyNext.readyPrev = s.readyPrev
		if c.ready == s {
			c.ready = s.readyNext
		}
	}
	s.readyNext, s.readyPrev = nil, nil
}

// pump sends one frame of each stream in turn until the connection's buffer
// or window is full.
func (c *conn) pump() {
	limit := int(c.nc.BufferLimit())
	for misses := 0; c.ready != nil && !c.above && misses < c.nReady && !c.dead && c.flooded == nil; {
		s := c.ready
		c.ready = s.readyNext
		if !c.sendFrame(s) {
			misses++
			continue
		}
		misses = 0
		if limit > 0 && c.nc.Buffered()+c.out.Len() > limit {
			c.writeOut()
			if c.nc.AboveHighWatermark() {
				return
			}
		}
	}
}

// sendFrame sends one frame of s. It returns false when the connection's
// window is too small, and takes a stream out of the ring that waits for its
// own window or has nothing more.
func (c *conn) sendFrame(s *strm) bool {
	n := s.send.Len()
	if n == 0 {
		c.unready(s)
		c.sendEnd(s)
		return true
	}
	if s.sendWindow <= 0 {
		c.unready(s)
		return true
	}
	m := min(n, int(min(s.sendWindow, c.sendWindow)), minMaxFrameSize)
	if m <= 0 {
		return false
	}
	end := m == n && s.sendPhase == sendEnding && s.sendTrailers == nil
	flags := uint8(0)
	if end {
		flags = flagEndStream
	}
	c.writeDataHeader(s, flags, m)
	s.send.MoveTo(&c.out, m)
	s.sendWindow -= int64(m)
	c.sendWindow -= int64(m)
	c.st.pendingSend.Add(c.local, -int64(m))
	if m == n && s.sendTrailers == nil {
		c.unready(s)
	}
	s.checkSendFull()
	if end && !s.closed {
		s.sendPhase = sendEnded
		c.localEnd(s)
	}
	return true
}

// sendEnd sends the end of a stream whose data is gone.
func (c *conn) sendEnd(s *strm) {
	if s.sendPhase != sendEnding {
		return
	}
	s.sendPhase = sendEnded
	if h := s.sendTrailers; h != nil {
		s.sendTrailers = nil
		c.writeHeaders(s, h, true)
		c.w.Headers.Put(h)
	} else {
		c.writeDataHeader(s, flagEndStream, 0)
	}
	c.localEnd(s)
}

func (c *conn) writeDataHeader(s *strm, flags uint8, n int) {
	writeFrameHeader(&c.out, frameData, flags, s.id, n)
	s.meter.WireBytesSent += uint64(frameHeaderLen + n)
	c.dataSent++
	c.frameWritten()
}

// writeHeaders compresses and writes a header block, pseudo-headers first
// (RFC 9113 section 8.3). Headers that belong to a connection are left out
// (section 8.2.2).
func (c *conn) writeHeaders(s *strm, h *header.Map, end bool) {
	b := c.comp.begin(c.block[:0])
	authority := false
	for i := range h.Len() {
		if e := h.At(i); len(e.Name) > 0 && e.Name[0] == ':' {
			id := h.IDAt(i)
			authority = authority || id == header.Authority
			b = c.comp.field(b, id, e.Name, e.Value)
		}
	}
	if !c.server && !authority && h.HasID(header.Host) && h.HasID(header.Method) {
		b = c.comp.field(b, header.Authority, header.Authority.String(), h.GetID(header.Host))
	}
	for i := range h.Len() {
		e, id := h.At(i), h.IDAt(i)
		if len(e.Name) > 0 && e.Name[0] == ':' || hopByHop(id, e.Value) || !c.server && id == header.Host {
			continue
		}
		b = c.comp.field(b, id, e.Name, e.Value)
	}
	c.block = b
	s.meter.HeaderBytesSent += uint64(len(b))
	flags := uint8(0)
	if end {
		flags = flagEndStream
	}
	typ := frameHeaders
	for {
		n := min(len(b), c.peerMaxFrame)
		if n == len(b) {
			flags |= flagEndHeaders
		}
		writeFrameHeader(&c.out, typ, flags, s.id, n)
		_, _ = c.out.Write(b[:n])
		s.meter.WireBytesSent += uint64(frameHeaderLen + n)
		c.frameWritten()
		if b = b[n:]; len(b) == 0 {
			break
		}
		typ, flags = frameContinuation, 0
	}
	c.kick()
}

func hopByHop(id header.ID, value string) bool {
	switch id {
	case header.Connection, header.KeepAlive, header.ProxyConnection, header.TransferEncoding, header.Upgrade,
		header.HTTP2Settings:
		return true
	case header.TE:
		return !equalFold(trim(value), "trailers")
	}
	return false
}
