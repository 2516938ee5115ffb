package router

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// upstreamRequest is one try: a stream to a host, waited for or open. It is
// stream.ResponseDecoder, stream.Callbacks and upstream.HTTPCallbacks.
type upstreamRequest struct {
	r       *Router
	waiting upstream.Cancellable
	encoder stream.RequestEncoder
	host    *upstream.Host
	pending buffer.Buffer // request data that came before the stream
	ended   bool          // the request was sent whole
	above   bool          // the downstream's reading is disabled because of us
	paused  int
	headers *header.Map // response headers; given back with the stream
}

// begin asks the pool for a stream.
func (u *upstreamRequest) begin(p upstream.HTTPPool) {
	u.encoder, u.host, u.ended, u.above, u.paused = nil, p.Host(), false, false, 0
	u.waiting = p.NewStream(u, u)
}

// OnPoolReady implements upstream.HTTPCallbacks.
func (u *upstreamRequest) OnPoolReady(e stream.RequestEncoder, i *upstream.UpstreamInfo) {
	r := u.r
	u.waiting, u.encoder, u.host = nil, e, i.Host
	e.Stream().AddCallbacks(u)
	d := &r.cb.Info().Upstream
	d.Host, d.Conn, d.ConnectionID, d.Protocol, d.HasProtocol = i.Host, i.Connection, i.ConnectionID, i.Protocol, true
	d.TransportFailure = ""
	d.Attempted = append(d.Attempted, i.Host)
	d.AttemptedIDs = append(d.AttemptedIDs, i.ConnectionID)
	now := r.w.Now()
	d.RequestStart, d.PoolReady = now, i.ConnectTime
	end := r.reqEnd && u.pending.Len() == 0 && r.body.Len() == 0 && r.trailers == nil
	if err := e.EncodeHeaders(r.h, end); err != nil {
		u.reset(stream.LocalReset)
		r.fail(503, "", "upstream_reset_before_response_started{"+err.Error()+"}", fault.UpstreamProtocolError, false)
		return
	}
	if end {
		u.sent()
	} else {
		u.sendPending()
	}
	if r.reqEnd && r.live {
		u.startTryTimers()
	}
}

// sendPending sends what waited for the stream.
func (u *upstreamRequest) sendPending() {
	r := u.r
	if u.encoder == nil {
		return
	}
	end := r.reqEnd && r.trailers == nil
	if u.pending.Len() > 0 || end {
		u.encoder.EncodeData(&u.pending, end)
	}
	if r.reqEnd && r.trailers != nil && u.encoder != nil {
		u.encoder.EncodeTrailers(r.trailers)
	}
	if r.reqEnd {
		u.sent()
	}
	u.relax()
}

// sent notes that the whole request is on its way.
func (u *upstreamRequest) sent() {
	u.ended = true
	if u.r.cb != nil {
		u.r.cb.Info().Upstream.RequestEnd = u.r.w.Now()
	}
}

// data passes request data on, or keeps it until there is a stream.
func (u *upstreamRequest) data(b *buffer.Buffer, end bool) {
	if u.encoder != nil {
		u.encoder.EncodeData(b, end)
		if end && u.r.live {
			u.sent()
		}
		return
	}
	b.MoveTo(&u.pending, b.Len())
	if limit := u.r.cb.BufferLimit(); limit > 0 && u.pending.Len() > int(limit) && !u.above {
		u.above = true
		u.r.cb.ReadDisable(true)
	}
}

// relax resumes the downstream when nothing waits any more.
func (u *upstreamRequest) relax() {
	if u.above && u.r.cb != nil {
		u.above = false
		u.r.cb.ReadDisable(false)
	}
}

func (u *upstreamRequest) sendTrailers(h *header.Map) {
	if u.encoder != nil {
		u.encoder.EncodeTrailers(h)
		u.sent()
	}
}

// OnPoolFailure implements upstream.HTTPCallbacks.
func (u *upstreamRequest) OnPoolFailure(f upstream.PoolFailure, detail string, h *upstream.Host) {
	u.waiting = nil
	r := u.r
	if h != nil {
		d := &r.cb.Info().Upstream
		d.Host = h
		d.Attempted = append(d.Attempted, h)
	}
	reason := stream.RemoteConnectionFailure
	switch f {
	case upstream.PoolOverflow:
		reason = stream.Overflow
	case upstream.LocalConnectFailure:
		reason = stream.LocalConnectionFailure
	case upstream.ConnectTimeout:
		reason = stream.ConnectionTimeout
	}
	u.finish()
	r.onUpstreamReset(reason, detail, h)
}

// finish lets the stream go; the try is over.
func (u *upstreamRequest) finish() {
	r := u.r
	r.live = false
	r.tryTmr.Stop()
	r.idleTmr.Stop()
	u.pending.Drain(u.pending.Len())
	if u.encoder != nil {
		s := u.encoder.Stream()
		s.RemoveCallbacks(u)
		if r.cb != nil {
			m := &r.cb.Info().UpstreamMeter
			*m = *s.Meter()
		}
		if rel, ok := s.(stream.Releaser); ok {
			rel.Release()
		}
		u.encoder = nil
	}
	u.relax()
}

