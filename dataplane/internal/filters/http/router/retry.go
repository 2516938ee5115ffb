package router

import (
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// retryState decides whether a request may be tried again.
type retryState struct {
	policy   *route.Retry
	on       route.RetryOn
	left     uint32
	statuses []int
	headers  []matcher.Header
	held     upstream.Resource // of the retry breaker, while a retry is under way
	over     bool
	tries    uint32
}

func (s *retryState) possible() bool { return s.on != 0 && !s.over }

func (s *retryState) giveUp() { s.over = true }

func (s *retryState) release() {
	if s.held != nil {
		s.held.Release()
		s.held = nil
	}
}

// policy is the route's retry policy, or the virtual host's.
func (r *Router) policy() *route.Retry {
	if p := r.match.Route.Forward.Retry; p != nil {
		return p
	}
	return r.match.Host.Retry
}

// prepareRetry reads the policy and the headers that override it.
func (r *Router) prepareRetry(h *header.Map) {
	p := r.policy()
	s := &r.retry
	s.policy = p
	if p != nil {
		s.on, s.left, s.statuses, s.headers = p.On, p.Max, p.Statuses, p.Headers
	} else {
		s.left = 1
	}
	asked := false
	if v := h.GetID(header.EnvoyRetryOn); v != "" {
		s.on |= route.ParseRetryOn(v, true, false)
		asked = true
	}
	if v := h.GetID(header.EnvoyRetryGrpcOn); v != "" {
		s.on |= route.ParseRetryOn(v, false, true)
		asked = true
	}
	if s.on != 0 && p != nil && len(p.RequestHeaders) > 0 {
		any := false
		for i := range p.RequestHeaders {
			any = any || p.RequestHeaders[i].Match(h)
		}
		if !any {
			s.on = 0
		}
	}
	if v := h.GetID(header.EnvoyMaxRetries); v != "" && (s.on != 0 || asked) {
		if n, err := strconv.ParseUint(v, 10, 32); err == nil {
			s.left = uint32(n)
		}
	}
	if v := h.GetID(header.EnvoyRetriableStatusCodes); v != "" {
		s.statuses = append([]int(nil), s.statuses...)
		for _, w := range splitList(v) {
			if n, err := strconv.Atoi(w); err == nil {
				s.statuses = append(s.statuses, n)
			}
		}
	}
	if v := h.GetID(header.EnvoyRetriableHeaderNames); v != "" {
		s.headers = append([]matcher.Header(nil), s.headers...)
		for _, w := range splitList(v) {
			s.headers = append(s.headers, matcher.Header{Name: w, Kind: matcher.HeaderPresent, Present: true})
		}
	}
	for _, id := range []header.ID{header.EnvoyRetryOn, header.EnvoyRetryGrpcOn, header.EnvoyMaxRetries,
		header.EnvoyRetriableStatusCodes, header.EnvoyRetriableHeaderNames, header.EnvoyHedgeOnPerTryTimeout} {
		h.RemoveID(id)
	}
}

func splitList(v string) []string {
	var out []string
	for v != "" {
		w, rest := v, ""
		for i := range len(v) {
			if v[i] == ',' {
				w, rest = v[:i], v[i+1:]
				break
			}
		}
		if w = trimSpace(w); w != "" {
			out = append(out, w)
		}
		v = rest
	}
	return out
}

// retryLimit is how large a request may be to be sent again.
func (r *Router) retryLimit() int {
	if l := r.match.Route.RetryBodyLimit; l != nil {
		return int(*l)
	}
	if l := r.match.Host.RetryBodyLimit; l != nil {
		return int(*l)
	}
	if l := r.cb.BufferLimit(); l > 0 {
		return int(l)
	}
	return 1 << 30
}

// considerRetry says whether a response is dropped and the request tried
// again.
func (r *Router) considerRetry(status int, h *header.Map, end bool) bool {
	s := &r.retry
	if s.on == 0 {
		return false
	}
	if !s.wantsStatus(status, h, end) {
		s.release()
		return false
	}
	if !r.allowRetry(h) {
		return false
	}
	r.info.Codes.ChargeRetry(r.w.Stats(), status)
	if end {
		r.up.finish()
	} else {
		r.up.reset(stream.LocalReset)
	}
	r.scheduleRetry(h)
	return true
}

// wantsStatus says whether a response meets one of the conditions.
func (s *retryState) wantsStatus(status int, h *header.Map, end bool) bool {
	limited := h.HasID(header.EnvoyRateLimited)
	on := s.on
	switch {
	case limited && on&route.RetryEnvoyRateLimited != 0:
		return true
	case limited:
		return false
	case on&route.Retry5xx != 0 && status >= 500 && status < 600,
		on&route.RetryGatewayError != 0 && status >= 502 && status <= 504,
		on&route.RetryRetriable4xx != 0 && status == 409:
		return true
	}
	if on&route.RetryRetriableStatusCodes != 0 {
		for _, c := range s.statuses {
			if c == status {
				return true
			}
		}
	}
	if on&route.RetryRetriableHeaders != 0 {
		for i := range s.headers {
			if s.headers[i].Match(h) {
				return true
			}
		}
	}
	return s.wantsGRPC(h)
}

// wantsGRPC looks at a trailers-only gRPC response.
func (s *retryState) wantsGRPC(h *header.Map) bool {
	var want route.RetryOn
	switch h.GetID(header.GrpcStatus) {
	case "1":
		want = route.RetryGRPCCancelled
	case "4":
		want = route.RetryGRPCDeadline
	case "8":
		want = route.RetryGRPCResourceExhausted
	case "13":
		want = route.RetryGRPCInternal
	case "14":
		want = route.RetryGRPCUnavailable
	}
	return s.on&want != 0
}

// considerResetRetry says whether a try that was reset is tried again.
func (r *Router) considerResetRetry(reason stream.ResetReason) bool {
	on := r.retry.on
	if on == 0 || reason == stream.Overflow {
		r.retry.release()
		return false
	}
	connect := reason == stream.LocalConnectionFailure || reason == stream.RemoteConnectionFailure || reason == stream.ConnectionTimeout
	wanted := on&(route.Retry5xx|route.RetryGatewayError|route.RetryReset) != 0 ||
		on&route.RetryConnectFailure != 0 && connect ||
		on&route.RetryRefusedStream != 0 && reason == stream.RemoteRefused ||
		on&route.RetryResetBeforeRequest != 0 && connect
	if !wanted {
		r.retry.release()
		return false
	}
	if !r.allowRetry(nil) {
		return false
	}
	r.scheduleRetry(nil)
	return true
}

// considerTimeoutRetry says whether a try that timed out is tried again.
func (r *Router) considerTimeoutRetry() bool {
	if r.retry.on&(route.Retry5xx|route.RetryGatewayError|route.RetryReset) == 0 {
		r.retry.release()
		return false
	}
	if !r.allowRetry(nil) {
		return false
	}
	r.scheduleRetry(nil)
	return true
}

// allowRetry checks how often, and whether the cluster's breaker lets us.
func (r *Router) allowRetry(*header.Map) bool {
	s := &r.retry
	s.release()
	if s.over || !r.reqEnd && r.up.ended {
		return false
	}
	if s.left == 0 {
		r.cb.Info().Flags |= fault.UpstreamRetryLimitExceeded
		r.charge(upstream.RqRetryLimitExceeded)
		return false
	}
	held := r.cluster.Breakers(config.Priority(r.match.Route.Forward.Priority)).Retries()
	if !held.TryAcquire() {
		r.cb.Info().Flags |= fault.UpstreamOverflow
		r.charge(upstream.RqRetryOverflow)
		return false
	}
	s.held = held
	s.left--
	s.tries++
	r.charge(upstream.RqRetry)
	return true
}

// scheduleRetry waits for the back-off: random between 0 and base·(2^n − 1),
// at most the limit, or what a rate-limited upstream asks for.
func (r *Router) scheduleRetry(h *header.Map) {
	if d, ok := r.rateLimitedBackoff(h); ok {
		r.charge(upstream.RqRetryBackoffRatelimited)
		r.backoff.Reset(d)
		return
	}
	r.charge(upstream.RqRetryBackoffExponential)
	base, limit := 25*time.Millisecond, time.Duration(0)
	if rt := r.f.cfg.Runtime; rt != nil {
		base = time.Duration(rt.Weight("upstream.base_retry_backoff_ms", 25)) * time.Millisecond
	}
	if p := r.retry.policy; p != nil && p.Base > 0 {
		base, limit = p.Base, p.Limit
	}
	if limit == 0 {
		limit = 10 * base
	}
	ceiling := min(base*time.Duration(1<<min(r.retry.tries, 30)-1), limit)
	if ceiling <= 0 {
		ceiling = limit
	}
	r.backoff.Reset(time.Duration(r.w.Rand.Int64N(int64(max(ceiling, 1)))))
}

// rateLimitedBackoff reads rate_limited_retry_back_off's headers.
func (r *Router) rateLimitedBackoff(h *header.Map) (time.Duration, bool) {
	p := r.retry.policy
	if h == nil || p == nil || p.RateLimited == nil {
		return 0, false
	}
	for _, x := range p.RateLimited.Headers {
		v, ok := h.Get(x.Name)
		n, err := strconv.ParseUint(v, 10, 32)
		if !ok || err != nil {
			continue
		}
		d := time.Duration(n) * time.Second
		if x.Unix {
			d = time.Unix(int64(n), 0).Sub(r.w.Now())
		}
		limit := p.RateLimited.Max
		if limit == 0 {
			limit = 300 * time.Second
		}
		if d > 0 && d <= limit {
			// Jitter of up to half of it keeps clients apart.
			return d + time.Duration(r.w.Rand.Int64N(int64(d)/2+1)), true
		}
	}
	return 0, false
}

// doRetry is the end of the back-off.
func (r *Router) doRetry() {
	if r.destroyed {
		return
	}
	if r.match.Host.AttemptCount {
		r.h.SetID(header.EnvoyAttemptCount, strconv.Itoa(int(r.attempts)+1))
	}
	if r.match.Host.IncludeTimeoutRetry {
		r.h.SetIDRef(header.EnvoyIsTimeoutRetry, "true")
	}
	copyTo(&r.up.pending, &r.body)
	r.start()
}
