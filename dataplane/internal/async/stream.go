package async

import (
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// phase is where a stream is in its life.
type phase uint8

const (
	idle      phase = iota // the request has not begun
	waiting                // for a stream of the pool
	open                   // the request is being sent or answered
	backOff                // between two tries
	responded              // the response has begun; no more tries
	over
)

// Stream is one request and its response, over one or more tries. It is
// upstream.HTTPCallbacks, upstream.Context, stream.ResponseDecoder and
// stream.Callbacks.
type Stream struct {
	// Set at construction.
	c       *Client
	w       *event.Worker
	cluster upstream.Cluster
	info    *upstream.Info
	opts    Options
	cb      StreamCallbacks

	phase    phase
	headers  *header.Map
	trailers *header.Map
	pending  buffer.Buffer // to be sent when there is a stream
	kept     buffer.Buffer // a copy of the body for another try
	keep     bool          // another try is possible as far as the body goes
	reqEnd   bool
	begun    time.Time // end of the request

	// The present try.
	wait    upstream.Cancellable
	encoder stream.RequestEncoder
	host    *upstream.Host
	sent    bool // the request was sent whole

	tries uint32
	held  upstream.Resource // of the retry breaker
	total event.Timer
	try   event.Timer
	pause event.Timer
}

// Start begins a request to a cluster; nothing is sent before SendHeaders. It
// returns nil when there is no such cluster.
func (c *Client) Start(cluster string, cb StreamCallbacks, o Options) *Stream {
	u := c.clusters.Get(cluster)
	if u == nil {
		return nil
	}
	if o.BufferLimit == 0 {
		o.BufferLimit = defaultBufferLimit
	}
	s := &Stream{c: c, w: c.w, cluster: u, info: u.Info(), opts: o, cb: cb, keep: o.Retry != nil && o.Retry.Max > 0}
	s.pending.SetPool(&c.w.Buffers)
	s.kept.SetPool(&c.w.Buffers)
	s.total.Init(c.w, s.onTimeout)
	s.try.Init(c.w, s.onTryTimeout)
	s.pause.Init(c.w, s.begin)
	return s
}

// SendHeaders begins the request; h is the stream's from now on. It is called
// once.
func (s *Stream) SendHeaders(h *header.Map, end bool) {
	s.headers, s.reqEnd = h, end
	if !s.opts.External {
		h.SetIDRef(header.EnvoyInternal, "true")
	}
	if a := s.opts.LocalAddress; a != "" {
		if v := h.GetID(header.XForwardedFor); v != "" {
			a = v + "," + a
		}
		h.SetID(header.XForwardedFor, a)
	}
	if s.opts.Timeout > 0 {
		h.SetID(header.EnvoyExpectedTimeoutMs, strconv.FormatInt(s.opts.Timeout.Milliseconds(), 10))
	}
	if end {
		s.requestEnded()
	}
	s.begin()
}

// SendData sends a piece of the request's body, taking the bytes out of b.
func (s *Stream) SendData(b *buffer.Buffer, end bool) {
	if s.phase == over || s.reqEnd {
		b.Drain(b.Len())
		return
	}
	s.reqEnd = end
	if end {
		s.requestEnded()
	}
	s.remember(b)
	if s.encoder != nil {
		s.sent = end
		s.encoder.EncodeData(b, end)
		return
	}
	if s.phase == backOff { // the next try sends what is kept
		b.Drain(b.Len())
		return
	}
	b.MoveTo(&s.pending, b.Len())
}

// SendTrailers ends the request; h is the stream's.
func (s *Stream) SendTrailers(h *header.Map) {
	if s.phase == over || s.reqEnd {
		s.w.Headers.Put(h)
		return
	}
	s.reqEnd, s.trailers = true, h
	s.requestEnded()
	if s.encoder != nil {
		s.sent = true
		s.encoder.EncodeTrailers(h)
	}
}

// Reset ends the stream; its callbacks are not called afterwards.
func (s *Stream) Reset() {
	if s.phase == over {
		return
	}
	s.abandon(stream.LocalReset)
	s.close()
}

// ReadDisable stops or resumes the response; it counts. It has no effect before
// the response's headers.
func (s *Stream) ReadDisable(disable bool) {
	if s.encoder != nil {
		s.encoder.Stream().ReadDisable(disable)
	}
}

// Host is the host that was chosen last.
func (s *Stream) Host() *upstream.Host { return s.host }

func (s *Stream) count(stat int) { s.info.Stats.Counter(stat).Inc(s.w.Stats()) }

func (s *Stream) requestEnded() {
	s.begun = s.w.Now()
	if s.opts.Timeout > 0 {
		s.total.Reset(s.opts.Timeout)
	}
	s.startTry()
}

func (s *Stream) startTry() {
	if r := s.opts.Retry; r != nil && r.PerTryTimeout > 0 && s.reqEnd && s.encoder != nil {
		s.try.Reset(r.PerTryTimeout)
	}
}

// remember keeps a copy for other tries while the limit allows it.
func (s *Stream) remember(b *buffer.Buffer) {
	if !s.keep {
		return
	}
	if s.kept.Len()+b.Len() > int(s.opts.BufferLimit) {
		s.keep = false
		s.count(upstream.RetryOrShadowAbandoned)
		s.kept.Drain(s.kept.Len())
		return
	}
	duplicate(&s.kept, b)
}

// duplicate appends a copy of b's bytes to dst.
func duplicate(dst, b *buffer.Buffer) {
	for off := 0; off < b.Len(); {
		n := b.CopyTo(dst.Reserve(1), off)
		dst.Commit(n)
		off += n
	}
}

// begin starts a try.
func (s *Stream) begin() {
	if s.phase == over {
		return
	}
	if s.phase == backOff {
		duplicate(&s.pending, &s.kept)
	}
	s.phase, s.sent = waiting, false
	h := s.cluster.ChooseHost(s)
	if h == nil {
		s.count(upstream.CxNoneHealthy)
		s.fail(&Failure{Reason: stream.LocalConnectionFailure, Status: 503, Body: "no healthy upstream", Details: "no_healthy_upstream", Flags: fault.NoHealthyUpstream})
		return
	}
	s.host = h
	s.tries++
	p := s.cluster.HTTPPool(h, s.opts.Priority, stream.HTTP2, nil)
	if p == nil {
		s.count(upstream.CxPoolOverflow)
		s.onReset(stream.Overflow)
		return
	}
	if w := p.NewStream(s, s); w != nil && s.phase == waiting {
		s.wait = w
	}
}

// OnPoolReady implements upstream.HTTPCallbacks.
func (s *Stream) OnPoolReady(e stream.RequestEncoder, _ *upstream.UpstreamInfo) {
	s.wait, s.encoder, s.phase = nil, e, open
	e.Stream().AddCallbacks(s)
	end := s.reqEnd && s.pending.Len() == 0 && s.trailers == nil
	if err := e.EncodeHeaders(s.headers, end); err != nil {
		s.abandon(stream.LocalReset)
		s.fail(&Failure{Reason: stream.LocalReset, Status: 503, Details: "upstream_reset_before_response_started{" + err.Error() + "}", Flags: fault.UpstreamProtocolError})
		return
	}
	last := s.reqEnd && s.trailers == nil
	if !end && (s.pending.Len() > 0 || last) {
		e.EncodeData(&s.pending, last)
	}
	if s.encoder != nil && s.trailers != nil {
		e.EncodeTrailers(s.trailers)
	}
	s.sent = s.reqEnd
	if s.encoder != nil {
		s.startTry()
	}
}

// OnPoolFailure implements upstream.HTTPCallbacks.
func (s *Stream) OnPoolFailure(f upstream.PoolFailure, _ string, _ *upstream.Host) {
	s.wait = nil
	switch f {
	case upstream.PoolOverflow:
		s.onReset(stream.Overflow)
	case upstream.LocalConnectFailure:
		s.onReset(stream.LocalConnectionFailure)
	case upstream.ConnectTimeout:
		s.onReset(stream.ConnectionTimeout)
	default:
		s.onReset(stream.RemoteConnectionFailure)
	}
}

// OnReset implements stream.Callbacks.
func (s *Stream) OnReset(reason stream.ResetReason, _ string) {
	if s.encoder == nil {
		return
	}
	s.count(upstream.RqRxReset)
	if o := s.host.Outlier; o != nil && s.phase == open {
		o.PutLocalFailure(upstream.RemoteConnectFailure)
	}
	s.letGo()
	s.onReset(reason)
}

// OnAboveWriteBufferHighWatermark implements stream.Callbacks.
func (s *Stream) OnAboveWriteBufferHighWatermark() {
	s.count(upstream.FlowControlBackedUp)
	if w, ok := s.cb.(Watermarks); ok {
		w.OnAboveWriteBufferHighWatermark()
	}
}

// OnBelowWriteBufferLowWatermark implements stream.Callbacks.
func (s *Stream) OnBelowWriteBufferLowWatermark() {
	s.count(upstream.FlowControlDrained)
	if w, ok := s.cb.(Watermarks); ok {
		w.OnBelowWriteBufferLowWatermark()
	}
}

// letGo forgets the try's stream.
func (s *Stream) letGo() {
	s.try.Stop()
	s.pending.Drain(s.pending.Len())
	if e := s.encoder; e != nil {
		s.encoder = nil
		e.Stream().RemoveCallbacks(s)
		if r, ok := e.Stream().(stream.Releaser); ok {
			r.Release()
		}
	}
}

// abandon ends the try.
func (s *Stream) abandon(reason stream.ResetReason) {
	if w := s.wait; w != nil {
		s.wait = nil
		w.Cancel()
	}
	if e := s.encoder; e != nil {
		e.Stream().RemoveCallbacks(s)
		e.Stream().Reset(reason)
		s.count(upstream.RqTxReset)
	}
	s.letGo()
}

// close gives back what the stream holds.
func (s *Stream) close() {
	s.phase = over
	s.total.Remove()
	s.try.Remove()
	s.pause.Remove()
	s.kept.Drain(s.kept.Len())
	s.pending.Drain(s.pending.Len())
	s.releaseRetry()
	s.w.Headers.Put(s.headers)
	s.w.Headers.Put(s.trailers)
	s.headers, s.trailers = nil, nil
}

func (s *Stream) fail(f *Failure) {
	s.close()
	s.cb.OnFailure(f)
}

// Hash implements upstream.Context.
func (s *Stream) Hash() (uint64, bool) { return s.opts.Hash, s.opts.HasHash }

// MetadataMatch implements upstream.Context.
func (s *Stream) MetadataMatch() map[string]any { return s.opts.Metadata }

// Headers implements upstream.Context.
func (s *Stream) Headers() *header.Map { return s.headers }

// Downstream implements upstream.Context.
func (s *Stream) Downstream() network.Connection { return nil }

// Reject implements upstream.Context.
func (s *Stream) Reject(*upstream.Host) bool { return false }

// MaxAttempts implements upstream.Context.
func (s *Stream) MaxAttempts() int { return 1 }

// OverrideHost implements upstream.Context.
func (s *Stream) OverrideHost() (string, bool) { return s.opts.Override, s.opts.OverrideStrict }
