package h2

import (
	"encoding/binary"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
)

// readState is what the reader waits for.
type readState uint8

const (
	readPreface readState = iota
	readHeader
	readPayload
)

// stage is the part of a frame's payload that comes next.
type stage uint8

const (
	stageFixed    stage = iota // need octets, for fixed
	stageFragment              // data or a piece of a header block
	stageSkip                  // padding, and what is ignored
)

// reader takes frames apart.
type reader struct {
	state    readState
	got      int // octets of the preface, of hdr or of fix
	hdr      [frameHeaderLen]byte
	fix      [8]byte
	need     int
	f        frameHeader
	left     int // octets of the payload to come
	fragment int // of which data or header block
	stage    stage
	padded   bool // the pad length is still to come
	on       *strm
	data     buffer.Buffer
	sent     bool // the data with END_STREAM was delivered
}

func (c *conn) read(b *buffer.Buffer) error {
	for !c.dead && c.flooded == nil {
		switch c.state {
		case readPreface:
			if b.Len() == 0 {
				return nil
			}
			if !c.matchPreface(b) {
				return c.violation(fault.KindProtocol, textMagic)
			}
		case readHeader:
			if b.Len() == 0 {
				return nil
			}
			n := copy(c.hdr[c.got:], b.Front())
			b.Drain(n)
			if c.got += n; c.got < frameHeaderLen {
				continue
			}
			c.got = 0
			c.f.parse(&c.hdr)
			c.state = readPayload
			if err := c.beginFrame(); err != nil {
				return err
			}
		case readPayload:
			more, err := c.payload(b)
			if err != nil {
				return err
			}
			if more {
				return nil
			}
		}
	}
	return nil
}

func (c *conn) matchPreface(b *buffer.Buffer) bool {
	p := b.Front()
	n := min(len(p), len(preface)-c.got)
	if string(p[:n]) != preface[c.got:c.got+n] {
		return false
	}
	b.Drain(n)
	if c.got += n; c.got == len(preface) {
		c.got, c.state = 0, readHeader
	}
	return true
}

// payload goes on with the current frame; more says that it needs more bytes.
func (c *conn) payload(b *buffer.Buffer) (more bool, err error) {
	for {
		switch c.stage {
		case stageFixed:
			n := copy(c.fix[c.got:c.need], b.Front())
			b.Drain(n)
			c.left -= n
			if c.got += n; c.got < c.need {
				return true, nil
			}
			c.got = 0
			err = c.fixed()
		case stageFragment:
			n := min(c.fragment, b.Len())
			c.fragment -= n
			c.left -= n
			if n > 0 {
				err = c.fragmentBytes(b, n)
			}
			if c.fragment > 0 && err == nil && !c.dead {
				return true, nil
			}
			c.stage = stageSkip
		case stageSkip:
			n := min(c.left, b.Len())
			b.Drain(n)
			if c.left -= n; c.left > 0 {
				return true, nil
			}
			c.state = readHeader
			return false, c.endFrame()
		}
		if err != nil || c.dead {
			return false, err
		}
	}
}

// expect makes the next n octets of the payload come to fixed.
func (c *conn) expect(n int) { c.stage, c.need = stageFixed, n }

// beginFrame looks at a frame's header: everything that can be refused without
// the payload is.
func (c *conn) beginFrame() error {
	f := &c.f
	c.left, c.fragment, c.on, c.padded, c.sent = f.length, 0, nil, false, false
	c.stage = stageSkip
	if f.length > minMaxFrameSize {
		return c.failGoAway(codeFrameSize)
	}
	if !c.settingsSeen && (f.typ != frameSettings || f.has(flagAck)) {
		return c.failGoAway(codeProtocol)
	}
	if c.blockOpen && (f.typ != frameContinuation || f.id != c.blockID) {
		return c.failGoAway(codeProtocol)
	}
	switch f.typ {
	case frameData:
		return c.beginData()
	case frameHeaders:
		return c.beginHeaders()
	case frameContinuation:
		return c.beginContinuation()
	case framePriority:
		if f.length != 5 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(5)
	case frameReset:
		if f.length != 4 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(4)
	case frameSettings:
		return c.beginSettings()
	case framePushPromise:
		return c.failStream(c.streams[f.id])
	case framePing:
		if f.length != 8 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(8)
	case frameGoAway:
		if f.length < 8 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(8)
	case frameWindowUpdate:
		if f.length != 4 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(4)
	}
	return nil
}

