package server

import (
	"runtime"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// serverSchema is the statistics under "server.".
var serverSchema = stats.NewSchema(
	stats.G("uptime"), stats.G("concurrency"), stats.G("memory_allocated"), stats.G("memory_heap_size"),
	stats.G("memory_physical_size"), stats.G("live"), stats.G("state"), stats.G("parent_connections"),
	stats.G("total_connections"), stats.G("version"), stats.G("days_until_first_cert_expiring"),
	stats.G("seconds_until_first_ocsp_response_expiring"), stats.G("hot_restart_epoch"), stats.G("hot_restart_generation"),
	stats.G("compilation_settings.fips_mode"), stats.G("stats_recent_lookups"),
	stats.C("debug_assertion_failures"), stats.C("envoy_bug_failures"), stats.C("envoy_notifications"),
	stats.C("static_unknown_fields"), stats.C("dynamic_unknown_fields"), stats.C("dropped_stat_flushes"), stats.C("wip_protos"),
	stats.C("main_thread.watchdog_mega_miss"), stats.C("main_thread.watchdog_miss"),
	stats.H("initialization_time_ms", stats.UnitMilliseconds),
)

const (
	statUptime = iota
	statConcurrency
	statMemoryAllocated
	statMemoryHeap
	statMemoryPhysical
	statLive
	statState
	statParentConnections
	statTotalConnections
	statVersion
	statDaysUntilExpiry
	statOCSP
	statEpoch
	statGeneration
	statFIPS
	statLookups
	statAssertions
	statBugs
	statNotifications
	statStaticUnknown
	statDynamicUnknown
	statDroppedFlushes
	statWIP
	statMainMegaMiss
	statMainMiss
	statInitTime
)

// refresh brings the gauges up to date that nobody keeps.
func (s *Server) refresh() {
	g, l := s.group, s.store.Main()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	state := s.State()
	g.Gauge(statUptime).Set(l, uint64(time.Since(s.started).Seconds()))
	g.Gauge(statConcurrency).Set(l, uint64(len(s.threads.workers)))
	g.Gauge(statMemoryAllocated).Set(l, m.HeapAlloc)
	g.Gauge(statMemoryHeap).Set(l, m.HeapSys)
	g.Gauge(statMemoryPhysical).Set(l, m.Sys-m.HeapReleased)
	live := uint64(0)
	if state == admin.Live {
		live = 1
	}
	g.Gauge(statLive).Set(l, live)
	g.Gauge(statState).Set(l, uint64(state))
	g.Gauge(statDaysUntilExpiry).Set(l, s.daysUntilExpiry())
	total := uint64(0)
	for _, x := range s.store.Read() {
		if x.Kind == stats.KindGauge && isConnectionGauge(x.Name) {
			total += x.Value
		}
	}
	g.Gauge(statTotalConnections).Set(l, total)
}

// isConnectionGauge says whether a statistic counts the present connections of
// a listener other than admin's.
func isConnectionGauge(name string) bool {
	const prefix, suffix = "listener.", ".downstream_cx_active"
	if len(name) < len(prefix)+len(suffix) || name[:len(prefix)] != prefix || name[len(name)-len(suffix):] != suffix {
		return false
	}
	middle := name[len(prefix) : len(name)-len(suffix)]
	for i := range middle {
		if middle[i:] == ".worker_0" || len(middle[i:]) > 8 && middle[i:i+8] == ".worker_" {
			return false
		}
	}
	return middle != "admin"
}

// daysUntilExpiry is the least of all certificates', MaxUint32 without any.
func (s *Server) daysUntilExpiry() uint64 {
	least := uint64(1<<32 - 1)
	for _, c := range s.certificates() {
		for _, x := range append(c.CA, c.Chain...) {
			days := uint64(max(0, time.Until(x.NotAfter).Hours()/24))
			least = min(least, days)
		}
	}
	return least
}
