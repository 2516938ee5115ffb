package event

import (
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Ready is a set of readiness bits. Readiness is edge-triggered: a handler
// that stops before the socket would block must go on by itself (a Task).
type Ready uint8

// The readiness bits.
const (
	Readable Ready = 1 << iota
	Writable
	PeerClosed // the peer has shut down its writing half, or reset
	Failed     // the socket has an error; System.SocketError tells which
)

// Handler gets the readiness of one socket.
type Handler interface {
	OnReady(r Ready)
}

// Event is what a Poller reports: Token is the one given to Add.
type Event struct {
	Token uint64
	Ready Ready
}

// Poller waits for the readiness of sockets, edge-triggered.
type Poller interface {
	// Add registers a socket for all readiness bits.
	Add(fd int, token uint64) error
	// Remove forgets a socket; it is called before the socket is closed.
	Remove(fd int) error
	// Wait fills events and returns their number. It returns at once when
	// timeout is 0, waits without limit when it is negative, and returns early
	// (perhaps with 0) after Wake.
	Wait(events []Event, timeout time.Duration) int
	// Wake makes a Wait that runs, or else the next one, return. Any goroutine
	// may call it.
	Wake()
	// Close frees the poller.
	Close() error
}

// SocketOption is a raw setsockopt; Value holds the bytes of the argument.
type SocketOption struct {
	Level, Name int
	Value       []byte
}

// ListenOptions describes a listening socket.
type ListenOptions struct {
	Backlog     int
	ReusePort   bool
	Transparent bool
	FreeBind    bool
	Mode        uint32 // of a unix socket's file; 0 leaves it
	Options     []SocketOption
}

// ConnectOptions describes an outgoing socket.
type ConnectOptions struct {
	Source  address.Address // zero: the kernel chooses
	Options []SocketOption
}

// System is the operating system's sockets as the proxy uses them: all calls
// are non-blocking; errors are errno values (EAGAIN: would block). The real
// one does system calls, the simulated one moves bytes in memory.
type System interface {
	// Read fills p; 0 bytes without an error is the end of the stream.
	Read(fd int, p []byte) (int, syscall.Errno)
	// Peek is Read without taking the bytes.
	Peek(fd int, p []byte) (int, syscall.Errno)
	// Write writes the pieces in order and returns how many bytes it took.
	Write(fd int, pieces [][]byte) (int, syscall.Errno)
	// Accept takes one connection of a listening socket.
	Accept(fd int) (nfd int, peer address.Address, err syscall.Errno)
	// Listen opens a listening socket.
	Listen(a address.Address, o ListenOptions) (fd int, err error)
	// Connect starts to connect; EINPROGRESS is no error. Writable or Failed
	// readiness says how it ended.
	Connect(a address.Address, o ConnectOptions) (fd int, err error)
	// SocketError returns and clears the pending error of a socket.
	SocketError(fd int) syscall.Errno
	// ShutdownWrite sends the end of the stream.
	ShutdownWrite(fd int) syscall.Errno
	// Reset makes a following Close send RST instead of FIN.
	Reset(fd int)
	// Close closes the socket.
	Close(fd int)
	// LocalAddress returns the socket's own address.
	LocalAddress(fd int) address.Address
	// SetOption sets a socket option.
	SetOption(fd int, o SocketOption) error
	// Option reads a socket option into value and returns its length.
	Option(fd, level, name int, value []byte) (int, error)
}
