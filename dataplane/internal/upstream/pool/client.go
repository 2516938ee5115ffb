package pool

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// clientState is where a connection is in its life.
type clientState uint8

const (
	connecting clientState = iota
	open
	draining // takes no more requests
	closed
)

// client is one connection of a pool. It is network.ReadFilter, network.Events
// and stream.ClientCallbacks.
type client struct {
	p        *HTTP
	conn     *network.Conn
	codec    stream.ClientCodec
	one      *h1.Client // the codec, when it is HTTP/1
	info     upstream.UpstreamInfo
	state    clientState
	active   int
	served   uint32
	max      uint32 // concurrent streams that the peer allows
	inReady  bool
	idle     event.Timer
	lifetime event.Timer
	begun    time.Time
	timedOut bool
	failure  stream.ResetReason // why the connection ends, for its streams
	requests []*request         // ended in this turn
	task     event.Task
	room     int // counted in p.connecting
}

// connect begins a new connection; false: it failed at once.
func (p *HTTP) connect() bool {
	c := &client{p: p, begun: p.cfg.Worker.Now(), failure: stream.ConnectionTermination, max: 1}
	cfg := p.cfg.Info.Config
	if p.cfg.Mode == HTTP2 {
		c.max = p.maxStreams()
	}
	c.room = int(c.max)
	p.connecting += c.room
	p.all[c] = struct{}{}
	w := p.cfg.Worker
	l := w.Stats()
	p.count(upstream.CxTotal)
	p.cfg.Info.Stats.Gauge(upstream.CxActive).Inc(l)
	p.cfg.Host.Total.Connections.Add(1)
	p.cfg.Host.Active.Connections.Add(1)
	c.idle.Init(w, c.onIdle)
	c.task.Init(c.recycle)
	c.lifetime.Init(w, c.onLifetime)
	conn, err := network.Connect(w, p.cfg.Host.Address, event.ConnectOptions{Source: cfg.SourceAddress}, network.Options{
		Transport: p.newTransport(), Stats: p.cfg.Bytes, BufferLimit: cfg.BufferLimit,
		ConnectTimeout: connectTimeout(cfg), OnTimeout: func() { c.timedOut = true },
	})
	if err != nil {
		c.gone()
		p.count(upstream.CxConnectFail)
		p.cfg.Host.Total.ConnectFail.Add(1)
		p.failAll(upstream.LocalConnectFailure, err.Error())
		p.check()
		return false
	}
	c.conn = conn
	c.info = upstream.UpstreamInfo{Connection: conn.Info(), ConnectionID: conn.ID(), Host: p.cfg.Host, Protocol: p.Protocol()}
	conn.AddEvents(c)
	conn.AddReadFilter(c)
	return true
}

func (p *HTTP) newTransport() network.Transport {
	if p.cfg.Transport == nil {
		return &transport.Raw{}
	}
	o := network.TransportOptions{}
	if p.cfg.Options != nil {
		o = *p.cfg.Options
	}
	switch p.cfg.Mode {
	case HTTP2:
		o.Fallback = []string{"h2"}
	case ByALPN:
		o.Fallback = []string{"h2", "http/1.1"}
	case HTTP1:
		o.Fallback = []string{"http/1.1"}
	}
	return p.cfg.Transport.NewTransport(&o)
}

func (p *HTTP) maxStreams() uint32 {
	n := p.opts.HTTP2.MaxConcurrentStreams
	if n == 0 {
		n = 1024
	}
	return n
}

// limit is how many streams the connection may carry now.
func (c *client) limit() int {
	n := int(c.max)
	if m := c.p.cfg.Info.Config.MaxRequestsPerConnection; m > 0 {
		n = min(n, c.active+int(m)-int(c.served))
	}
	return n
}

func (c *client) usable() bool {
	return c.state == open && c.conn.State() == network.Open && c.active < c.limit()
}

func (c *client) enterReady() {
	if !c.inReady && c.usable() {
		c.inReady = true
		c.p.ready = append(c.p.ready, c)
	}
}

func (c *client) leaveReady() {
	if !c.inReady {
		return
	}
	c.inReady = false
	r := c.p.ready
	for i := len(r) - 1; i >= 0; i-- {
		if r[i] == c {
			copy(r[i:], r[i+1:])
			r[len(r)-1] = nil
			c.p.ready = r[:len(r)-1]
			return
		}
	}
}

// InitRead implements network.ReadFilter.
func (c *client) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (c *client) OnNewConnection() network.FilterStatus { return network.Continue }

// OnData implements network.ReadFilter.
func (c *client) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if c.codec == nil {
		b.Drain(b.Len())
		c.conn.Close(network.CloseNow, "")
		return network.StopIteration
	}
	if err := c.codec.Dispatch(b, end); err != nil {
		if c.state == closed {
			return network.StopIteration
		}
		c.failure = stream.ProtocolError
		if f, ok := err.(*fault.Error); !ok || f.Kind == fault.KindProtocol { //nolint:errorlint // codecs return them unwrapped
			c.p.count(upstream.CxProtocolError)
		}
		c.conn.Close(network.CloseNow, "")
	}
	return network.StopIteration
}

