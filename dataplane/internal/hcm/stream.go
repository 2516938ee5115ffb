package hcm

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"strings"
)

// activeStream is one request and its response. It is used again for later
// streams of its worker.
type activeStream struct {
	// Set once.
	idle, request, headers, duration event.Timer
	recycle                          event.Task
	ws                               *workerState

	// Of the present stream.
	c          *conn
	encoder    stream.ResponseEncoder
	prev, next *activeStream
	manager    filter.Manager
	info       streaminfo.Info
	match      route.Match
	table      *route.Table
	routed     bool // match is filled
	hasRoute   bool
	state      streamState
	req, resp  *header.Map
	reqTrail   *header.Map
	respTrail  *header.Map
	readOff    int
	sawClose   bool // the client wants the connection closed
	built      bool
}

// streamState is how far both directions are.
type streamState struct {
	requestEnd, headersSent, responseEnd, reset, done bool
}

func (ws *workerState) get() *activeStream {
	s := ws.free
	if s == nil {
		return &activeStream{ws: ws}
	}
	ws.free, s.next = s.next, nil
	ws.nfree--
	return s
}

// begin prepares the stream for a new request.
func (s *activeStream) begin(c *conn, e stream.ResponseEncoder) {
	w := c.conn.Worker()
	if s.c == nil {
		s.idle.Init(w, s.onIdle)
		s.request.Init(w, s.onRequestTimeout)
		s.headers.Init(w, s.onHeadersTimeout)
		s.duration.Init(w, s.onDuration)
		s.recycle.Init(s.put)
	}
	s.c, s.encoder, s.prev, s.next = c, e, nil, nil
	s.state = streamState{}
	s.routed, s.hasRoute, s.sawClose, s.built, s.readOff = false, false, false, false, 0
	s.match = route.Match{}
	s.table = nil
	s.req, s.resp, s.reqTrail, s.respTrail = nil, nil, nil, nil
	s.manager.Init(s)
	i := &s.info
	i.Reset()
	i.Conn = c.conn.Info()
	i.ConnectionID = c.conn.ID()
	i.Start = w.Now()
	i.Random = w.Rand.Uint64()
	i.StreamID = i.Random
	i.Protocol, i.HasProtocol = c.codec.Protocol(), true
	l := w.Stats()
	g := c.f.group
	g.Counter(statRqTotal).Inc(l)
	g.Gauge(statRqActive).Inc(l)
	if c.h2 {
		g.Counter(statRqHttp2Total).Inc(l)
	} else {
		g.Counter(statRqHttp1Total).Inc(l)
	}
	e.Stream().AddCallbacks(s)
	if d := c.opts.RequestTimeout; d > 0 {
		s.request.Reset(d)
	}
	if d := c.opts.HeadersTimeout; d > 0 {
		s.headers.Reset(d)
	}
	if d := c.opts.MaxStream; d > 0 {
		s.duration.Reset(d)
	}
	s.touch()
}

// touch restarts the stream idle timer.
func (s *activeStream) touch() {
	if d := s.c.opts.StreamIdle; d > 0 {
		s.idle.Reset(d)
	}
}

// Worker implements filter.Host.
func (s *activeStream) Worker() *event.Worker { return s.c.conn.Worker() }

// Connection implements filter.Host.
func (s *activeStream) Connection() network.Connection { return s.c.conn }

// Info implements filter.Host.
func (s *activeStream) Info() *streaminfo.Info { return &s.info }

// BufferLimit implements filter.Host.
func (s *activeStream) BufferLimit() uint32 { return s.encoder.Stream().BufferLimit() }

// ReadDisable implements filter.Host.
func (s *activeStream) ReadDisable(disable bool) {
	if s.state.requestEnd || s.state.done {
		return
	}
	if disable {
		s.readOff++
		s.c.f.count(s.Worker(), statFlowControlPausedReadingTotal)
	} else {
		s.readOff--
		s.c.f.count(s.Worker(), statFlowControlResumedReadingTotal)
	}
	s.encoder.Stream().ReadDisable(disable)
}

