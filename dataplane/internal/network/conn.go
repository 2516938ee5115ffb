package network

import (
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

const (
	// DefaultBufferLimit is per_connection_buffer_limit_bytes unless set.
	DefaultBufferLimit = 1 << 20
	// readBudget is how many bytes one connection reads in one turn, so that a
	// fast peer does not starve the worker's other connections.
	readBudget = 256 << 10
)

// Stats are a connection's byte statistics; a nil *Stats counts nothing.
type Stats struct {
	RxTotal, TxTotal       stats.Counter
	RxBuffered, TxBuffered stats.Gauge
}

// Options describe a new connection.
type Options struct {
	Transport   Transport
	Stats       *Stats
	BufferLimit uint32 // 0: DefaultBufferLimit; NoLimit: none
	// ConnectTimeout is the limit of an outgoing connection with its
	// handshake, or of a server's handshake; 0: none.
	ConnectTimeout time.Duration
	OnTimeout      func() // called before the connection closes for that
}

// NoLimit as a buffer limit means none.
const NoLimit = ^uint32(0)

// Conn is a Connection over a socket. See the package comment for the flow of
// bytes.
type Conn struct {
	// Set at construction.
	id        uint64
	w         *event.Worker
	fd        int
	transport Transport
	stats     *Stats
	client    bool

	// Owned by the worker.
	info         Info
	state        State
	in, out      buffer.Buffer
	chain        filterChain
	events       []Events
	readDisabled int
	limit        uint32
	delay        time.Duration // delayed close timeout
	timer        event.Timer   // connect timeout, then delayed close
	timerInit    bool
	onTimeout    func()
	flushTask    event.Task
	readTask     event.Task
	lastRx       int // what the gauges hold of this connection
	lastTx       int
	flags        flags
	closing      CloseType
}

// flags are independent facts about a connection; its life is State.
type flags struct {
	aboveHigh    bool
	halfClose    bool
	writeEnd     bool // the end of stream was written
	writeEndDone bool // and has left
	writeBlocked bool // the kernel takes no more until it says so
	peerClosed   bool // the kernel reported the peer's end or a reset
	readEnd      bool // the end of stream was read
	readReady    bool // the kernel may have bytes
	established  bool // Connected was raised
	flushed      bool // Closing: everything has left, waiting for the peer
	raised       bool // the final event was raised
}

// NewServer returns an accepted connection; Start begins to serve it.
func NewServer(w *event.Worker, fd int, info Info, o Options) *Conn {
	c := newConn(w, fd, o)
	c.info = info
	c.state = Open
	return c
}

// Connect begins an outgoing connection. An error is what the system said at
// once; later failures are a RemoteClose event.
func Connect(w *event.Worker, to address.Address, so event.ConnectOptions, o Options) (*Conn, error) {
	fd, err := w.System().Connect(to, so)
	if err != nil {
		return nil, err
	}
	c := newConn(w, fd, o)
	c.client = true
	c.state = Connecting
	c.info.Remote, c.info.DirectRemote = to, to
	c.info.Start = w.Now()
	if err := w.Register(fd, c); err != nil {
		w.System().Close(fd)
		return nil, err
	}
	c.startTimeout(o)
	return c, nil
}

func newConn(w *event.Worker, fd int, o Options) *Conn {
	c := &Conn{id: w.NextConnectionID(), w: w, fd: fd, transport: o.Transport, stats: o.Stats, limit: o.BufferLimit}
	switch c.limit {
	case 0:
		c.limit = DefaultBufferLimit
	case NoLimit:
		c.limit = 0
	}
	c.in.SetPool(&w.Buffers)
	c.out.SetPool(&w.Buffers)
	c.chain.conn = c
	c.flushTask.Init(c.flush)
	c.readTask.Init(c.resumeRead)
	c.transport.Attach((*transportSide)(c))
	return c
}

// Start registers an accepted connection with the worker; its filters have
// been added before.
func (c *Conn) Start(o Options) error {
	if err := c.w.Register(c.fd, c); err != nil {
		c.closeSocket(LocalClose)
		return err
	}
	c.startTimeout(o)
	c.transport.OnConnected()
	return nil // bytes that came before are reported as the first edge
}

func (c *Conn) startTimeout(o Options) {
	if o.ConnectTimeout <= 0 {
		return
	}
	c.onTimeout = o.OnTimeout
	c.initTimer()
	c.timer.Reset(o.ConnectTimeout)
}

func (c *Conn) initTimer() {
	if !c.timerInit {
		c.timerInit = true
		c.timer.Init(c.w, c.onTimer)
	}
}

// onTimer is the end of the connect timeout or of the delayed close.
func (c *Conn) onTimer() {
	if c.state == Closed {
		return
	}
	if c.state == Closing {
		if c.info.TerminationDetails == "" {
			c.info.TerminationDetails = "triggered_delayed_close_timeout"
		}
		c.closeSocket(LocalClose)
		return
	}
	if !c.flags.established {
		if c.onTimeout != nil {
			c.onTimeout()
		}
		if c.state != Closed {
			c.info.TerminationDetails = "transport socket timeout was reached"
			c.closeSocket(LocalClose)
		}
	}
}

// ID implements Connection.
func (c *Conn) ID() uint64 { return c.id }

// Worker implements Connection.
func (c *Conn) Worker() *event.Worker { return c.w }

// Info implements Connection.
func (c *Conn) Info() *Info { return &c.info }

// State implements Connection.
func (c *Conn) State() State { return c.state }

// FD returns the socket; it is the connection's to close.
func (c *Conn) FD() int { return c.fd }

// Established says whether Connected was raised: the TCP connection and its
// handshake are done.
func (c *Conn) Established() bool { return c.flags.established }

// AddEvents implements Connection.
func (c *Conn) AddEvents(e Events) { c.events = append(c.events, e) }

// RemoveEvents implements Connection.
func (c *Conn) RemoveEvents(e Events) {
	for i, x := range c.events {
		if x == e {
			c.events[i] = nil
		}
	}
}

// Connection returns the connection itself (FilterManager).
func (c *Conn) Connection() Connection { return c }

// AddReadFilter implements FilterManager.
func (c *Conn) AddReadFilter(f ReadFilter) { c.chain.addRead(f) }

// AddWriteFilter implements FilterManager.
func (c *Conn) AddWriteFilter(f WriteFilter) { c.chain.write = append(c.chain.write, f) }

// SetBufferLimit implements Connection.
func (c *Conn) SetBufferLimit(n uint32) { c.limit = n }

// BufferLimit implements Connection.
func (c *Conn) BufferLimit() uint32 { return c.limit }

// AboveHighWatermark implements Connection.
func (c *Conn) AboveHighWatermark() bool { return c.flags.aboveHigh }

// Buffered implements Connection.
func (c *Conn) Buffered() int { return c.out.Len() }

// EnableHalfClose implements Connection.
func (c *Conn) EnableHalfClose(on bool) { c.flags.halfClose = on }

// SetDelayedCloseTimeout implements Connection.
func (c *Conn) SetDelayedCloseTimeout(d time.Duration) { c.delay = d }

// SetNoDelay implements Connection.
func (c *Conn) SetNoDelay(on bool) {
	value := []byte{0, 0, 0, 0}
	if on {
		value[0] = 1
	}
	_ = c.w.System().SetOption(c.fd, event.SocketOption{Level: syscall.IPPROTO_TCP, Name: syscall.TCP_NODELAY, Value: value})
}

// ReadEnabled implements Connection.
func (c *Conn) ReadEnabled() bool { return c.readDisabled == 0 }

// ReadDisable implements Connection.
func (c *Conn) ReadDisable(disable bool) {
	if disable {
		c.readDisabled++
		return
	}
	c.readDisabled--
	if c.readDisabled == 0 && c.state == Open && (c.flags.readReady || c.in.Len() > 0 || c.flags.readEnd) {
		c.w.Schedule(&c.readTask)
	}
}

// OnPanic implements event.Breaker: a panic in a filter ends its connection.
func (c *Conn) OnPanic() {
	if c.state != Closed {
		c.info.TerminationDetails = "panic"
		c.closeSocket(LocalClose)
	}
}

// raise tells the observers; they may remove themselves or close meanwhile.
func (c *Conn) raise(e Event) {
	for i := 0; i < len(c.events); i++ {
		if x := c.events[i]; x != nil {
			x.OnEvent(e)
		}
		if e == Connected && c.state == Closed {
			return
		}
	}
}

// gauges brings the buffered-bytes gauges to the present lengths.
func (c *Conn) gauges() {
	if c.stats == nil {
		return
	}
	l := c.w.Stats()
	if d := c.in.Len() - c.lastRx; d != 0 {
		c.stats.RxBuffered.Add(l, int64(d))
		c.lastRx += d
	}
	if d := c.out.Len() - c.lastTx; d != 0 {
		c.stats.TxBuffered.Add(l, int64(d))
		c.lastTx += d
	}
}
