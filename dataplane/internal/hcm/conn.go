package hcm

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// conn is the manager of one connection: a network.ReadFilter, and what its
// codec calls.
type conn struct {
	f       *Factory
	opts    *Options
	ws      *workerState
	conn    network.Connection
	codec   stream.ServerCodec
	streams *activeStream // doubly linked
	active  int
	served  uint32
	h2      bool
	timers  connTimers
	start   time.Time
	rx, tx  uint64 // bytes that are counted already
	// closing: no new request is to come; the connection ends when the streams
	// have.
	closing  bool
	drainH2  bool // a GOAWAY announcement is on its way
	finished bool
}

// connTimers are the connection's timers; made when first used.
type connTimers struct {
	idle, duration, drain event.Timer
	init                  bool
}

// InitRead implements network.ReadFilter.
func (c *conn) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (c *conn) OnNewConnection() network.FilterStatus {
	w := c.conn.Worker()
	c.start = w.Now()
	l := w.Stats()
	c.f.count(w, statCxTotal)
	c.f.group.Gauge(statCxActive).Inc(l)
	if c.conn.Info().TLS != nil {
		c.f.count(w, statCxSslTotal)
		c.f.group.Gauge(statCxSslActive).Inc(l)
	}
	c.conn.SetDelayedCloseTimeout(c.opts.DelayedClose)
	c.timers.idle.Init(w, c.onIdle)
	c.timers.duration.Init(w, c.onDuration)
	c.timers.drain.Init(w, c.onDrainEnd)
	c.timers.init = true
	c.idle()
	if c.opts.MaxDuration > 0 {
		c.timers.duration.Reset(c.opts.MaxDuration)
	}
	if c.opts.Codec == CodecHTTP2 || c.opts.Codec == CodecAuto && c.conn.Info().NegotiatedProtocol == "h2" {
		c.newCodec(true)
	} else if c.opts.Codec == CodecHTTP1 {
		c.newCodec(false)
	}
	return network.Continue
}

func (c *conn) newCodec(http2 bool) {
	w := c.conn.Worker()
	c.h2 = http2
	if http2 {
		c.codec = h2.NewServer(c.conn, c.opts.HTTP2, c.f.codecs.H2, c)
		c.f.count(w, statCxHttp2Total)
		c.f.group.Gauge(statCxHttp2Active).Inc(w.Stats())
		return
	}
	c.codec = h1.NewServer(c.conn, c, &c.opts.HTTP1, c.f.codecs.H1)
	c.f.count(w, statCxHttp1Total)
	c.f.group.Gauge(statCxHttp1Active).Inc(w.Stats())
}

// preface begins every HTTP/2 connection (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2"

// OnData implements network.ReadFilter.
func (c *conn) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if c.codec == nil {
		front := b.Front()
		n := min(len(front), len(preface))
		if string(front[:n]) == preface[:n] && n > 0 {
			if n < len(preface) {
				if p := b.Linearize(len(preface)); p == nil || string(p) != preface {
					if b.Len() < len(preface) {
						return network.StopIteration // not decided yet
					}
				}
			}
			c.newCodec(true)
		} else {
			c.newCodec(false)
		}
	}
	if err := c.codec.Dispatch(b, end); err != nil {
		c.f.count(c.conn.Worker(), statCxProtocolError)
		b.Drain(b.Len())
		c.closing = true
		c.close(network.CloseFlushDelay, "http_protocol_error")
	}
	c.account()
	return network.StopIteration
}

// account keeps the manager's byte statistics.
func (c *conn) account() {
	i, l := c.conn.Info(), c.conn.Worker().Stats()
	if d := i.BytesReceived - c.rx; d > 0 {
		c.f.group.Counter(statCxRxBytesTotal).Add(l, d)
		c.rx += d
	}
	if d := i.BytesSent - c.tx; d > 0 {
		c.f.group.Counter(statCxTxBytesTotal).Add(l, d)
		c.tx += d
	}
}

// NewStream implements stream.ServerCallbacks.
func (c *conn) NewStream(e stream.ResponseEncoder) stream.RequestDecoder {
	s := c.ws.get()
	c.active++
	c.timers.idle.Stop()
	s.begin(c, e)
	if s.next = c.streams; s.next != nil {
		s.next.prev = s
	}
	c.streams = s
	c.served++
	if c.opts.MaxRequests > 0 && c.served >= c.opts.MaxRequests && !c.closing {
		c.f.count(c.conn.Worker(), statCxMaxRequestsReached)
		c.startDrain()
	}
	return s
}

