package network

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
)

// CloseType says what happens to unsent bytes when a connection is closed.
type CloseType uint8

// The ways to close.
const (
	// CloseNow drops what is not sent yet.
	CloseNow CloseType = iota
	// CloseFlush sends what was written, then closes.
	CloseFlush
	// CloseFlushDelay is CloseFlush, but afterwards waits for the peer to close
	// first, at most for the delayed close timeout, and discards what it sends:
	// a response is not lost to a RST caused by unread request bytes.
	CloseFlushDelay
	// CloseReset drops what is not sent and sends RST.
	CloseReset
)

// Event is something that happened to a connection.
type Event uint8

// The events.
const (
	// Connected: an outgoing connection (with its TLS handshake) is
	// established, or a TLS server handshake is done.
	Connected Event = iota
	// RemoteClose: the peer closed or reset, or the socket failed.
	RemoteClose
	// LocalClose: Close was called and what it promised is done.
	LocalClose
)

// Events gets what happens to a connection, on its worker.
type Events interface {
	// OnEvent is called once for Connected and once for the end.
	OnEvent(e Event)
	// OnAboveHighWatermark: the write buffer has grown over the buffer limit.
	// Stop producing.
	OnAboveHighWatermark()
	// OnBelowLowWatermark: it has shrunk to half of the limit again.
	OnBelowLowWatermark()
}

// State is where a connection is in its life.
type State uint8

// The states.
const (
	Connecting State = iota
	Open
	Closing // Close was called; bytes are being flushed
	Closed
)

// Connection is an L4 connection. Its methods are called on its worker only.
type Connection interface {
	// ID is unique in the process (%CONNECTION_ID%).
	ID() uint64
	Worker() *event.Worker
	// Info is the connection's description; filters may fill it in.
	Info() *Info
	State() State

	AddEvents(e Events)
	RemoveEvents(e Events)

	// Write takes all bytes out of b and sends them after those before. end
	// shuts down the writing half afterwards (with half-close enabled) or else
	// closes the connection. Writing to a closing or closed connection discards
	// the bytes.
	Write(b *buffer.Buffer, end bool)
	// Close ends the connection; detail is %CONNECTION_TERMINATION_DETAILS% or
	// "". Events are delivered before Close returns, or after the flush.
	Close(t CloseType, detail string)

	// ReadDisable(true) stops reading from the socket, ReadDisable(false)
	// takes one of those back; it counts. The peer's close is still noticed
	// where the kernel tells.
	ReadDisable(disable bool)
	ReadEnabled() bool

	// SetBufferLimit sets the high watermark of the write buffer and how much
	// is read ahead, in bytes; 0 is no limit.
	// Source: Listener.per_connection_buffer_limit_bytes (default 1 MiB).
	SetBufferLimit(n uint32)
	BufferLimit() uint32
	AboveHighWatermark() bool
	// Buffered is the number of bytes written and not yet taken by the kernel.
	Buffered() int

	// EnableHalfClose makes the peer's end of stream an OnData with end instead
	// of a RemoteClose.
	EnableHalfClose(on bool)
	// SetDelayedCloseTimeout is the limit of CloseFlushDelay; 0 means CloseFlush.
	SetDelayedCloseTimeout(d time.Duration)
	// SetNoDelay sets TCP_NODELAY (on from the start).
	SetNoDelay(on bool)
}

// FilterStatus is what a network filter's callback returns.
type FilterStatus uint8

// The statuses of network filters.
const (
	// Continue passes on to the next filter.
	Continue FilterStatus = iota
	// StopIteration keeps the bytes where they are; no later filter sees them
	// until ReadCallbacks.ContinueReading is called or more data arrives.
	StopIteration
)

// ReadFilter sees what comes from the peer. One instance serves one
// connection.
type ReadFilter interface {
	// InitRead is called once, before anything else.
	InitRead(cb ReadCallbacks)
	// OnNewConnection is called once, before any data, after a TLS handshake.
	OnNewConnection() FilterStatus
	// OnData gets the connection's read buffer; what the filter does not drain
	// stays for the next filter (Continue) or the next call (StopIteration).
	OnData(b *buffer.Buffer, end bool) FilterStatus
}

// WriteFilter sees what is written to the peer, last filter first.
type WriteFilter interface {
	OnWrite(b *buffer.Buffer, end bool) FilterStatus
}

// ReadCallbacks is what a read filter may do.
type ReadCallbacks interface {
	Connection() Connection
	// ContinueReading goes on with the filter after the calling one.
	ContinueReading()
}

// FilterManager adds the filters of one connection, in order.
type FilterManager interface {
	Connection() Connection
	AddReadFilter(f ReadFilter)
	AddWriteFilter(f WriteFilter)
}

// FilterFactory makes one configured filter for each connection. It is built
// from configuration once, is immutable, and is called on any worker.
type FilterFactory interface {
	AddFilters(m FilterManager)
}

// Transport moves bytes between a socket and a connection's buffers: plaintext
// or TLS. One instance serves one connection, on its worker.
type Transport interface {
	// Attach is called once, before anything else.
	Attach(cb TransportCallbacks)
	// OnConnected: the TCP connection is up. Handshakes begin here.
	OnConnected()
	// Read moves bytes from the socket to the end of b, at most about limit.
	Read(b *buffer.Buffer, limit int) IOResult
	// Write moves bytes from the front of b to the socket; with end, once b is
	// empty, it sends the end of the stream (close_notify, FIN).
	Write(b *buffer.Buffer, end bool) IOResult
	// Close frees the transport; the socket is closed by the connection.
	Close()
	// Protocol is the negotiated application protocol (ALPN), or "".
	Protocol() string
	// FailureReason is %DOWNSTREAM_TRANSPORT_FAILURE_REASON%, or "".
	FailureReason() string
	// CanFlush says whether Write may be called before Close (false while a
	// handshake runs).
	CanFlush() bool
}

// IOAction is what the connection does after a transport's Read or Write.
type IOAction uint8

// The actions.
const (
	KeepOpen IOAction = iota
	// CloseConnection: the socket or the protocol on it failed.
	CloseConnection
)

// IOResult is what a transport's Read or Write did.
type IOResult struct {
	Action IOAction
	Bytes  int
	End    bool // Read: the peer's end of stream was read
	More   bool // stopped at a limit; the socket may have more (or take more)
	Reset  bool // the peer reset the connection
}

// TransportCallbacks is what a transport may do with its connection.
type TransportCallbacks interface {
	FD() int
	Worker() *event.Worker
	Connection() Connection
	// Raise reports that the handshake is done (Connected), which starts the
	// filters, or has failed (the connection then closes).
	Raise(e Event)
	// Resume schedules a Read and a flush, after a handshake step elsewhere.
	Resume()
}

// TransportFactory makes the transport of each connection. It is immutable,
// called on any worker; a secret that rotates is swapped inside.
type TransportFactory interface {
	// NewTransport returns a transport; o is nil for downstream connections.
	NewTransport(o *TransportOptions) Transport
	// Secure says whether connections are encrypted.
	Secure() bool
	// Ready says whether the secrets that it needs are there.
	Ready() bool
}

// TransportOptions are the choices of one outgoing connection.
type TransportOptions struct {
	ServerName string   // overrides the configured SNI
	VerifySAN  []string // overrides the configured subject alternative names
	ALPN       []string // overrides the configured protocols
	Fallback   []string // protocols to offer if none is configured
}