// reset gives the try up.
func (u *upstreamRequest) reset(reason stream.ResetReason) {
	if u.waiting != nil {
		u.waiting.Cancel()
		u.waiting = nil
	}
	if e := u.encoder; e != nil {
		e.Stream().RemoveCallbacks(u)
		for ; u.paused > 0; u.paused-- {
			e.Stream().ReadDisable(false)
		}
		e.Stream().Reset(reason)
		u.r.info.Stats.Counter(upstream.RqTxReset).Inc(u.r.w.Stats())
	}
	u.finish()
}

// OnReset implements stream.Callbacks.
func (u *upstreamRequest) OnReset(reason stream.ResetReason, detail string) {
	r := u.r
	if !r.live {
		return
	}
	r.charge(upstream.RqRxReset)
	host := u.host
	if host != nil && !r.responded && host.Outlier != nil {
		host.Outlier.PutLocalFailure(upstream.RemoteConnectFailure)
	}
	u.finish()
	r.onUpstreamReset(reason, "", host)
	_ = detail
}

// OnAboveWriteBufferHighWatermark implements stream.Callbacks: the upstream
// does not take the request.
func (u *upstreamRequest) OnAboveWriteBufferHighWatermark() {
	u.r.charge(upstream.FlowControlBackedUp)
	u.r.cb.ReadDisable(true)
}

// OnBelowWriteBufferLowWatermark implements stream.Callbacks.
func (u *upstreamRequest) OnBelowWriteBufferLowWatermark() {
	u.r.charge(upstream.FlowControlDrained)
	u.r.cb.ReadDisable(false)
}

// Decode1xx implements stream.ResponseDecoder.
func (u *upstreamRequest) Decode1xx(h *header.Map) {
	r := u.r
	if r.live && !r.responded {
		r.retry.giveUp() // the client has seen something of this try
		r.cb.Encode1xx(h)
	}
	r.w.Headers.Put(h)
}

// DecodeHeaders implements stream.ResponseDecoder.
func (u *upstreamRequest) DecodeHeaders(h *header.Map, end bool) {
	r := u.r
	if !r.live {
		r.w.Headers.Put(h)
		return
	}
	status, _ := strconv.Atoi(h.GetID(header.Status))
	d := &r.cb.Info().Upstream
	now := r.w.Now()
	d.ResponseStart = now
	r.respStart = now
	if end {
		d.ResponseEnd = now
	}
	if o := u.host.Outlier; o != nil {
		o.PutStatus(status)
	}
	if status >= 500 {
		u.host.Total.Errors.Add(1)
	} else {
		u.host.Total.Success.Add(1)
	}
	if u.host.OnImmediateFail != nil && h.HasID(header.EnvoyImmediateHealthCheckFail) {
		u.host.OnImmediateFail()
	}
	if r.considerRetry(status, h, end) {
		r.w.Headers.Put(h)
		return
	}
	r.responseHeaders(h, status, end)
}

// DecodeData implements stream.ResponseDecoder.
func (u *upstreamRequest) DecodeData(b *buffer.Buffer, end bool) {
	r := u.r
	if !r.live {
		b.Drain(b.Len())
		return
	}
	if r.timeouts.tryIdle > 0 {
		r.idleTmr.Reset(r.timeouts.tryIdle)
	}
	if end {
		r.cb.Info().Upstream.ResponseEnd = r.w.Now()
		r.upstreamComplete()
	}
	r.cb.EncodeData(b, end)
}

// DecodeTrailers implements stream.ResponseDecoder.
func (u *upstreamRequest) DecodeTrailers(h *header.Map) {
	r := u.r
	if !r.live {
		r.w.Headers.Put(h)
		return
	}
	r.cb.Info().Upstream.ResponseEnd = r.w.Now()
	r.upstreamComplete()
	r.cb.EncodeTrailers(h)
}

// responseHeaders passes the response on.
func (r *Router) responseHeaders(h *header.Map, status int, end bool) {
	r.responded = true
	info := r.cb.Info()
	r.info.Codes.Charge(r.w.Stats(), status, r.internal, h.GetID(header.EnvoyUpstreamCanary) == "true")
	r.chargeVirtualCluster(status)
	if r.attempts > 1 && status < 500 {
		r.charge(upstream.RqRetrySuccess)
	}
	info.Details = "via_upstream"
	if !r.f.cfg.SuppressEnvoyHeaders {
		var b [20]byte
		ms := r.respStart.Sub(info.RequestEndOrStart()).Milliseconds()
		h.SetID(header.EnvoyUpstreamServiceTime, string(strconv.AppendInt(b[:0], ms, 10)))
	}
	if r.match.Host.AttemptCountInResponse {
		h.SetID(header.EnvoyAttemptCount, strconv.Itoa(int(r.attempts)))
	}
	info.Response = h
	info.Code = status
	r.match.MutateResponse(h, info)
	if status == 101 {
		r.timer.Stop() // an upgraded stream has no response timeout
	}
	if end {
		r.upstreamComplete()
	}
	r.cb.EncodeHeaders(h, end)
}

