package async

import (
	"slices"
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// Decode1xx implements stream.ResponseDecoder; interim responses mean nothing
// to a callout.
func (s *Stream) Decode1xx(h *header.Map) { s.w.Headers.Put(h) }

// DecodeHeaders implements stream.ResponseDecoder.
func (s *Stream) DecodeHeaders(h *header.Map, end bool) {
	if s.encoder == nil {
		s.w.Headers.Put(h)
		return
	}
	status, _ := strconv.Atoi(h.GetID(header.Status))
	if o := s.host.Outlier; o != nil {
		o.PutStatus(status)
	}
	if status >= 500 {
		s.host.Total.Errors.Add(1)
	} else {
		s.host.Total.Success.Add(1)
	}
	if r := s.opts.Retry; r != nil && r.wantsStatus(status) && s.allowRetry() {
		s.w.Headers.Put(h)
		s.info.Codes.ChargeRetry(s.w.Stats(), status)
		if end {
			s.letGo()
		} else {
			s.abandon(stream.LocalReset)
		}
		s.retry()
		return
	}
	s.phase = responded
	s.try.Stop()
	s.info.Codes.Charge(s.w.Stats(), status, !s.opts.External, h.GetID(header.EnvoyUpstreamCanary) == "true")
	if s.tries > 1 && status < 500 {
		s.count(upstream.RqRetrySuccess)
	}
	if end {
		s.complete()
	}
	s.cb.OnHeaders(h, end)
}

// DecodeData implements stream.ResponseDecoder.
func (s *Stream) DecodeData(b *buffer.Buffer, end bool) {
	if s.encoder != nil {
		if end {
			s.complete()
		}
		s.cb.OnData(b, end)
	}
	b.Drain(b.Len())
}

// DecodeTrailers implements stream.ResponseDecoder.
func (s *Stream) DecodeTrailers(h *header.Map) {
	if s.encoder == nil {
		s.w.Headers.Put(h)
		return
	}
	s.complete()
	s.cb.OnTrailers(h)
}

// complete ends the stream: the response is whole.
func (s *Stream) complete() {
	from := s.begun
	if from.IsZero() {
		from = s.w.Now()
	}
	s.info.Stats.Histogram(upstream.RqTime).Record(s.w.Stats(), uint64(max(0, s.w.Clock().Now().Sub(from).Milliseconds())))
	if s.sent {
		s.letGo()
	} else {
		s.abandon(stream.LocalReset) // the rest of the request is of no use
	}
	s.close()
}

func (r *Retry) wantsStatus(status int) bool {
	return r.On5xx && status >= 500 || r.GatewayError && status >= 502 && status <= 504 || slices.Contains(r.Statuses, status)
}

func (r *Retry) wantsReset(reason stream.ResetReason) bool {
	switch reason {
	case stream.Overflow:
		return false
	case stream.LocalConnectionFailure, stream.RemoteConnectionFailure, stream.ConnectionTimeout:
		return r.ConnectFailure || r.Reset || r.On5xx || r.GatewayError
	}
	return r.Reset || r.On5xx || r.GatewayError
}

// allowRetry checks how often, and whether the cluster's breaker lets us.
func (s *Stream) allowRetry() bool {
	s.releaseRetry()
	if !s.keep || s.phase == responded {
		return false
	}
	if s.tries > s.opts.Retry.Max {
		s.count(upstream.RqRetryLimitExceeded)
		return false
	}
	held := s.cluster.Breakers(s.opts.Priority).Retries()
	if !held.TryAcquire() {
		s.count(upstream.RqRetryOverflow)
		return false
	}
	s.held = held
	s.count(upstream.RqRetry)
	return true
}

func (s *Stream) releaseRetry() {
	if s.held != nil {
		s.held.Release()
		s.held = nil
	}
}

// retry waits for the back-off: random below base·(2^n − 1), at most the limit.
func (s *Stream) retry() {
	s.count(upstream.RqRetryBackoffExponential)
	s.phase = backOff
	r := s.opts.Retry
	base, limit := r.Base, r.Limit
	if base <= 0 {
		base = 25 * time.Millisecond
	}
	if limit <= 0 {
		limit = 10 * base
	}
	ceiling := limit
	if s.tries < 20 {
		ceiling = min(base*time.Duration(1<<s.tries-1), limit)
	}
	s.pause.Reset(time.Duration(s.w.Rand.Int64N(int64(max(ceiling, 1)))))
}

// onReset deals with a try that ended without a whole response.
func (s *Stream) onReset(reason stream.ResetReason) {
	if s.phase == over {
		return
	}
	if s.phase == responded {
		s.fail(&Failure{Reason: reason, Details: "upstream_reset_after_response_started{" + reason.String() + "}", Flags: flagOf(reason)})
		return
	}
	s.pending.Drain(s.pending.Len())
	if r := s.opts.Retry; r != nil && r.wantsReset(reason) && s.allowRetry() {
		s.retry()
		return
	}
	if s.host != nil && reason != stream.Overflow {
		s.host.Total.Errors.Add(1)
	}
	f := &Failure{
		Reason: reason, Status: 503, Flags: flagOf(reason),
		Body:    "upstream connect error or disconnect/reset before headers. reset reason: " + reason.String(),
		Details: "upstream_reset_before_response_started{" + reason.String() + "}",
	}
	if s.tries > 1 {
		f.Body = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: " + reason.String()
	}
	if reason == stream.ProtocolError {
		f.Status = 502
	}
	s.fail(f)
}

// onTimeout is the end of Options.Timeout.
func (s *Stream) onTimeout() {
	if s.phase == over {
		return
	}
	s.count(upstream.RqTimeout)
	if s.host != nil {
		s.host.Total.Timeouts.Add(1)
	}
	f := &Failure{Reason: stream.LocalReset, Timeout: true, Flags: fault.UpstreamRequestTimeout, Details: "response_timeout"}
	if s.phase != responded {
		f.Status, f.Body = 504, "upstream request timeout"
		if s.host != nil && s.host.Outlier != nil {
			s.host.Outlier.PutLocalFailure(upstream.ConnectTimeout)
		}
	}
	s.abandon(stream.LocalReset)
	s.fail(f)
}

// onTryTimeout is the end of Retry.PerTryTimeout.
func (s *Stream) onTryTimeout() {
	if s.phase != open {
		return
	}
	s.count(upstream.RqPerTryTimeout)
	s.abandon(stream.LocalReset)
	if r := s.opts.Retry; (r.Reset || r.On5xx || r.GatewayError) && s.allowRetry() {
		s.retry()
		return
	}
	s.fail(&Failure{Reason: stream.LocalReset, Timeout: true, Status: 504, Body: "upstream request timeout", Details: "upstream_per_try_timeout", Flags: fault.UpstreamRequestTimeout})
}

func flagOf(reason stream.ResetReason) fault.Flag {
	switch reason {
	case stream.LocalConnectionFailure, stream.RemoteConnectionFailure, stream.ConnectionTimeout:
		return fault.UpstreamConnectionFailure
	case stream.ConnectionTermination:
		return fault.UpstreamConnectionTermination
	case stream.LocalReset, stream.LocalRefused, stream.HTTP1PrematureResponse:
		return fault.LocalReset
	case stream.Overflow:
		return fault.UpstreamOverflow
	case stream.ProtocolError:
		return fault.UpstreamProtocolError
	case stream.OverloadManager:
		return fault.OverloadManager
	}
	return fault.UpstreamRemoteReset
}
