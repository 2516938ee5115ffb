package client

import (
	"hash/fnv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Stats are the statistics of one subscription, Envoy's names under a prefix
// such as "cluster_manager.cds.". They are written through the store's Main
// local.
type Stats struct {
	Store                                             *stats.Store
	Prefix                                            string
	Attempt, Success, Failure, Rejected, FetchTimeout stats.Counter
	UpdateTime, Version                               stats.Gauge
	Duration                                          stats.Histogram
}

// The indices of Schema.
const (
	statAttempt = iota
	statSuccess
	statFailure
	statRejected
	statFetchTimeout
	statUpdateTime
	statVersion
	statDuration
	numStats
)

// NewSchema lists the statistics of a subscription; more are those that the
// same prefix has besides, with indices from 8 on.
func NewSchema(more ...stats.Def) *stats.Schema {
	return stats.NewSchema(append([]stats.Def{
		stats.C("update_attempt"), stats.C("update_success"), stats.C("update_failure"), stats.C("update_rejected"),
		stats.C("init_fetch_timeout"), stats.G("update_time"), stats.G("version"),
		stats.H("update_duration", stats.UnitMilliseconds),
	}, more...)...)
}

// MoreStats is the index of the first of NewSchema's further definitions.
const MoreStats = numStats

// NewStats resolves the handles of a group made with NewSchema.
func NewStats(s *stats.Store, g *stats.Group) *Stats {
	return &Stats{
		Store: s, Prefix: g.Prefix,
		Attempt: g.Counter(statAttempt), Success: g.Counter(statSuccess), Failure: g.Counter(statFailure),
		Rejected: g.Counter(statRejected), FetchTimeout: g.Counter(statFetchTimeout),
		UpdateTime: g.Gauge(statUpdateTime), Version: g.Gauge(statVersion), Duration: g.Histogram(statDuration),
	}
}

func (s *Stats) attempt() {
	if s != nil {
		s.Attempt.Inc(s.Store.Main())
	}
}

func (s *Stats) failed() {
	if s != nil {
		s.Failure.Inc(s.Store.Main())
		s.Attempt.Inc(s.Store.Main())
	}
}

func (s *Stats) rejected() {
	if s != nil {
		s.Rejected.Inc(s.Store.Main())
		s.Attempt.Inc(s.Store.Main())
	}
}

func (s *Stats) timedOut() {
	if s != nil {
		s.FetchTimeout.Inc(s.Store.Main())
		s.Attempt.Inc(s.Store.Main())
	}
}

// succeeded counts an update that took d to apply.
func (s *Stats) succeeded(version string, d time.Duration) {
	if s == nil {
		return
	}
	l := s.Store.Main()
	s.Success.Inc(l)
	s.Attempt.Inc(l)
	s.UpdateTime.Set(l, uint64(time.Now().UnixMilli()))
	h := fnv.New64a()
	_, _ = h.Write([]byte(version))
	s.Version.Set(l, h.Sum64())
	s.Duration.Record(l, uint64(d.Milliseconds()))
	s.Store.SetText(s.Prefix+"version_text", version)
}

// ControlPlaneStats are the statistics of the streams to control planes,
// "control_plane.".
type ControlPlaneStats struct {
	store              *stats.Store
	connected, pending stats.Gauge
	limited            stats.Counter
}

// NewControlPlaneSchema lists what stands under "control_plane.".
func NewControlPlaneSchema() *stats.Schema {
	return stats.NewSchema(stats.G("connected_state"), stats.G("pending_requests"), stats.C("rate_limit_enforced"))
}

// NewControlPlaneStats resolves the handles of a group made with
// NewControlPlaneSchema.
func NewControlPlaneStats(s *stats.Store, g *stats.Group) *ControlPlaneStats {
	return &ControlPlaneStats{store: s, connected: g.Gauge(0), pending: g.Gauge(1), limited: g.Counter(2)}
}

func (s *ControlPlaneStats) setConnected(on bool) {
	if s == nil {
		return
	}
	v := uint64(0)
	if on {
		v = 1
	}
	s.connected.Set(s.store.Main(), v)
}

func (s *ControlPlaneStats) setPending(n int) {
	if s != nil {
		s.pending.Set(s.store.Main(), uint64(n))
	}
}

func (s *ControlPlaneStats) rateLimited() {
	if s != nil {
		s.limited.Inc(s.store.Main())
	}
}

func (s *ControlPlaneStats) identified(id string) {
	if s != nil && id != "" {
		s.store.SetText("control_plane.identifier", id)
	}
}
