// Package networktest has a Connection without a socket, for tests of codecs
// and filters: it records what is written and what is asked of it.
package networktest

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// Conn is a fake network.Connection.
type Conn struct {
	W            *event.Worker
	K            *sim.Kernel
	Written      []byte
	WriteEnd     bool
	ClosedWith   *network.CloseType
	Detail       string
	ReadDisabled int
	Waiting      int // what Buffered says
	Limit        uint32
	Above        bool
	info         network.Info
	events       []network.Events
}

// New returns a connection on a worker of a new simulated kernel.
func New() *Conn {
	k := sim.New(1)
	return &Conn{W: k.NewWorker(), K: k, Limit: network.DefaultBufferLimit}
}

// Clock is the worker's clock.
func (c *Conn) Clock() *clock.Fake { return c.K.Clock }

// ID implements network.Connection.
func (c *Conn) ID() uint64 { return 1 }

// Worker implements network.Connection.
func (c *Conn) Worker() *event.Worker { return c.W }

// Info implements network.Connection.
func (c *Conn) Info() *network.Info { return &c.info }

// State implements network.Connection.
func (c *Conn) State() network.State {
	if c.ClosedWith != nil {
		return network.Closed
	}
	return network.Open
}

// AddEvents implements network.Connection.
func (c *Conn) AddEvents(e network.Events) { c.events = append(c.events, e) }

// RemoveEvents implements network.Connection.
func (c *Conn) RemoveEvents(e network.Events) {
	for i, x := range c.events {
		if x == e {
			c.events = append(c.events[:i:i], c.events[i+1:]...)
			return
		}
	}
}

// Write implements network.Connection.
func (c *Conn) Write(b *buffer.Buffer, end bool) {
	if c.ClosedWith == nil {
		for p := b.Front(); p != nil; p = b.Front() {
			c.Written = append(c.Written, p...)
			b.Drain(len(p))
		}
		c.WriteEnd = c.WriteEnd || end
	}
	b.Drain(b.Len())
}

// Close implements network.Connection.
func (c *Conn) Close(t network.CloseType, detail string) {
	if c.ClosedWith != nil {
		return
	}
	c.ClosedWith, c.Detail = &t, detail
	c.Raise(network.LocalClose)
}

// Raise tells the observers of an event.
func (c *Conn) Raise(e network.Event) {
	if e != network.Connected && c.ClosedWith == nil {
		t := network.CloseNow
		c.ClosedWith = &t
	}
	for _, x := range append([]network.Events(nil), c.events...) {
		x.OnEvent(e)
	}
}

// Watermark tells the observers that the write buffer is above, or below.
func (c *Conn) Watermark(above bool) {
	c.Above = above
	for _, x := range append([]network.Events(nil), c.events...) {
		if above {
			x.OnAboveHighWatermark()
		} else {
			x.OnBelowLowWatermark()
		}
	}
}

// ReadDisable implements network.Connection.
func (c *Conn) ReadDisable(disable bool) {
	if disable {
		c.ReadDisabled++
	} else {
		c.ReadDisabled--
	}
}

// ReadEnabled implements network.Connection.
func (c *Conn) ReadEnabled() bool { return c.ReadDisabled == 0 }

// SetBufferLimit implements network.Connection.
func (c *Conn) SetBufferLimit(n uint32) { c.Limit = n }

// BufferLimit implements network.Connection.
func (c *Conn) BufferLimit() uint32 { return c.Limit }

// AboveHighWatermark implements network.Connection.
func (c *Conn) AboveHighWatermark() bool { return c.Above }

// Buffered implements network.Connection.
func (c *Conn) Buffered() int { return c.Waiting }

// EnableHalfClose implements network.Connection.
func (c *Conn) EnableHalfClose(bool) {}

// SetDelayedCloseTimeout implements network.Connection.
func (c *Conn) SetDelayedCloseTimeout(time.Duration) {}

// SetNoDelay implements network.Connection.
func (c *Conn) SetNoDelay(bool) {}
