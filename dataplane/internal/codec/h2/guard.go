package h2

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// guards count what a peer makes us do, and end the connection when it is out
// of proportion. The limits are those of Http2ProtocolOptions.
type guards struct {
	flooded error // set once; the connection is to be closed

	// What was written and has not left the connection's buffer.
	frames, control       int
	unsentFrames          int // of those, still in out
	unsentControl         int
	written               uint64 // bytes ever given to the connection
	sentMarks             []sentMark
	marksHead             int
	gaugeFrames, gaugeCtl int // what the gauges say

	emptyRun      uint32
	priorities    uint64
	windowUpdates uint64
	dataSent      uint64
	resetTokens   float64
	resetAt       time.Time
}

// sentMark says how many frames have left once so many bytes have.
type sentMark struct {
	offset          uint64
	frames, control int
}

func (g *guards) init(c *conn) {
	g.resetTokens, g.resetAt = float64(c.opt.StreamResetBurst), c.w.Now()
}

// frameWritten counts one frame in out.
func (c *conn) frameWritten() {
	c.frames++
	c.unsentFrames++
	if c.frames > int(c.opt.MaxOutboundFrames) && c.flooded == nil && c.stillOver() {
		c.st.outboundFlood.Inc(c.local)
		c.flooded = c.flood(textOutboundFlood)
	}
}

// controlWritten counts one SETTINGS, PING or RST_STREAM in out.
func (c *conn) controlWritten() {
	c.frameWritten()
	c.control++
	c.unsentControl++
	if c.control > int(c.opt.MaxOutboundControl) && c.flooded == nil && c.stillOver() {
		c.st.controlFlood.Inc(c.local)
		c.flooded = c.flood(textControlFlood)
	}
}

// stillOver looks again at what has left before a limit is said to be passed.
func (c *conn) stillOver() bool {
	c.reclaim()
	return c.frames > int(c.opt.MaxOutboundFrames) || c.control > int(c.opt.MaxOutboundControl)
}

// writeOut gives what is in out to the connection.
func (c *conn) writeOut() {
	n := c.out.Len()
	if n == 0 {
		return
	}
	c.written += uint64(n)
	if c.marksHead > 0 && len(c.sentMarks) == cap(c.sentMarks) {
		k := copy(c.sentMarks, c.sentMarks[c.marksHead:])
		c.sentMarks, c.marksHead = c.sentMarks[:k], 0
	}
	c.sentMarks = append(c.sentMarks, sentMark{c.written, c.unsentFrames, c.unsentControl})
	c.unsentFrames, c.unsentControl = 0, 0
	c.nc.Write(&c.out, false)
	c.syncGauges()
}

// reclaim takes frames that have left the connection's buffer off the counts.
func (c *conn) reclaim() {
	gone := c.written - uint64(c.nc.Buffered())
	for c.marksHead < len(c.sentMarks) && c.sentMarks[c.marksHead].offset <= gone {
		m := &c.sentMarks[c.marksHead]
		c.frames -= m.frames
		c.control -= m.control
		c.marksHead++
	}
	if c.marksHead == len(c.sentMarks) {
		c.sentMarks, c.marksHead = c.sentMarks[:0], 0
	}
	c.syncGauges()
}

func (c *conn) syncGauges() {
	if d := c.frames - c.gaugeFrames; d != 0 {
		c.st.outboundFrames.Add(c.local, int64(d))
		c.gaugeFrames = c.frames
	}
	if d := c.control - c.gaugeCtl; d != 0 {
		c.st.outboundControl.Add(c.local, int64(d))
		c.gaugeCtl = c.control
	}
}

func (g *guards) close(c *conn) {
	c.frames, c.control = 0, 0
	c.syncGauges()
}

// endFlooded closes the connection when a limit was passed outside of
// Dispatch, which would have returned the error.
func (c *conn) endFlooded() bool {
	if c.flooded == nil || c.inDispatch {
		return false
	}
	c.nc.Close(network.CloseNow, closeProtocolViolate)
	return true
}

// trackEmpty counts consecutive frames without payload that end nothing.
func (c *conn) trackEmpty(empty bool, s *strm) error {
	if !empty {
		c.emptyRun = 0
		return nil
	}
	if c.emptyRun++; c.emptyRun <= c.opt.MaxEmptyInbound {
		return nil
	}
	c.st.emptyFlood.Inc(c.local)
	if s != nil {
		s.setDetail(detailEmptyFlood)
	}
	return c.flood(textEmptyFlood)
}

func (c *conn) trackPriority() error {
	c.priorities++
	if c.priorities <= uint64(c.opt.MaxPriorityPerStream)*(1+c.opened) {
		return nil
	}
	c.st.priorityFlood.Inc(c.local)
	return c.flood(textPriorityFlood)
}

func (c *conn) trackWindowUpdate() error {
	c.windowUpdates++
	if c.windowUpdates <= 5+2*(c.opened+uint64(c.opt.MaxWindowUpdates)*c.dataSent) {
		return nil
	}
	c.st.windowUpdateFlood.Inc(c.local)
	return c.flood(textWindowFlood)
}

// trackReset limits how fast a client may reset streams: a token bucket
// (stream_reset_burst, stream_reset_rate).
func (c *conn) trackReset() error {
	if !c.server {
		return nil
	}
	now := c.w.Now()
	c.resetTokens = min(float64(c.opt.StreamResetBurst),
		c.resetTokens+now.Sub(c.resetAt).Seconds()*float64(c.opt.StreamResetRate))
	c.resetAt = now
	if c.resetTokens--; c.resetTokens >= 0 {
		return nil
	}
	c.writeGoAway(c.lastPeerID, codeEnhanceYourCalm)
	return c.flood("Too many RST_STREAM frames")
}
