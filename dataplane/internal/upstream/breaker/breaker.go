// Package breaker holds circuit breakers: counted limits of one cluster and
// priority, shared by all workers, and the only atomics on the request path
// besides a host's own numbers.
package breaker

import (
	"sync/atomic"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// schema is the statistics under "cluster.<name>.circuit_breakers.<priority>.".
var schema = stats.NewSchema(
	stats.G("cx_open"), stats.G("cx_pool_open"), stats.G("rq_open"), stats.G("rq_pending_open"), stats.G("rq_retry_open"),
)

// remainingSchema exists with track_remaining.
var remainingSchema = stats.NewSchema(
	stats.G("remaining_cx"), stats.G("remaining_cx_pools"), stats.G("remaining_rq"), stats.G("remaining_pending"), stats.G("remaining_retries"),
)

// Set is the breakers of one cluster and priority; it implements
// upstream.Breakers.
type Set struct {
	connections, pools, requests, pending, retries resource
	budget                                         *config.RetryBudget
	groups                                         []*stats.Group
}

// New returns the breakers for limits, with their statistics under prefix
// ("cluster.<name>.circuit_breakers.default.").
func New(l config.BreakerLimits, store *stats.Store, prefix string) *Set {
	s := &Set{budget: l.RetryBudget}
	g := store.Group(prefix, schema)
	s.groups = append(s.groups, g)
	var rem *stats.Group
	if l.TrackRemaining {
		rem = store.Group(prefix, remainingSchema)
		s.groups = append(s.groups, rem)
	}
	for i, x := range []struct {
		r   *resource
		max uint32
	}{{&s.connections, l.MaxConnections}, {&s.pools, l.MaxPools}, {&s.requests, l.MaxRequests}, {&s.pending, l.MaxPending}, {&s.retries, l.MaxRetries}} {
		x.r.max, x.r.open, x.r.local = x.max, g.Gauge(i), store.Main()
		x.r.publish(0)
		if rem != nil {
			x.r.remaining, x.r.track = rem.Gauge(i), true
			x.r.publishRemaining(0)
		}
	}
	return s
}

// Release takes the statistics away.
func (s *Set) Release() {
	for _, g := range s.groups {
		g.Release()
	}
}

// Connections implements upstream.Breakers.
func (s *Set) Connections() upstream.Resource { return &s.connections }

// Pools implements upstream.Breakers.
func (s *Set) Pools() upstream.Resource { return &s.pools }

// Requests implements upstream.Breakers.
func (s *Set) Requests() upstream.Resource { return &s.requests }

// Pending implements upstream.Breakers.
func (s *Set) Pending() upstream.Resource { return &s.pending }

// Retries implements upstream.Breakers.
func (s *Set) Retries() upstream.Resource {
	if s.budget != nil {
		return (*budgeted)(s)
	}
	return &s.retries
}

// resource is one counted limit.
type resource struct {
	n         atomic.Int64
	max       uint32
	track     bool
	open      stats.Gauge
	remaining stats.Gauge
	local     *stats.Local
}

// TryAcquire implements upstream.Resource.
func (r *resource) TryAcquire() bool {
	n := r.n.Add(1)
	if n > int64(r.max) {
		r.n.Add(-1)
		return false
	}
	if n == int64(r.max) {
		r.open.Set(r.local, 1)
	}
	if r.track {
		r.publishRemaining(n)
	}
	return true
}

// Force counts one more whatever the limit.
func (r *resource) Force() {
	n := r.n.Add(1)
	r.publish(n)
}

// Release implements upstream.Resource.
func (r *resource) Release() {
	n := r.n.Add(-1)
	if n+1 == int64(r.max) {
		r.open.Set(r.local, 0)
	}
	if r.track {
		r.publishRemaining(n)
	}
}

func (r *resource) publish(n int64) {
	v := uint64(0)
	if n >= int64(r.max) {
		v = 1
	}
	r.open.Set(r.local, v)
}

func (r *resource) publishRemaining(n int64) {
	r.remaining.Set(r.local, uint64(max(0, int64(r.max)-n)))
}

// Count implements upstream.Resource.
func (r *resource) Count() uint32 { return uint32(max(0, r.n.Load())) }

// Max implements upstream.Resource.
func (r *resource) Max() uint32 { return r.max }

// Forcer is implemented by resources that can be counted over their limit.
type Forcer interface{ Force() }

// budgeted limits retries to a share of the active requests
// (thresholds.retry_budget).
type budgeted Set

// Max implements upstream.Resource.
func (b *budgeted) Max() uint32 {
	active := float64(b.requests.n.Load() + b.pending.n.Load())
	return max(b.budget.MinConcurrency, uint32(active*b.budget.Percent/100))
}

// TryAcquire implements upstream.Resource.
func (b *budgeted) TryAcquire() bool {
	if b.retries.n.Add(1) > int64(b.Max()) {
		b.retries.n.Add(-1)
		return false
	}
	return true
}

// Release implements upstream.Resource.
func (b *budgeted) Release() { b.retries.n.Add(-1) }

// Count implements upstream.Resource.
func (b *budgeted) Count() uint32 { return b.retries.Count() }
