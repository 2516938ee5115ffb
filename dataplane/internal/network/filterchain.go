package network

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
)

// filterChain runs the network filters of one connection.
type filterChain struct {
	conn  *Conn
	read  []*readEntry
	write []WriteFilter
}

// readEntry is a read filter with its place; it is the ReadCallbacks.
type readEntry struct {
	filter  ReadFilter
	chain   *filterChain
	pos     int
	started bool
}

func (f *filterChain) addRead(r ReadFilter) {
	e := &readEntry{filter: r, chain: f, pos: len(f.read)}
	f.read = append(f.read, e)
	r.InitRead(e)
}

// Connection implements ReadCallbacks.
func (e *readEntry) Connection() Connection { return e.chain.conn }

// ContinueReading implements ReadCallbacks.
func (e *readEntry) ContinueReading() { e.chain.run(e.pos+1, e.chain.conn.ended()) }

// ended says whether the filters are to see the end of stream.
func (c *Conn) ended() bool { return c.flags.readEnd && c.flags.halfClose }

// start tells the filters of the new connection.
func (f *filterChain) start() { f.run(0, false) }

// onData runs the filters over the read buffer.
func (f *filterChain) onData(end bool) { f.run(0, end) }

// run goes on from filter i: each is started first, then sees the bytes, until
// one stops.
func (f *filterChain) run(i int, end bool) {
	c := f.conn
	for ; i < len(f.read) && c.state == Open; i++ {
		e := f.read[i]
		if !e.started {
			e.started = true
			if e.filter.OnNewConnection() == StopIteration || c.state != Open {
				return
			}
		}
		if c.in.Len() > 0 || end {
			if e.filter.OnData(&c.in, end) == StopIteration {
				return
			}
		}
	}
}

// onWrite runs the write filters, last added first.
func (f *filterChain) onWrite(b *buffer.Buffer, end bool) FilterStatus {
	for i := len(f.write) - 1; i >= 0; i-- {
		if f.write[i].OnWrite(b, end) == StopIteration || f.conn.state >= Closing {
			return StopIteration
		}
	}
	return Continue
}

// transportSide is what a Conn shows its transport.
type transportSide Conn

// FD implements TransportCallbacks.
func (t *transportSide) FD() int { return t.fd }

// Worker implements TransportCallbacks.
func (t *transportSide) Worker() *event.Worker { return t.w }

// Connection implements TransportCallbacks.
func (t *transportSide) Connection() Connection { return (*Conn)(t) }

// Raise implements TransportCallbacks.
func (t *transportSide) Raise(e Event) {
	c := (*Conn)(t)
	if c.state == Closed {
		return
	}
	if e != Connected {
		c.closeSocket(e)
		return
	}
	c.flags.established = true
	if c.timerInit {
		c.timer.Stop()
	}
	c.raise(Connected)
	if c.state == Open {
		c.chain.start()
	}
}

// Resume implements TransportCallbacks.
func (t *transportSide) Resume() {
	c := (*Conn)(t)
	if c.state == Closed {
		return
	}
	c.flags.readReady = true
	c.w.Schedule(&c.flushTask)
	c.w.Schedule(&c.readTask)
}