// OnBufferOverflow implements filter.Host.
func (s *activeStream) OnBufferOverflow(request bool) {
	if request {
		s.c.f.count(s.Worker(), statRqTooLarge)
	} else {
		s.c.f.count(s.Worker(), statRsTooLarge)
	}
}

// Route implements filter.Host.
func (s *activeStream) Route() *route.Match {
	if !s.routed {
		s.routed = true
		s.hasRoute = false
		if s.table == nil {
			s.table = s.c.opts.Routes.Route()
		}
		if s.table != nil && s.req != nil {
			r := route.Request{Headers: s.req, Random: s.info.Random, Runtime: s.c.opts.Runtime}
			if t := s.info.Conn.TLS; t != nil {
				r.TLS, r.Presented, r.Validated = true, t.PeerPresented, t.PeerValidated
			}
			s.hasRoute = s.table.Find(&s.match, &r)
			s.describeRoute()
		}
	}
	if !s.hasRoute {
		if s.match.Host != nil {
			return &s.match
		}
		return nil
	}
	return &s.match
}

func (s *activeStream) describeRoute() {
	i := &s.info
	i.RouteName, i.VirtualHost, i.RouteMetadata, i.VirtualHostMetadata = "", "", nil, nil
	if h := s.match.Host; h != nil {
		i.VirtualHost, i.VirtualHostMetadata = h.Name, h.Metadata
	}
	if r := s.match.Route; r != nil {
		i.RouteName, i.RouteMetadata = r.Name, r.Metadata
	}
}

// ClearRoute implements filter.Host.
func (s *activeStream) ClearRoute() { s.routed = false }

// DecodeHeaders implements stream.RequestDecoder.
func (s *activeStream) DecodeHeaders(h *header.Map, end bool) {
	s.req = h
	s.info.Request = h
	s.info.Protocol = s.c.codec.Protocol()
	s.headers.Stop()
	s.state.requestEnd = end
	if end {
		s.requestDone()
	}
	s.sawClose = !s.c.h2 && wantsClose(s.info.Protocol, h)
	s.answerExpect(h)
	if !s.admit(h) {
		return
	}
	s.build()
	s.touch()
	if s.state.done {
		return
	}
	s.manager.DecodeHeaders(h, end)
}

// build creates the filters.
func (s *activeStream) build() {
	if s.built {
		return
	}
	s.built = true
	for i := range s.c.opts.Filters {
		f := &s.c.opts.Filters[i]
		if s.skips(f) {
			continue
		}
		s.manager.Build(f.Name, f.Factory)
	}
}

// skips says whether a filter is off: by itself, unless the route configures
// it, or by the route (envoy.config.route.v3.FilterConfig).
func (s *activeStream) skips(f *NamedFilter) bool {
	if !f.Disabled && !s.c.opts.switches() {
		return false // the common case needs no route yet
	}
	r := s.Route()
	if r == nil {
		return f.Disabled
	}
	c := r.FilterConfig(f.Name)
	return c == route.FilterDisabled || f.Disabled && c == nil
}

// switches says whether the route table in force turns filters off.
func (o *Options) switches() bool {
	t := o.Routes.Route()
	return t != nil && t.Switches
}

// DecodeData implements stream.RequestDecoder.
func (s *activeStream) DecodeData(b *buffer.Buffer, end bool) {
	s.info.BytesReceived += uint64(b.Len())
	s.state.requestEnd = s.state.requestEnd || end
	if end {
		s.requestDone()
	}
	s.touch()
	if s.state.done || s.state.responseEnd {
		b.Drain(b.Len())
		return
	}
	s.manager.DecodeData(b, end)
}

