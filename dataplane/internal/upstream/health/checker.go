// Package health checks the hosts of a cluster actively: HTTP, gRPC and TCP
// checks with Envoy's intervals, thresholds and jitter, on the control side's worker
// and through the same connections and codecs as traffic.
package health

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// schema is the statistics under "cluster.<name>.health_check.".
var schema = stats.NewSchema(
	stats.C("attempt"), stats.C("success"), stats.C("failure"), stats.C("passive_failure"),
	stats.C("network_failure"), stats.C("verify_cluster"), stats.G("healthy"), stats.G("degraded"),
)

const (
	statAttempt = iota
	statSuccess
	statFailure
	statPassive
	statNetwork
	statVerify
	statHealthy
	statDegraded
)

// Checker checks the hosts of one cluster with one configured check.
type Checker struct {
	w       *event.Worker
	cfg     *config.HealthCheck
	cluster *config.Cluster
	info    *upstream.Info
	group   *stats.Group
	h1      *h1.Stats
	hosts   map[*upstream.Host]*target
	changed func(h *upstream.Host, healthChanged, first bool)
	stopped bool
}

// New returns the checker of a cluster's first health check, on the control
// side's worker.
func New(w *event.Worker, c *config.Cluster, info *upstream.Info, store *stats.Store) *Checker {
	name := c.StatName
	if name == "" {
		name = c.Name
	}
	return &Checker{
		w: w, cfg: &c.HealthChecks[0], cluster: c, info: info, hosts: map[*upstream.Host]*target{}, h1: h1.NewStats(store),
		group: store.Group("cluster."+name+".health_check.", schema),
	}
}

// SetHosts implements manager.HealthChecker.
func (c *Checker) SetHosts(hosts []*upstream.Host, changed func(h *upstream.Host, healthChanged, first bool)) {
	c.changed = changed
	present := map[*upstream.Host]bool{}
	for _, h := range hosts {
		present[h] = true
		if c.hosts[h] != nil || h.HealthCheck.Disabled {
			continue
		}
		t := &target{c: c, h: h}
		c.hosts[h] = t
		t.timer.Init(c.w, t.check)
		t.timeout.Init(c.w, t.onTimeout)
		delay := time.Duration(0)
		if j := c.cfg.InitialJitter; j > 0 {
			delay = time.Duration(c.w.Rand.Int64N(int64(j)))
		}
		t.timer.Reset(delay)
	}
	for h, t := range c.hosts {
		if !present[h] {
			t.stop()
			delete(c.hosts, h)
		}
	}
	c.gauges()
}

// Stop implements manager.HealthChecker.
func (c *Checker) Stop() {
	c.stopped = true
	for _, t := range c.hosts {
		t.stop()
	}
	c.group.Release()
}

func (c *Checker) count(stat int) { c.group.Counter(stat).Inc(c.w.Stats()) }

func (c *Checker) gauges() {
	healthy, degraded := 0, 0
	for h := range c.hosts {
		if h.Flags()&upstream.FailedActiveHC == 0 {
			healthy++
		}
		if h.Flags()&upstream.DegradedActiveHC != 0 {
			degraded++
		}
	}
	c.group.Gauge(statHealthy).Set(c.w.Stats(), uint64(healthy))
	c.group.Gauge(statDegraded).Set(c.w.Stats(), uint64(degraded))
}

// target is one host under check.
type target struct {
	c         *Checker
	h         *upstream.Host
	timer     event.Timer
	timeout   event.Timer
	session   session
	checked   bool
	good, bad uint32
	stopped   bool
	pending   bool
}

// session is one protocol's way to check; it may keep a connection.
type session interface {
	// check begins one check; the target hears of the outcome once.
	check()
	// abandon ends a check without an outcome.
	abandon()
	close()
}

func (t *target) stop() {
	t.stopped = true
	t.timer.Remove()
	t.timeout.Remove()
	if t.session != nil {
		t.session.close()
	}
}

func (t *target) check() {
	if t.stopped {
		return
	}
	t.c.count(statAttempt)
	if t.session == nil {
		switch {
		case t.c.cfg.HTTP != nil:
			t.session = &httpSession{t: t, ask: &httpQuestion{cfg: t.c.cfg.HTTP}, http2: t.c.cfg.HTTP.HTTP2}
		case t.c.cfg.GRPC != nil:
			t.session = &httpSession{t: t, ask: &grpcQuestion{cfg: t.c.cfg.GRPC}, http2: true}
		default:
			t.session = &tcpSession{t: t}
		}
	}
	t.pending = true
	t.timeout.Reset(t.c.cfg.Timeout)
	t.session.check()
}

func (t *target) onTimeout() {
	if t.stopped || !t.pending {
		return
	}
	t.session.abandon()
	t.h.SetFlag(upstream.ActiveHCTimeout)
	t.done(outcome{network: true, timeout: true})
}

// outcome is the result of one check. A failure that is neither of the network
// nor retriable needs no threshold: the host has said itself that it is bad.
type outcome struct {
	ok        bool
	degraded  bool
	network   bool // the host did not answer at all
	retriable bool // the answer is one of retriable_statuses
	timeout   bool
	status    int // of an HTTP response; 0: none
}

