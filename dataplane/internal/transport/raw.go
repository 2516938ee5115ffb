// Package transport holds the transports of connections: plaintext here, TLS in
// transport/tls.
package transport

import (
	"syscall"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// RawFactory makes plaintext transports (envoy.transport_sockets.raw_buffer).
type RawFactory struct{}

// NewTransport implements network.TransportFactory.
func (RawFactory) NewTransport(*network.TransportOptions) network.Transport { return &Raw{} }

// Secure implements network.TransportFactory.
func (RawFactory) Secure() bool { return false }

// Ready implements network.TransportFactory.
func (RawFactory) Ready() bool { return true }

// Raw moves bytes as they are.
type Raw struct {
	cb network.TransportCallbacks
}

// Attach implements network.Transport.
func (r *Raw) Attach(cb network.TransportCallbacks) { r.cb = cb }

// OnConnected implements network.Transport.
func (r *Raw) OnConnected() { r.cb.Raise(network.Connected) }

// Protocol implements network.Transport.
func (r *Raw) Protocol() string { return "" }

// FailureReason implements network.Transport.
func (r *Raw) FailureReason() string { return "" }

// CanFlush implements network.Transport.
func (r *Raw) CanFlush() bool { return true }

// Close implements network.Transport.
func (r *Raw) Close() {}

// Read implements network.Transport. A read that does not fill the space it was
// given has emptied the socket: there is no second call only to hear EAGAIN.
func (r *Raw) Read(b *buffer.Buffer, limit int) network.IOResult {
	var res network.IOResult
	sys, fd := r.cb.Worker().System(), r.cb.FD()
	for res.Bytes < limit {
		space := b.Reserve(1)
		n, e := sys.Read(fd, space)
		b.Commit(n)
		switch {
		case e == syscall.EAGAIN:
			return res
		case e != 0:
			res.Action, res.Reset = network.CloseConnection, true
			return res
		case n == 0:
			res.End = true
			return res
		}
		res.Bytes += n
		if n < len(space) {
			return res
		}
	}
	res.More = true
	return res
}

// Write implements network.Transport.
func (r *Raw) Write(b *buffer.Buffer, end bool) network.IOResult {
	var res network.IOResult
	sys, fd := r.cb.Worker().System(), r.cb.FD()
	pieces := &r.cb.Worker().Pieces
	for b.Len() > 0 {
		k := b.Vectors(pieces[:])
		n, e := sys.Write(fd, pieces[:k])
		if e == syscall.EAGAIN {
			res.More = true
			return res
		}
		if e != 0 {
			res.Action = network.CloseConnection
			return res
		}
		b.Drain(n)
		res.Bytes += n
	}
	if end {
		sys.ShutdownWrite(fd)
	}
	return res
}
