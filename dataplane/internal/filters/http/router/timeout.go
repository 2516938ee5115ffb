package router

import (
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// timeouts of a request; 0 is none.
type timeouts struct {
	global, try, tryIdle time.Duration
}

// prepareTimeouts reads the route's timeouts and the headers that override
// them, and tells the upstream what it may expect.
func (r *Router) prepareTimeouts(h *header.Map) {
	f := r.match.Route.Forward
	t := &r.timeouts
	t.global = f.Timeout
	policy := r.policy()
	if policy != nil {
		t.try, t.tryIdle = policy.PerTryTimeout, policy.PerTryIdle
	}
	if r.grpc && (f.MaxGRPCTimeout != nil || f.MaxStream != nil && f.MaxStream.GRPCHeaderMax != nil) {
		r.grpcTimeout(h)
	}
	if ms, ok := milliseconds(h, header.EnvoyUpstreamRequestTimeoutMs); ok {
		t.global = ms
	}
	h.RemoveID(header.EnvoyUpstreamRequestTimeoutMs)
	if ms, ok := milliseconds(h, header.EnvoyUpstreamPerTryTimeoutMs); ok {
		t.try = ms
	}
	h.RemoveID(header.EnvoyUpstreamPerTryTimeoutMs)
	if t.try >= t.global && t.global != 0 {
		t.try = 0
	}
	expected := t.global
	if t.try > 0 {
		expected = t.try
	}
	if expected > 0 && !r.f.cfg.SuppressEnvoyHeaders {
		if expected == 15*time.Second {
			h.SetIDRef(header.EnvoyExpectedTimeoutMs, "15000")
		} else {
			h.SetID(header.EnvoyExpectedTimeoutMs, strconv.FormatInt(expected.Milliseconds(), 10))
		}
	}
}

// grpcTimeout takes grpc-timeout as the global timeout, up to the route's
// limit.
func (r *Router) grpcTimeout(h *header.Map) {
	f := r.match.Route.Forward
	limit, offset := time.Duration(0), time.Duration(0)
	switch {
	case f.MaxStream != nil && f.MaxStream.GRPCHeaderMax != nil:
		limit, offset = *f.MaxStream.GRPCHeaderMax, f.MaxStream.GRPCHeaderOffset
	default:
		limit = *f.MaxGRPCTimeout
	}
	d, ok := ParseGRPCTimeout(h.GetID(header.GrpcTimeout))
	if !ok {
		d = limit
	}
	if limit > 0 && (d == 0 || d > limit) {
		d = limit
	}
	if offset > 0 && d > offset {
		d -= offset
	}
	r.timeouts.global = d
}

// ParseGRPCTimeout reads a grpc-timeout header: up to eight digits and a unit.
func ParseGRPCTimeout(v string) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 32)
	if err != nil {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[v[len(v)-1]]
	return time.Duration(n) * unit, ok
}

func milliseconds(h *header.Map, id header.ID) (time.Duration, bool) {
	v := h.GetID(id)
	if v == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}

// startTryTimers starts the timeouts of one try, once the request is whole.
func (u *upstreamRequest) startTryTimers() {
	r := u.r
	if u.encoder == nil {
		return
	}
	if r.timeouts.try > 0 {
		r.tryTmr.Reset(r.timeouts.try)
	}
	if r.timeouts.tryIdle > 0 {
		r.idleTmr.Reset(r.timeouts.tryIdle)
	}
}

// onTimeout: the upstream did not answer within the route's timeout.
func (r *Router) onTimeout() {
	if r.destroyed {
		return
	}
	r.charge(upstream.RqTimeout)
	if r.live {
		if r.chose != nil {
			r.chose.Total.Timeouts.Add(1)
		}
		r.up.reset(stream.LocalReset)
	}
	r.timedOut("response_timeout")
}

func (r *Router) timedOut(details string) {
	r.stopTimers()
	info := r.cb.Info()
	if r.responded {
		info.Flags |= fault.UpstreamRequestTimeout
		info.Details = details
		r.cb.ResetStream(stream.LocalReset)
		return
	}
	if r.chose != nil {
		r.chose.Total.Errors.Add(1)
		if r.chose.Outlier != nil {
			r.chose.Outlier.PutStatus(504)
		}
	}
	r.fail(504, "upstream request timeout", details, fault.UpstreamRequestTimeout, false)
}

// onTryTimeout: this try took too long; another one may not.
func (r *Router) onTryTimeout() { r.tryFailed(upstream.RqPerTryTimeout, "upstream_per_try_timeout") }

// onTryIdle: nothing came for a while.
func (r *Router) onTryIdle() {
	r.tryFailed(upstream.RqPerTryIdleTimeout, "upstream_per_try_idle_timeout")
}

func (r *Router) tryFailed(stat int, details string) {
	if r.destroyed || !r.live {
		return
	}
	r.charge(stat)
	if r.chose != nil {
		r.chose.Total.Timeouts.Add(1)
	}
	r.up.reset(stream.LocalReset)
	if !r.responded && r.considerTimeoutRetry() {
		return
	}
	r.timedOut(details)
}

var _ filter.Decoder = (*Router)(nil)