func (c *conn) beginSettings() error {
	f := &c.f
	switch {
	case f.has(flagAck) && f.length != 0, f.length%6 != 0:
		return c.failGoAway(codeFrameSize)
	case f.id != 0:
		return c.fail()
	}
	if f.length > 0 {
		c.expect(6)
	}
	return nil
}

// beginPadded prepares for the payload of DATA and HEADERS.
func (c *conn) beginPadded(priority bool) error {
	c.fragment = c.left
	c.stage = stageFragment
	c.padded = c.f.has(flagPadded)
	switch {
	case c.padded:
		if c.left < 1 {
			return c.failGoAway(codeFrameSize)
		}
		c.expect(1)
	case priority:
		return c.beginPriority()
	}
	return nil
}

func (c *conn) beginPriority() error {
	if c.fragment < 5 {
		return c.failGoAway(codeFrameSize)
	}
	c.expect(5)
	return nil
}

// fixed handles the octets that expect asked for.
func (c *conn) fixed() error {
	switch c.f.typ {
	case frameData, frameHeaders:
		return c.fixedPadded()
	case framePriority:
		c.stage = stageSkip
		return c.onPriority()
	case frameReset:
		c.stage = stageSkip
		return c.onReset(errorCode(binary.BigEndian.Uint32(c.fix[:])))
	case frameSettings:
		if c.left == 0 {
			c.stage = stageSkip
		}
		return c.onSetting(binary.BigEndian.Uint16(c.fix[:]), binary.BigEndian.Uint32(c.fix[2:]))
	case framePing:
		c.stage = stageSkip
		return c.onPing()
	case frameGoAway:
		c.stage = stageSkip
		return c.onGoAway(binary.BigEndian.Uint32(c.fix[:])&maxStreamID, errorCode(binary.BigEndian.Uint32(c.fix[4:])))
	case frameWindowUpdate:
		c.stage = stageSkip
		return c.onWindowUpdate(binary.BigEndian.Uint32(c.fix[:]) & maxWindow)
	}
	panic("h2: a frame without fixed octets asked for some")
}

// fixedPadded handles the pad length and the priority of DATA and HEADERS.
func (c *conn) fixedPadded() error {
	c.stage = stageFragment
	if c.padded {
		c.padded = false
		pad := int(c.fix[0])
		if c.fragment = c.left - pad; c.fragment < 0 {
			return c.failGoAway(codeProtocol)
		}
		if c.f.typ == frameData {
			return c.onDataPadding(1 + pad)
		}
		if c.f.has(flagPriority) {
			return c.beginPriority()
		}
		return c.openBlock()
	}
	c.fragment -= 5
	if binary.BigEndian.Uint32(c.fix[:])&maxStreamID == c.f.id {
		return c.fail()
	}
	return c.openBlock()
}

func (c *conn) fragmentBytes(b *buffer.Buffer, n int) error {
	if c.f.typ == frameData {
		return c.dataBytes(b, n)
	}
	return c.blockBytes(b, n)
}

// endFrame is called when the whole payload has been taken.
func (c *conn) endFrame() error {
	switch c.f.typ {
	case frameData:
		return c.endData()
	case frameHeaders, frameContinuation:
		if c.f.has(flagEndHeaders) {
			return c.endBlock()
		}
	case frameSettings:
		return c.endSettings()
	}
	return nil
}