// Fail implements manager.HealthChecker. The host takes no traffic, and does
// not count, until a check of it passes.
func (c *Checker) Fail(h *upstream.Host) {
	t := c.hosts[h]
	if t == nil || c.stopped {
		return
	}
	h.SetFlag(upstream.ExcludedByHC)
	c.count(statPassive)
	c.count(statFailure)
	t.good = 0
	if h.SetFlag(upstream.FailedActiveHC) {
		h.LastStatus.Store(c.w.Now().UnixNano())
		c.gauges()
		c.changed(h, true, false)
	}
}

// done takes an outcome over (thresholds, flags) and plans the next check.
func (t *target) done(o outcome) {
	if t.stopped || !t.pending {
		return
	}
	t.pending = false
	t.timeout.Stop()
	c, first := t.c, !t.checked
	t.checked = true
	was, wasDegraded := t.h.Flags()&upstream.FailedActiveHC == 0, t.h.Flags()&upstream.DegradedActiveHC != 0
	edge := false
	if o.ok {
		c.count(statSuccess)
		t.bad = 0
		if !was {
			if t.good++; first || t.good >= c.cfg.HealthyThreshold {
				t.h.ClearFlag(upstream.FailedActiveHC | upstream.ActiveHCTimeout | upstream.ExcludedByHC)
				edge = true
			}
		}
	} else {
		c.count(statFailure)
		if o.network {
			c.count(statNetwork)
		}
		t.good = 0
		t.bad++
		if was && (!o.network && !o.retriable || t.bad >= c.cfg.UnhealthyThreshold) {
			t.h.SetFlag(upstream.FailedActiveHC)
			edge = true
		}
	}
	if o.degraded {
		t.h.SetFlag(upstream.DegradedActiveHC)
	} else if o.ok {
		t.h.ClearFlag(upstream.DegradedActiveHC)
	}
	healthy := t.h.Flags()&upstream.FailedActiveHC == 0
	changed := healthy != was || wasDegraded != (t.h.Flags()&upstream.DegradedActiveHC != 0)
	if changed {
		t.h.LastStatus.Store(c.w.Now().UnixNano())
	}
	c.gauges()
	t.timer.Reset(t.interval(healthy, edge))
	c.changed(t.h, changed, first)
}

// interval is when to check again.
func (t *target) interval(healthy, edge bool) time.Duration {
	cfg := t.c.cfg
	d := cfg.Interval
	if t.c.info.Stats.CounterValue(upstream.CxTotal) == 0 {
		d = cfg.NoTrafficInterval
		if healthy && cfg.NoTrafficHealthyInterval > 0 {
			d = cfg.NoTrafficHealthyInterval
		}
	} else {
		switch {
		case healthy && edge && cfg.HealthyEdgeInterval > 0:
			d = cfg.HealthyEdgeInterval
		case !healthy && edge && cfg.UnhealthyEdgeInterval > 0:
			d = cfg.UnhealthyEdgeInterval
		case !healthy && cfg.UnhealthyInterval > 0:
			d = cfg.UnhealthyInterval
		}
	}
	if j := cfg.IntervalJitter; j > 0 {
		d += time.Duration(t.c.w.Rand.Int64N(int64(j)))
	}
	if p := cfg.IntervalJitterPercent; p > 0 {
		d += time.Duration(t.c.w.Rand.Int64N(int64(d)*int64(p)/100 + 1))
	}
	return max(d, time.Millisecond)
}

// address is where the host is checked.
func (t *target) address() address.Address {
	hc := &t.h.HealthCheck
	if hc.Address.IsValid() {
		return hc.Address
	}
	if hc.Port > 0 && t.h.Address.IsIP() {
		return withPort(t.h.Address, hc.Port)
	}
	return t.h.Address
}

// connect begins a connection to where the host is checked, over the transport
// that transport_socket_match_criteria, or else the host's metadata, selects.
func (t *target) connect(e network.Events, f network.ReadFilter, http2 bool) *network.Conn {
	var tr network.Transport = &transport.Raw{}
	match := t.c.cfg.TransportMatch
	if match == nil {
		match = t.h.Metadata()[upstream.TransportMatchKey]
	}
	if x := upstream.TransportFor(t.c.cluster, match); x != nil {
		o := network.TransportOptions{ALPN: t.c.cfg.TLSALPN, Fallback: []string{"http/1.1"}}
		if http2 {
			o.Fallback[0] = "h2"
		}
		tr = x.NewTransport(&o)
	}
	conn, err := network.Connect(t.c.w, t.address(), event.ConnectOptions{Source: t.c.cluster.SourceAddress}, network.Options{Transport: tr})
	if err != nil {
		return nil
	}
	conn.AddEvents(e)
	conn.AddReadFilter(f)
	return conn
}

func withPort(a address.Address, port uint16) address.Address {
	return address.FromIP(netip.AddrPortFrom(a.IP(), port))
}

func statusIn(status int, ranges []config.Int64Range) bool {
	for _, r := range ranges {
		if int64(status) >= r.Start && int64(status) < r.End {
			return true
		}
	}
	return false
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