// DecodeTrailers implements stream.RequestDecoder.
func (s *activeStream) DecodeTrailers(h *header.Map) {
	s.reqTrail = h
	s.info.RequestTrailers = h
	s.state.requestEnd = true
	s.requestDone()
	s.touch()
	if !s.state.done && !s.state.responseEnd {
		s.manager.DecodeTrailers(h)
	}
}

// requestDone notes the end of the request.
func (s *activeStream) requestDone() {
	s.info.RequestEnd = s.Worker().Now()
	s.request.Stop()
}

// LocalReply implements stream.RequestDecoder: the codec refuses the request.
func (s *activeStream) LocalReply(status int, body, detail string) {
	s.c.closing = true
	s.info.Flags |= fault.DownstreamProtocolError
	s.state.requestEnd = true
	s.manager.SendLocalReply(filter.Reply{Status: status, Body: body, Details: detail})
}

// PrepareLocalReply implements filter.Host.
func (s *activeStream) PrepareLocalReply(h *header.Map, body string) string {
	if s.c.opts.LocalReply != nil {
		s.info.Code = statusOf(h)
		return s.c.opts.LocalReply.Rewrite(s.Worker(), &s.info, h, body)
	}
	return body
}

// answerExpect tells a client that waits for it to go on (RFC 9110 section
// 10.1.1), unless the upstream is to say so (proxy_100_continue).
func (s *activeStream) answerExpect(h *header.Map) {
	if s.c.opts.Proxy100 || !strings.EqualFold(h.GetID(header.Expect), "100-continue") {
		return
	}
	w := s.Worker()
	c := w.Headers.Get()
	c.AddIDRef(header.Status, "100")
	s.chargeCode(100)
	s.encoder.Encode1xx(c)
	w.Headers.Put(c)
	h.RemoveID(header.Expect)
}

// Encode1xxToCodec implements filter.Host.
func (s *activeStream) Encode1xxToCodec(h *header.Map) {
	if !s.c.opts.Proxy100 {
		return // no interim response goes through, not even 103
	}
	s.c.stripHopByHop(h)
	s.encoder.Encode1xx(h)
}

// EncodeHeadersToCodec implements filter.Host.
func (s *activeStream) EncodeHeadersToCodec(h *header.Map, end bool) {
	if s.state.done || s.state.headersSent {
		return
	}
	s.resp = h
	s.info.Response = h
	s.info.ResponseStart = s.Worker().Now()
	s.state.headersSent = true
	s.info.Code = statusOf(h)
	s.finishResponseHeaders(h)
	s.chargeCode(s.info.Code)
	s.touch()
	if end {
		s.beforeEnd()
	}
	s.encoder.EncodeHeaders(h, end)
	if end {
		s.responseDone()
	}
}

// EncodeDataToCodec implements filter.Host.
func (s *activeStream) EncodeDataToCodec(b *buffer.Buffer, end bool) {
	if s.state.done {
		return
	}
	s.info.BytesSent += uint64(b.Len())
	s.touch()
	if end {
		s.beforeEnd()
	}
	s.encoder.EncodeData(b, end)
	if end {
		s.responseDone()
	}
}

// EncodeTrailersToCodec implements filter.Host.
func (s *activeStream) EncodeTrailersToCodec(h *header.Map) {
	if s.state.done {
		return
	}
	s.respTrail = h
	s.info.Trailers = h
	s.beforeEnd()
	s.encoder.EncodeTrailers(h)
	s.responseDone()
}

// beforeEnd notes the end of the response before the codec, which may begin
// the next request at once, hears of it.
func (s *activeStream) beforeEnd() {
	s.info.ResponseEnd = s.Worker().Now()
	s.state.responseEnd = true
	s.encoder.Stream().RemoveCallbacks(s)
	if s.readOff > 0 && !s.c.h2 {
		for ; s.readOff > 0; s.readOff-- {
			s.encoder.Stream().ReadDisable(false)
		}
	}
}

