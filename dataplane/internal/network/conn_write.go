package network

import (
	"syscall"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
)

// Write implements Connection.
func (c *Conn) Write(b *buffer.Buffer, end bool) {
	if c.state >= Closing || c.flags.writeEnd {
		b.Drain(b.Len())
		return
	}
	if len(c.chain.write) > 0 && c.chain.onWrite(b, end) == StopIteration {
		return
	}
	c.write(b, end)
}

// write is Write below the write filters.
func (c *Conn) write(b *buffer.Buffer, end bool) {
	if b.Len() == 0 && !end {
		return
	}
	b.MoveTo(&c.out, b.Len())
	c.flags.writeEnd = end
	c.highWatermark()
	if !c.flags.writeBlocked && c.state == Open {
		c.w.Schedule(&c.flushTask)
	}
}

func (c *Conn) highWatermark() {
	if c.flags.aboveHigh || c.limit == 0 || c.out.Len() <= int(c.limit) {
		return
	}
	c.flags.aboveHigh = true
	for i := 0; i < len(c.events); i++ {
		if x := c.events[i]; x != nil {
			x.OnAboveHighWatermark()
		}
	}
}

func (c *Conn) lowWatermark() {
	if !c.flags.aboveHigh || c.out.Len() > int(c.limit/2) {
		return
	}
	c.flags.aboveHigh = false
	for i := 0; i < len(c.events) && c.state != Closed; i++ {
		if x := c.events[i]; x != nil {
			x.OnBelowLowWatermark()
		}
	}
}

// flush gives the kernel what it takes.
func (c *Conn) flush() {
	if c.state == Closed || c.state == Connecting || c.flags.writeBlocked || !c.transport.CanFlush() {
		return
	}
	// The transport is called even without bytes: it may hold some of its own.
	end := c.flags.writeEnd && !c.flags.writeEndDone
	res := c.transport.Write(&c.out, end)
	if c.state == Closed {
		return
	}
	if res.Bytes > 0 {
		c.info.BytesSent += uint64(res.Bytes)
		if c.stats != nil {
			c.stats.TxTotal.Add(c.w.Stats(), uint64(res.Bytes))
		}
	}
	c.gauges()
	if res.Action == CloseConnection {
		c.closeSocket(RemoteClose)
		return
	}
	c.flags.writeBlocked = res.More
	if res.Bytes > 0 {
		c.lowWatermark()
		if c.state == Closed {
			return
		}
	}
	if c.out.Len() > 0 || res.More {
		if c.state == Closing && res.Bytes > 0 && c.timerInit && c.timer.Active() {
			c.timer.Reset(c.delay) // it moves on: the peer is slow, not gone
		}
		return
	}
	if end {
		c.flags.writeEndDone = true
		c.closeIfBothEnded()
	}
	if c.state == Closing {
		c.flushedAll()
	}
}

// closeIfBothEnded closes a connection whose two halves are closed.
func (c *Conn) closeIfBothEnded() {
	if c.state == Open && c.flags.halfClose && c.flags.readEnd && c.flags.writeEndDone && c.in.Len() == 0 {
		c.closeSocket(RemoteClose)
	}
	if c.state == Open && !c.flags.halfClose && c.flags.writeEndDone {
		c.Close(CloseFlush, "")
	}
}

// Close implements Connection.
func (c *Conn) Close(t CloseType, detail string) {
	if c.state == Closed {
		return
	}
	if detail != "" && c.info.TerminationDetails == "" {
		c.info.TerminationDetails = detail
	}
	if t == CloseReset {
		c.w.System().Reset(c.fd)
	}
	if t == CloseNow || t == CloseReset || c.state == Connecting || !c.flags.established && c.out.Len() == 0 {
		c.closeSocket(LocalClose)
		return
	}
	if c.state == Closing {
		if t == CloseFlush && c.closing == CloseFlushDelay {
			c.closing = t
			if c.flags.flushed {
				c.closeSocket(LocalClose)
			}
		}
		return
	}
	c.state = Closing
	c.closing = t
	if t == CloseFlushDelay && c.delay == 0 {
		c.closing = CloseFlush
	}
	c.in.Drain(c.in.Len())
	if c.delay > 0 {
		c.initTimer()
		c.timer.Reset(c.delay)
	}
	if c.out.Len() == 0 && (!c.flags.writeEnd || c.flags.writeEndDone) {
		if c.closing == CloseFlush {
			c.closeSocket(LocalClose)
			return
		}
		c.flushedAll()
		return
	}
	if !c.flags.writeBlocked {
		c.w.Schedule(&c.flushTask)
	}
}

// flushedAll goes on with closing when everything has left.
func (c *Conn) flushedAll() {
	if c.closing != CloseFlushDelay || c.flags.readEnd {
		c.closeSocket(LocalClose)
		return
	}
	c.flags.flushed = true
	c.timer.Reset(c.delay)
	if c.flags.readReady || c.flags.peerClosed {
		c.discard()
	}
}

// closeSocket ends the connection: no call of a filter or observer follows but
// the final event.
func (c *Conn) closeSocket(e Event) {
	if c.state == Closed {
		return
	}
	c.state = Closed
	if c.timerInit {
		c.timer.Remove()
	}
	if f := c.transport.FailureReason(); f != "" {
		c.info.TransportFailure = f
	}
	c.transport.Close()
	c.w.Unregister(c.fd)
	c.w.System().Close(c.fd)
	c.in.Drain(c.in.Len())
	c.out.Drain(c.out.Len())
	c.gauges()
	if !c.flags.raised {
		c.flags.raised = true
		c.raise(e)
	}
	c.events = nil
}

// errnoText words an error of a socket as the C library does.
func errnoText(e syscall.Errno) string {
	switch e {
	case syscall.ECONNREFUSED:
		return "Connection refused"
	case syscall.ECONNRESET:
		return "Connection reset by peer"
	case syscall.ETIMEDOUT:
		return "Connection timed out"
	case syscall.EHOSTUNREACH:
		return "No route to host"
	case syscall.ENETUNREACH:
		return "Network is unreachable"
	case syscall.ENOENT:
		return "No such file or directory"
	}
	return e.Error()
}
