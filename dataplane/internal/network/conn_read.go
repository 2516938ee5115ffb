package network

import "github.com/hawser-mesh/hawser/dataplane/internal/event"

// OnReady implements event.Handler.
func (c *Conn) OnReady(r event.Ready) {
	if c.state == Connecting {
		c.finishConnect(r)
		if c.state != Open {
			return
		}
	}
	if r&event.Writable != 0 && c.flags.writeBlocked {
		c.flags.writeBlocked = false
		c.flush()
		if c.state == Closed {
			return
		}
	}
	if r&(event.PeerClosed|event.Failed) != 0 {
		c.flags.peerClosed = true
	}
	if r&(event.Readable|event.PeerClosed|event.Failed) == 0 {
		return
	}
	c.flags.readReady = true
	switch {
	case c.state == Closing:
		c.discard()
	case c.readDisabled > 0:
		// Who does not read still learns that nobody is there any more: a reset
		// always, an orderly end where half-closed connections make no sense.
		if r&event.Failed != 0 || c.flags.peerClosed && !c.flags.halfClose && c.in.Len() == 0 {
			c.closeSocket(RemoteClose)
		}
	default:
		c.read()
	}
}

// finishConnect looks how a connection attempt ended.
func (c *Conn) finishConnect(r event.Ready) {
	if r&(event.Writable|event.Failed|event.PeerClosed) == 0 {
		return
	}
	if e := c.w.System().SocketError(c.fd); e != 0 {
		c.info.TransportFailure = "delayed connect error: " + errnoText(e)
		c.closeSocket(RemoteClose)
		return
	}
	if r&event.Writable == 0 {
		return
	}
	c.state = Open
	c.info.Local = c.w.System().LocalAddress(c.fd)
	c.info.DirectLocal = c.info.Local
	c.transport.OnConnected()
	if c.state == Open && (c.out.Len() > 0 || c.flags.writeEnd) {
		c.w.Schedule(&c.flushTask)
	}
}

// read moves what the socket has into the read buffer and through the filters.
func (c *Conn) read() {
	budget := readBudget
	for c.state == Open && c.readDisabled == 0 && c.flags.readReady && !c.flags.readEnd {
		c.flags.readReady = false
		res := c.transport.Read(&c.in, min(budget, c.readLimit()))
		if c.state == Closed {
			return // a handshake failed
		}
		c.count(res.Bytes)
		budget -= res.Bytes
		if res.More || c.flags.peerClosed && res.Bytes > 0 {
			c.flags.readReady = true
		}
		if res.End {
			c.flags.readEnd = true
		}
		if res.Reset {
			c.flags.readEnd = true
			c.dispatchRest()
			c.closeSocket(RemoteClose)
			return
		}
		end := c.flags.readEnd && c.flags.halfClose
		if res.Bytes > 0 || end {
			c.chain.onData(end)
		}
		if c.state == Closed {
			return
		}
		c.gauges()
		if res.Action == CloseConnection || c.flags.readEnd && !c.flags.halfClose {
			if c.state == Closing {
				c.peerIsGone()
				return
			}
			c.closeSocket(RemoteClose)
			return
		}
		c.closeIfBothEnded()
		if budget <= 0 {
			c.w.Schedule(&c.readTask)
			return
		}
	}
}

// readLimit is how many bytes may be read ahead: the connection's limit less
// what the filters have left.
func (c *Conn) readLimit() int {
	if c.limit == 0 {
		return readBudget
	}
	return max(int(c.limit)-c.in.Len(), 1)
}

// dispatchRest gives the filters what was read before the connection broke.
func (c *Conn) dispatchRest() {
	if c.in.Len() > 0 && c.state == Open && c.flags.established {
		c.chain.onData(false)
	}
}

// resumeRead goes on after ReadDisable(false), a used-up budget, or a
// handshake step.
func (c *Conn) resumeRead() {
	if c.state == Closing {
		c.discard()
		return
	}
	if c.state != Open || c.readDisabled > 0 {
		return
	}
	if c.in.Len() > 0 && c.flags.established {
		c.chain.onData(c.flags.readEnd && c.flags.halfClose)
		if c.state != Open {
			return
		}
		c.gauges()
	}
	c.read()
}

// discard reads and forgets: the connection is closing, and unread bytes would
// turn our FIN into a RST that may overtake the response.
func (c *Conn) discard() {
	for range 16 {
		res := c.transport.Read(&c.in, readBudget)
		if c.state == Closed {
			return
		}
		c.count(res.Bytes)
		c.in.Drain(c.in.Len())
		c.gauges()
		if res.End || res.Reset || res.Action == CloseConnection {
			c.peerIsGone()
			return
		}
		if res.Bytes == 0 {
			return
		}
	}
	c.w.Schedule(&c.readTask)
}

// peerIsGone ends a closing connection: there is nobody to wait for, and who
// closed first may not read any more.
func (c *Conn) peerIsGone() {
	if c.out.Len() == 0 || c.flags.writeBlocked {
		c.closeSocket(LocalClose)
		return
	}
	c.flush()
	if c.state != Closed {
		c.closeSocket(LocalClose)
	}
}

func (c *Conn) count(n int) {
	if n == 0 {
		return
	}
	c.info.BytesReceived += uint64(n)
	if c.stats != nil {
		c.stats.RxTotal.Add(c.w.Stats(), uint64(n))
	}
}
