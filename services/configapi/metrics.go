package configapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the service's own, in a registry of its own: several servers
// may run in one process.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	head     prometheus.Gauge
	backlog  prometheus.Gauge
	relayed  prometheus.Counter
	failures *prometheus.CounterVec
	expired  prometheus.Counter
}

func newMetrics(proxies func() float64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_configapi_calls_total", Help: "Calls by method and gRPC code."}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hawser_configapi_call_seconds", Help: "Duration of calls; of streams their life.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"method"}),
		head: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hawser_configapi_revision", Help: "The mesh's last committed revision."}),
		backlog: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hawser_configapi_outbox_revisions", Help: "Revisions that the bus does not have yet."}),
		relayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hawser_configapi_relayed_total", Help: "Revisions handed to the bus by this replica."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_configapi_loop_failures_total", Help: "Failed rounds of the background loops."}, []string{"loop"}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hawser_configapi_expired_workloads_total", Help: "Workloads removed for want of a heartbeat."}),
	}
	m.registry.MustRegister(m.calls, m.seconds, m.head, m.backlog, m.relayed, m.failures, m.expired,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hawser_configapi_proxies", Help: "Connected proxies."}, proxies),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