// responseDone ends a stream whose response is complete.
func (s *activeStream) responseDone() {
	if s.state.done {
		return
	}
	if !s.state.requestEnd {
		s.c.f.count(s.Worker(), statRqResponseBeforeRqComplete)
		if s.c.h2 {
			s.encoder.Stream().Reset(stream.LocalReset)
		} else {
			s.c.closing = true
		}
	}
	s.end()
}

// ResetStream implements filter.Host.
func (s *activeStream) ResetStream(reason stream.ResetReason) {
	if s.state.done {
		return
	}
	s.state.reset = true
	s.c.f.count(s.Worker(), statRqTxReset)
	s.encoder.Stream().RemoveCallbacks(s)
	s.encoder.Stream().Reset(reason)
	s.end()
}

// OnReset implements stream.Callbacks: the client, or the codec, ended the
// stream.
func (s *activeStream) OnReset(reason stream.ResetReason, detail string) {
	if s.state.done {
		return
	}
	s.state.reset = true
	s.c.f.count(s.Worker(), statRqRxReset)
	switch reason {
	case stream.ConnectionTermination:
		s.info.Flags |= fault.DownstreamConnectionTermination
		s.info.Details = "downstream_remote_disconnect"
	case stream.ProtocolError:
		s.info.Flags |= fault.DownstreamProtocolError
		s.info.Details = detail
	default:
		s.info.Flags |= fault.DownstreamRemoteReset
		if detail != "" {
			s.info.Details = detail
		}
	}
	s.end()
}

func (s *activeStream) onConnectionClosed() { s.OnReset(stream.ConnectionTermination, "") }

// OnAboveWriteBufferHighWatermark implements stream.Callbacks.
func (s *activeStream) OnAboveWriteBufferHighWatermark() {
	if !s.state.done {
		s.manager.OnAboveWriteBufferHighWatermark()
	}
}

// OnBelowWriteBufferLowWatermark implements stream.Callbacks.
func (s *activeStream) OnBelowWriteBufferLowWatermark() {
	if !s.state.done {
		s.touch()
		s.manager.OnBelowWriteBufferLowWatermark()
	}
}

// end is the end of every stream, however it came: statistics, logs, filters.
func (s *activeStream) end() {
	if s.state.done {
		return
	}
	s.state.done = true
	c, w := s.c, s.Worker()
	l := w.Stats()
	now := w.Clock().Now()
	s.idle.Stop()
	s.request.Stop()
	s.headers.Stop()
	s.duration.Stop()
	s.info.End = now
	s.info.Downstream = *s.encoder.Stream().Meter()
	c.f.group.Gauge(statRqActive).Dec(l)
	c.f.group.Histogram(statRqTime).Record(l, uint64(now.Sub(s.info.Start).Milliseconds()))
	s.manager.Complete()
	s.info.LogType = streaminfo.DownstreamEnd
	for _, a := range c.opts.AccessLogs {
		a.Log(w, &s.info)
	}
	s.manager.Destroy()
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.streams = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	c.active--
	if r, ok := s.encoder.Stream().(stream.Releaser); ok {
		r.Release()
	}
	w.Schedule(&s.recycle)
	if !c.finished {
		c.idle()
		c.maybeClose()
	}
}

// put gives the stream and its maps back, at the end of the turn: callers
// further up may still look at it.
func (s *activeStream) put() {
	p := &s.Worker().Headers
	p.Put(s.req)
	p.Put(s.resp)
	p.Put(s.reqTrail)
	p.Put(s.respTrail)
	s.req, s.resp, s.reqTrail, s.respTrail = nil, nil, nil, nil
	s.encoder = nil
	s.info.Conn, s.info.Request, s.info.Response = nil, nil, nil
	if s.ws.nfree < maxFree {
		s.prev, s.next = nil, s.ws.free
		s.ws.free = s
		s.ws.nfree++
	}
}