// OnEvent implements network.Events.
func (c *client) OnEvent(e network.Event) {
	if e == network.Connected {
		c.onConnected()
		return
	}
	c.onClosed(e)
}

func (c *client) onConnected() {
	p := c.p
	w := p.cfg.Worker
	c.state = open
	p.connecting -= c.room
	c.room = 0
	took := w.Now().Sub(c.begun)
	c.info.ConnectTime = took
	p.cfg.Info.Stats.Histogram(upstream.CxConnectMs).Record(w.Stats(), uint64(took.Milliseconds()))
	http2 := p.cfg.Mode == HTTP2 || p.cfg.Mode == ByALPN && c.conn.Info().NegotiatedProtocol == "h2"
	if http2 {
		c.codec = h2.NewClient(c.conn, p.opts.HTTP2, p.cfg.H2, c)
		c.max = p.maxStreams()
		c.info.Protocol = stream.HTTP2
		p.count(upstream.CxHTTP2Total)
	} else {
		c.one = h1.NewClient(c.conn, c, &p.h1opts, p.cfg.H1)
		c.codec = c.one
		c.info.Protocol = stream.HTTP11
		p.count(upstream.CxHTTP1Total)
	}
	if d := p.opts.MaxDuration; d > 0 {
		c.lifetime.Reset(d)
	}
	if p.draining {
		c.state = draining
		if p.nWaiting > 0 {
			c.state = open
		}
	}
	c.enterReady()
	p.pump()
	c.info.ConnectTime = 0
	c.rest()
}

// rest starts the idle timer of a connection without requests.
func (c *client) rest() {
	if c.state == closed || c.active > 0 {
		return
	}
	if c.state == draining || c.p.draining {
		c.conn.Close(network.CloseNow, "")
		return
	}
	if d := c.p.opts.IdleTimeout; d > 0 {
		c.idle.Reset(d)
	}
}

func (c *client) onIdle() {
	if c.active == 0 && c.state != closed {
		c.p.count(upstream.CxIdleTimeout)
		c.conn.Close(network.CloseNow, "")
	}
}

func (c *client) onLifetime() {
	c.p.count(upstream.CxMaxDurationReached)
	c.drain()
}

// drain lets the connection's requests finish and closes it then.
func (c *client) drain() {
	if c.state != open {
		return
	}
	c.state = draining
	c.leaveReady()
	c.rest()
}

// OnGoAway implements stream.ClientCallbacks.
func (c *client) OnGoAway(bool) {
	c.p.count(upstream.CxCloseNotify)
	c.drain()
}

// OnMaxConcurrentStreams implements stream.ClientCallbacks.
func (c *client) OnMaxConcurrentStreams(n uint32) {
	c.max = min(n, c.p.maxStreams())
	if c.active >= c.limit() {
		c.leaveReady()
	} else {
		c.enterReady()
		c.p.pump()
	}
}

// onClosed ends the connection: its streams, its numbers, and those that
// waited for it.
func (c *client) onClosed(e network.Event) {
	if c.state == closed {
		return
	}
	p := c.p
	w := p.cfg.Worker
	was := c.state
	c.leaveReady()
	if was == connecting {
		c.gone()
		p.count(upstream.CxConnectFail)
		p.cfg.Host.Total.ConnectFail.Add(1)
		f := upstream.RemoteConnectFailure
		if c.timedOut {
			f = upstream.ConnectTimeout
			p.count(upstream.CxConnectTimeout)
		} else if e == network.LocalClose {
			f = upstream.LocalConnectFailure
		}
		if o := p.cfg.Host.Outlier; o != nil {
			o.PutLocalFailure(f)
		}
		p.failAll(f, c.conn.Info().TransportFailure)
		p.check()
		return
	}
	p.count(upstream.CxDestroy)
	local := e == network.LocalClose
	if local {
		p.count(upstream.CxDestroyLocal)
	} else {
		p.count(upstream.CxDestroyRemote)
	}
	if c.active > 0 {
		p.count(upstream.CxDestroyWithActiveRq)
		if local {
			p.count(upstream.CxDestroyLocalWithActiveRq)
		} else {
			p.count(upstream.CxDestroyRemoteWithActiveRq)
		}
	}
	p.cfg.Info.Stats.Histogram(upstream.CxLengthMs).Record(w.Stats(), uint64(w.Now().Sub(c.begun).Milliseconds()))
	c.state = draining // no request of a callback may come here
	c.codec.OnConnectionClosed(c.failure, "")
	c.gone()
	if p.nWaiting > 0 {
		p.grow()
	}
	p.check()
}

// gone takes the connection off the books.
func (c *client) gone() {
	if c.state == closed {
		return
	}
	p := c.p
	c.state = closed
	p.connecting -= c.room
	c.room = 0
	c.idle.Remove()
	c.lifetime.Remove()
	delete(p.all, c)
	p.cfg.Info.Stats.Gauge(upstream.CxActive).Dec(p.cfg.Worker.Stats())
	p.cfg.Host.Active.Connections.Add(-1)
	p.cfg.Breakers.Connections().Release()
}

