package distributor

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// metrics are the service's own, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	revision prometheus.Gauge
	loads    prometheus.Counter
	gaps     prometheus.Counter
	failures *prometheus.CounterVec
	compile  prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		revision: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hawser_distributor_revision", Help: "The mesh's revision that is served."}),
		loads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hawser_distributor_loads_total", Help: "How often the mesh was read whole."}),
		gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hawser_distributor_gaps_total", Help: "Gaps on the bus that were filled from the config API."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_distributor_failures_total", Help: "Failures by what failed."}, []string{"what"}),
		compile: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hawser_distributor_compile_seconds", Help: "From a revision to the views of all classes.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
	}
	m.registry.MustRegister(m.revision, m.loads, m.gaps, m.failures, m.compile,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// serving adds what the stream engine counts.
func (m *metrics) serving(s *xdsserver.Stats, proxies func() float64) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	gauge("hawser_distributor_proxies", "Connected clients.", proxies)
	gauge("hawser_distributor_streams", "Open xDS streams.", func() float64 { return float64(s.Streams.Load()) })
	counter("hawser_distributor_requests_total", "xDS requests.", func() float64 { return float64(s.Requests.Load()) })
	counter("hawser_distributor_responses_total", "xDS responses.", func() float64 { return float64(s.Responses.Load()) })
	counter("hawser_distributor_resources_total", "Resources in responses.", func() float64 { return float64(s.Resources.Load()) })
	counter("hawser_distributor_rejections_total", "Responses that clients refused.", func() float64 { return float64(s.Rejections.Load()) })
}