// chargeVirtualCluster counts the response for the virtual cluster that the
// request matches.
func (r *Router) chargeVirtualCluster(int) {}

// upstreamComplete ends the try: the response is whole.
func (r *Router) upstreamComplete() {
	r.timer.Stop()
	info := r.cb.Info()
	l := r.w.Stats()
	ms := uint64(max(0, r.w.Clock().Now().Sub(info.RequestEndOrStart()).Milliseconds()))
	r.info.Stats.Histogram(upstream.RqTime).Record(l, ms)
	u := &r.up
	if !u.ended && u.encoder != nil {
		// The response came before the request was whole: the rest is of no use.
		s := u.encoder.Stream()
		s.RemoveCallbacks(u)
		m := *s.Meter()
		s.Reset(stream.LocalReset)
		info.UpstreamMeter = m
		u.encoder = nil
		r.charge(upstream.RqTxReset)
	}
	r.logUpstream()
	u.finish()
}

func (r *Router) logUpstream() {
	if len(r.f.cfg.UpstreamLogs) == 0 {
		return
	}
	info := r.cb.Info()
	info.LogType = streaminfo.UpstreamEnd
	for _, l := range r.f.cfg.UpstreamLogs {
		l.Log(r.w, info)
	}
}

// resetFlag is the response flag of an upstream reset.
func resetFlag(reason stream.ResetReason) fault.Flag {
	switch reason {
	case stream.LocalConnectionFailure, stream.RemoteConnectionFailure, stream.ConnectionTimeout:
		return fault.UpstreamConnectionFailure
	case stream.ConnectionTermination:
		return fault.UpstreamConnectionTermination
	case stream.LocalReset, stream.LocalRefused, stream.HTTP1PrematureResponse:
		return fault.LocalReset
	case stream.Overflow:
		return fault.UpstreamOverflow
	case stream.RemoteReset, stream.RemoteRefused, stream.ConnectError:
		return fault.UpstreamRemoteReset
	case stream.ProtocolError:
		return fault.UpstreamProtocolError
	case stream.OverloadManager:
		return fault.OverloadManager
	}
	return 0
}

// onUpstreamReset deals with a try that ended without a whole response.
func (r *Router) onUpstreamReset(reason stream.ResetReason, transportFailure string, host *upstream.Host) {
	if r.destroyed || r.cb == nil {
		return
	}
	info := r.cb.Info()
	if transportFailure != "" {
		info.Upstream.TransportFailure = transportFailure
	}
	r.logUpstream()
	if r.responded {
		info.Flags |= resetFlag(reason)
		info.Details = "upstream_reset_after_response_started{" + reason.String() + "}"
		r.count(statRqResetAfterResponseStarted)
		r.stopTimers()
		r.cb.ResetStream(downstreamReason(reason))
		return
	}
	if r.considerResetRetry(reason) {
		return
	}
	if host != nil && reason != stream.Overflow {
		host.Total.Errors.Add(1)
	}
	detail := reason.String()
	if transportFailure != "" {
		detail += "|" + transportFailure
	}
	body := "upstream connect error or disconnect/reset before headers. "
	if r.attempts > 1 {
		body += "retried and the latest "
	}
	body += "reset reason: " + reason.String()
	status := 503
	if reason == stream.ProtocolError {
		status = 502
	}
	r.fail(status, body, "upstream_reset_before_response_started{"+detail+"}", resetFlag(reason), reason == stream.Overflow)
}

// downstreamReason is how an upstream's reset is passed on.
func downstreamReason(reason stream.ResetReason) stream.ResetReason {
	if reason == stream.ConnectError {
		return reason
	}
	return stream.LocalReset
}

// lbContext is what the balancer may ask the router.
type lbContext Router

// Hash implements upstream.Context.
func (c *lbContext) Hash() (uint64, bool) { return 0, false }

// MetadataMatch implements upstream.Context.
func (c *lbContext) MetadataMatch() map[string]any { return nil }

// Headers implements upstream.Context.
func (c *lbContext) Headers() *header.Map { return c.h }

// Reject implements upstream.Context.
func (c *lbContext) Reject(h *upstream.Host) bool {
	if c.retry.policy == nil || !c.retry.policy.PreviousHosts {
		return false
	}
	for _, t := range c.tried {
		if t == h {
			return true
		}
	}
	return false
}

// MaxAttempts implements upstream.Context.
func (c *lbContext) MaxAttempts() int {
	if c.retry.policy == nil {
		return 1
	}
	return max(1, c.retry.policy.MaxHostAttempts)
}

// OverrideHost implements upstream.Context.
func (c *lbContext) OverrideHost() (string, bool) { return "", false }

// trimSpace is strings.TrimSpace for header lists.
func trimSpace(s string) string { return strings.Trim(s, " \t") }