// OnAboveHighWatermark implements network.Events.
func (c *client) OnAboveHighWatermark() {
	if c.codec != nil {
		c.codec.OnAboveWriteBufferHighWatermark()
	}
}

// OnBelowLowWatermark implements network.Events.
func (c *client) OnBelowLowWatermark() {
	if c.codec != nil {
		c.codec.OnBelowWriteBufferLowWatermark()
	}
}

// released makes room for another request.
func (c *client) released() {
	c.active--
	p := c.p
	if c.state == closed {
		return
	}
	maxed := p.cfg.Info.Config.MaxRequestsPerConnection
	if maxed > 0 && c.served >= maxed && c.state == open {
		p.count(upstream.CxMaxRequests)
		c.state = draining
		c.leaveReady()
	}
	if c.one != nil && c.active == 0 && c.state == open && !c.one.Reusable() {
		c.state = draining
		c.leaveReady()
	}
	if c.state == open {
		c.enterReady()
		p.pump()
	}
	c.rest()
	if c.state != open && p.nWaiting > 0 {
		p.grow()
	}
}

// request is a stream that was given away: it passes everything on and notes
// when both directions are done. It implements stream.RequestEncoder,
// stream.ResponseDecoder and stream.Callbacks.
type request struct {
	p       *HTTP
	c       *client
	next    *request
	decoder stream.ResponseDecoder
	encoder stream.RequestEncoder
	reqEnd  bool
	respEnd bool
	done    bool
}

// Stream implements stream.Encoder.
func (r *request) Stream() stream.Stream { return r.encoder.Stream() }

// EncodeHeaders implements stream.RequestEncoder.
func (r *request) EncodeHeaders(h *header.Map, end bool) error {
	r.reqEnd = end
	err := r.encoder.EncodeHeaders(h, end)
	if end {
		r.maybeDone()
	}
	return err
}

// EncodeData implements stream.Encoder.
func (r *request) EncodeData(b *buffer.Buffer, end bool) {
	r.reqEnd = r.reqEnd || end
	r.encoder.EncodeData(b, end)
	if end {
		r.maybeDone()
	}
}

// EncodeTrailers implements stream.Encoder.
func (r *request) EncodeTrailers(h *header.Map) {
	r.reqEnd = true
	r.encoder.EncodeTrailers(h)
	r.maybeDone()
}

// Decode1xx implements stream.ResponseDecoder.
func (r *request) Decode1xx(h *header.Map) { r.decoder.Decode1xx(h) }

// DecodeHeaders implements stream.ResponseDecoder.
func (r *request) DecodeHeaders(h *header.Map, end bool) {
	d := r.decoder
	if end {
		r.respEnd = true
		r.maybeDone()
	}
	d.DecodeHeaders(h, end)
}

// DecodeData implements stream.ResponseDecoder.
func (r *request) DecodeData(b *buffer.Buffer, end bool) {
	d := r.decoder
	if end {
		r.respEnd = true
		r.maybeDone()
	}
	d.DecodeData(b, end)
}

// DecodeTrailers implements stream.ResponseDecoder.
func (r *request) DecodeTrailers(h *header.Map) {
	d := r.decoder
	r.respEnd = true
	r.maybeDone()
	d.DecodeTrailers(h)
}

func (r *request) maybeDone() {
	if r.reqEnd && r.respEnd {
		r.finish()
	}
}

// OnReset implements stream.Callbacks.
func (r *request) OnReset(stream.ResetReason, string) { r.finish() }

// OnAboveWriteBufferHighWatermark implements stream.Callbacks.
func (r *request) OnAboveWriteBufferHighWatermark() {}

// OnBelowWriteBufferLowWatermark implements stream.Callbacks.
func (r *request) OnBelowWriteBufferLowWatermark() {}

// finish takes the request off the books; the client looks for more work at
// the end of the turn, when the codec has finished with this stream.
func (r *request) finish() {
	if r.done {
		return
	}
	r.done = true
	p := r.p
	p.cfg.Info.Stats.Gauge(upstream.RqActive).Dec(p.cfg.Worker.Stats())
	p.cfg.Host.Active.Requests.Add(-1)
	p.cfg.Breakers.Requests().Release()
	c := r.c
	c.freed(r)
}

// freed gives the connection back at the end of the turn.
func (c *client) freed(r *request) {
	c.requests = append(c.requests, r)
	if !c.task.Queued() {
		c.p.cfg.Worker.Schedule(&c.task)
	}
}

// recycle is the end of the turn in which requests ended.
func (c *client) recycle() {
	for i := range c.requests {
		r := c.requests[i]
		c.requests[i] = nil
		r.decoder, r.encoder, r.c = nil, nil, nil
		r.next = c.p.free
		c.p.free = r
		c.released()
	}
	c.requests = c.requests[:0]
}