// OnGoAway implements stream.ServerCallbacks.
func (c *conn) OnGoAway(bool) {}

// startDrain makes the connection end: HTTP/1 with the next response, HTTP/2
// with a GOAWAY that announces itself.
func (c *conn) startDrain() {
	if !c.h2 {
		c.closing = true
		return
	}
	if c.drainH2 {
		return
	}
	c.drainH2 = true
	c.codec.ShutdownNotice()
	c.timers.drain.Reset(c.opts.DrainTimeout)
}

// onDrainEnd is the end of the grace after a GOAWAY announcement.
func (c *conn) onDrainEnd() {
	if c.finished {
		return
	}
	c.codec.GoAway()
	c.closing = true
	c.maybeClose()
}

// maybeClose closes a connection that is to end and has no stream left.
func (c *conn) maybeClose() {
	if c.closing && c.active == 0 {
		c.close(network.CloseFlushDelay, "")
	}
}

func (c *conn) close(t network.CloseType, detail string) {
	if !c.finished {
		c.conn.Close(t, detail)
	}
}

func (c *conn) idle() {
	if c.opts.IdleTimeout > 0 && c.active == 0 && !c.finished {
		c.timers.idle.Reset(c.opts.IdleTimeout)
	}
}

func (c *conn) onIdle() {
	c.f.count(c.conn.Worker(), statCxIdleTimeout)
	if c.codec == nil {
		c.close(network.CloseFlush, "on_idle_timeout")
		return
	}
	if c.h2 && c.codec != nil {
		c.startDrain()
		c.onDrainEnd()
		return
	}
	c.closing = true
	c.close(network.CloseFlushDelay, "on_idle_timeout")
}

func (c *conn) onDuration() {
	c.f.count(c.conn.Worker(), statCxMaxDurationReached)
	if c.codec == nil {
		c.close(network.CloseFlushDelay, "max_connection_duration_reached")
		return
	}
	if c.active == 0 && !c.h2 {
		c.closing = true
		c.close(network.CloseFlushDelay, "max_connection_duration_reached")
		return
	}
	c.startDrain()
}

// OnEvent implements network.Events.
func (c *conn) OnEvent(e network.Event) {
	if e == network.Connected || c.finished {
		return
	}
	c.finished = true
	w := c.conn.Worker()
	l := w.Stats()
	if !c.timers.init {
		return // a handshake that failed was no connection of ours
	}
	c.timers.idle.Remove()
	c.timers.duration.Remove()
	c.timers.drain.Remove()
	c.account()
	g := c.f.group
	c.f.count(w, statCxDestroy)
	if e == network.RemoteClose {
		c.f.count(w, statCxDestroyRemote)
	} else {
		c.f.count(w, statCxDestroyLocal)
	}
	if c.active > 0 {
		c.f.count(w, statCxDestroyActiveRq)
		if e == network.RemoteClose {
			c.f.count(w, statCxDestroyRemoteActiveRq)
		} else {
			c.f.count(w, statCxDestroyLocalActiveRq)
		}
	}
	if c.conn.Info().TerminationDetails == "triggered_delayed_close_timeout" {
		c.f.count(w, statCxDelayedCloseTimeout)
	}
	g.Gauge(statCxActive).Dec(l)
	if c.conn.Info().TLS != nil {
		g.Gauge(statCxSslActive).Dec(l)
	}
	if c.codec != nil {
		if c.h2 {
			g.Gauge(statCxHttp2Active).Dec(l)
		} else {
			g.Gauge(statCxHttp1Active).Dec(l)
		}
		c.codec.OnConnectionClosed(stream.ConnectionTermination, "")
	}
	for c.streams != nil { // those that the codec no longer knows
		c.streams.onConnectionClosed()
	}
	g.Histogram(statCxLengthMs).Record(l, uint64(w.Now().Sub(c.start).Milliseconds()))
}

// OnAboveHighWatermark implements network.Events.
func (c *conn) OnAboveHighWatermark() {
	if c.codec != nil {
		c.codec.OnAboveWriteBufferHighWatermark()
	}
}

// OnBelowLowWatermark implements network.Events.
func (c *conn) OnBelowLowWatermark() {
	if c.codec != nil {
		c.codec.OnBelowWriteBufferLowWatermark()
	}
}
