package h2

import (
	"encoding/binary"

	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// idle says whether a stream was never opened by the side that may open it.
func (c *conn) idle(id uint32) bool {
	if c.server {
		return id&1 == 0 || id > c.lastPeerID
	}
	return id&1 == 0 || id >= c.cli.nextID
}

// onPriority checks PRIORITY and ignores it.
func (c *conn) onPriority() error {
	if c.f.id == 0 || binary.BigEndian.Uint32(c.fix[:])&maxStreamID == c.f.id {
		return c.fail()
	}
	return c.trackPriority()
}

// onReset handles RST_STREAM.
func (c *conn) onReset(code errorCode) error {
	if c.f.id == 0 || c.idle(c.f.id) {
		return c.fail()
	}
	if err := c.trackReset(); err != nil {
		return err
	}
	s := c.streams[c.f.id]
	if s == nil {
		return nil
	}
	c.st.rxReset.Inc(c.local)
	reason, detail := reasonOf(code)
	s.recvPhase = recvSettled
	told := s.discard
	c.close(s)
	if !told {
		s.setDetail(detail)
		s.notifyReset(reason, s.detail)
	}
	return nil
}

// onSetting applies one of the peer's settings (RFC 9113 section 6.5.2).
func (c *conn) onSetting(id uint16, v uint32) error {
	switch id {
	case settingTableSize:
		c.comp.setMax(v)
	case settingEnablePush:
		if v > 1 || v == 1 && !c.server {
			return c.fail()
		}
	case settingMaxStreams:
		if !c.server {
			c.cli.cb.OnMaxConcurrentStreams(v)
		}
	case settingInitialWindow:
		if v > maxWindow {
			return c.failCode(codeFlowControl)
		}
		return c.moveInitialWindow(int64(v))
	case settingMaxFrameSize:
		if v < minMaxFrameSize || v > maxMaxFrameSize {
			return c.fail()
		}
		c.peerMaxFrame = int(v)
	case settingConnect:
		if v > 1 {
			return c.fail()
		}
	}
	return nil
}

// moveInitialWindow changes the sending window of every stream by the
// difference (RFC 9113 section 6.9.2).
func (c *conn) moveInitialWindow(v int64) error {
	d := v - c.peerInitialWindow
	c.peerInitialWindow = v
	for s := c.first; s != nil; s = s.next {
		if s.sendWindow += d; s.sendWindow > maxWindow {
			return c.failCode(codeFlowControl)
		}
		if d > 0 && s.send.Len() > 0 {
			c.queue(s)
		}
	}
	return nil
}

func (c *conn) endSettings() error {
	if c.f.has(flagAck) {
		c.settingsAcked = true
		return nil
	}
	c.settingsSeen = true
	writeFrameHeader(&c.out, frameSettings, flagAck, 0, 0)
	c.controlWritten()
	return nil
}

func (c *conn) onPing() error {
	if c.f.id != 0 {
		return c.fail()
	}
	if c.f.has(flagAck) {
		c.pingAnswered(&c.fix)
		return nil
	}
	writeFrameHeader(&c.out, framePing, flagAck, 0, 8)
	_, _ = c.out.Write(c.fix[:])
	c.controlWritten()
	return nil
}

// onGoAway: the peer takes no new streams, and did not look at those above
// last (RFC 9113 section 6.8).
func (c *conn) onGoAway(last uint32, code errorCode) error {
	if c.f.id != 0 {
		return c.fail()
	}
	if !c.server {
		list := c.scratch[:0]
		c.scratch = nil
		c.walking++
		for s := c.first; s != nil; s = s.next {
			if s.id > last {
				list = append(list, s)
			}
		}
		for i, s := range list {
			if list[i] = nil; !s.closed {
				s.setDetail(detailRemoteRefuse)
				c.close(s)
				s.notifyReset(stream.RemoteRefused, s.detail)
			}
		}
		c.walking--
		c.scratch = list[:0]
	}
	if c.sawGoAway || c.dead {
		return nil
	}
	c.sawGoAway = true
	if c.server {
		c.srv.cb.OnGoAway(code == codeNone)
	} else {
		c.cli.cb.OnGoAway(code == codeNone)
	}
	return nil
}

func (c *conn) onWindowUpdate(n uint32) error {
	if err := c.trackWindowUpdate(); err != nil {
		return err
	}
	if c.f.id == 0 {
		if n == 0 {
			return c.fail()
		}
		if c.sendWindow += int64(n); c.sendWindow > maxWindow {
			return c.failCode(codeFlowControl)
		}
		return nil // the end of Dispatch sends what waited
	}
	s := c.streams[c.f.id]
	if s == nil {
		if c.idle(c.f.id) {
			return c.fail()
		}
		return nil
	}
	if s.sendWindow += int64(n); n == 0 || s.sendWindow > maxWindow {
		if c.opt.Strict && n > 0 {
			s.setDetail(detailUnknown)
			c.resetStream(s, codeFlowControl, stream.ProtocolError, s.detail)
			return nil
		}
		return c.failStream(s)
	}
	if s.send.Len() > 0 {
		c.queue(s)
	}
	return nil
}

func (c *conn) writeReset(id uint32, code errorCode) {
	writeFrameHeader(&c.out, frameReset, 0, id, 4)
	writeUint32(&c.out, uint32(code))
	c.st.txReset.Inc(c.local)
	c.controlWritten()
}

func (c *conn) writeGoAway(last uint32, code errorCode) {
	writeFrameHeader(&c.out, frameGoAway, 0, 0, 8)
	writeUint32(&c.out, last)
	writeUint32(&c.out, uint32(code))
	c.goAwaySent, c.goAwayID = true, last
	c.frameWritten()
}

func (c *conn) writeWindowUpdate(id, n uint32) {
	writeFrameHeader(&c.out, frameWindowUpdate, 0, id, 4)
	writeUint32(&c.out, n)
	c.frameWritten()
	c.kick()
}
