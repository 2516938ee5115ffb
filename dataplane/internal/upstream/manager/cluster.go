package manager

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/breaker"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/pool"
)

// shared is what all workers share of one version of a cluster.
type shared struct {
	cfg      *config.Cluster
	info     *upstream.Info
	breakers [2]*breaker.Set
	h2stats  *h2.Stats
	bytes    *network.Stats
	view     atomic.Pointer[view]
}

// cluster is one version of a cluster on the control side.
type cluster struct {
	m       *Manager
	s       *shared
	cfg     *config.Cluster
	codes   *codes
	hosts   []*placed
	assign  *config.Assignment
	source  source
	checker HealthChecker
	ready   func()
	warm    bool
	gone    bool
	updated time.Time
	version uint64
	merge   mergeWindow
	firstHC map[*upstream.Host]bool // hosts that wait for their first check
	found   bool                    // the hosts are known
	groups  []*stats.Group
	stale   func() // stops the timer of endpoint_stale_after
	// lookup finds the present hosts while an assignment is taken over.
	lookup map[address.Address][]*upstream.Host
}

// source finds the hosts of a cluster.
type source interface {
	start()
	stop()
}

func (m *Manager) newCluster(c *config.Cluster, ready func()) *cluster {
	prefix := "cluster." + c.StatName + "."
	if c.StatName == "" {
		prefix = "cluster." + c.Name + "."
	}
	group := m.cfg.Stats.Group(prefix, upstream.ClusterSchema)
	n := &cluster{m: m, cfg: c, ready: ready, updated: time.Now(), firstHC: map[*upstream.Host]bool{}, groups: []*stats.Group{group}}
	n.codes = &codes{schemas: m.schemas, store: m.cfg.Stats, prefix: prefix}
	name := c.StatName
	if name == "" {
		name = c.Name
	}
	s := &shared{cfg: c, bytes: pool.BytesOf(group), info: &upstream.Info{Config: c, Stats: group, Codes: n.codes, Store: m.cfg.Stats, Observability: name}}
	for i, p := range []string{"default", "high"} {
		s.breakers[i] = breaker.New(c.Breakers[i], m.cfg.Stats, prefix+"circuit_breakers."+p+".")
	}
	if c.Protocol.Mode != config.ExplicitHTTP1 {
		s.h2stats = h2.NewStatsAt(m.cfg.Stats, prefix+"http2.")
	}
	n.s = s
	switch c.Discovery {
	case config.StrictDNS, config.LogicalDNS:
		n.source = &dnsSource{c: n}
	case config.EDS:
		n.source = edsSource{n}
	default:
		n.source = staticSource{n}
	}
	return n
}

// begin finds the hosts.
func (c *cluster) begin() {
	if len(c.cfg.HealthChecks) > 0 && c.m.cfg.HealthFactory != nil {
		c.checker = c.m.cfg.HealthFactory(c.cfg, c.s.info)
	}
	c.source.start()
}

// staticSource has its hosts from the start.
type staticSource struct{ c *cluster }

func (s staticSource) start() { s.c.setAssignment(s.c.cfg.Assignment) }
func (s staticSource) stop()  {}

// edsSource starts with the endpoints that came with the cluster, if any, and
// waits for SetAssignment.
type edsSource struct{ c *cluster }

func (s edsSource) start() {
	if a := s.c.cfg.Assignment; a != nil {
		s.c.setAssignment(a)
	}
}
func (s edsSource) stop() {}

// release gives the statistics of a version back; no worker writes them any
// more.
func (c *cluster) release() {
	for _, g := range c.groups {
		g.Release()
	}
	c.codes.release()
	for _, b := range c.s.breakers {
		b.Release()
	}
	if c.s.h2stats != nil {
		c.s.h2stats.Release()
	}
}

// stop ends what the control side does for the cluster.
func (c *cluster) stop() {
	c.gone = true
	c.source.stop()
	c.merge.stop()
	c.stopStale()
	if c.checker != nil {
		c.checker.Stop()
	}
}

// setAssignment takes new hosts over, keeping those that did not change.
func (c *cluster) setAssignment(a *config.Assignment) {
	changed := c.policyChanged(a)
	c.assign = a
	c.watchStale(a)
	var next []*placed
	if a != nil {
		for i := range a.Localities {
			l := &a.Localities[i]
			for j := range l.Endpoints {
				p, different := c.place(&l.Endpoints[j], l)
				changed = changed || different
				next = append(next, p)
			}
		}
	}
	c.setHosts(next, changed)
}

// policyChanged says whether an assignment differs in more than its endpoints.
func (c *cluster) policyChanged(a *config.Assignment) bool {
	if c.assign == nil || a == nil {
		return c.assign != a
	}
	x, y := c.assign.Policy, a.Policy
	x.StaleAfter, y.StaleAfter = 0, 0
	return !reflect.DeepEqual(x, y)
}

// watchStale drops the endpoints of an assignment that is not renewed in time
// (endpoint_stale_after).
func (c *cluster) watchStale(a *config.Assignment) {
	c.stopStale()
	if a == nil || a.Policy.StaleAfter <= 0 || c.cfg.Discovery != config.EDS {
		return
	}
	c.count(upstream.AssignmentTimeoutReceived)
	c.stale = c.m.cfg.After(a.Policy.StaleAfter, func() {
		c.stale = nil
		if !c.gone {
			c.count(upstream.AssignmentStale)
			c.setAssignment(&config.Assignment{ClusterName: a.ClusterName})
		}
	})
}

func (c *cluster) stopStale() {
	if c.stale != nil {
		c.stale()
		c.stale = nil
	}
}

// place returns the host of an endpoint: the one that is there, brought up to
// date, or a new one; and whether the balancers have to hear of it.
func (c *cluster) place(e *config.Endpoint, l *config.LocalityEndpoints) (p *placed, changed bool) {
	h := c.find(e, l)
	if h == nil {
		h = c.newHost(e, l)
		changed = true
	}
	if weight := max(e.Weight, 1); h.Weight() != weight {
		h.SetWeight(weight)
		changed = true
	}
	if !reflect.DeepEqual(h.Metadata(), e.Metadata) {
		h.SetMetadata(e.Metadata)
		changed = true
	}
	h.SetEDSHealth(e.Health)
	flag := func(f upstream.HealthFlag, on bool) {
		if on {
			changed = h.SetFlag(f) || changed
		} else {
			changed = h.ClearFlag(f) || changed
		}
	}
	flag(upstream.FailedEDS, e.Health == config.HealthUnhealthy || e.Health == config.HealthTimeout)
	flag(upstream.DegradedEDS, e.Health == config.HealthDegraded)
	flag(upstream.EDSDraining, e.Health == config.HealthDraining)
	flag(upstream.PendingRemoval, false)
	return &placed{host: h, localityWeight: l.Weight}, changed
}

func (c *cluster) newHost(e *config.Endpoint, l *config.LocalityEndpoints) *upstream.Host {
	h := &upstream.Host{
		Address: e.Address, More: e.More, Hostname: e.Hostname, Locality: l.Locality, Priority: l.Priority,
		HealthCheck: e.HealthCheck, Added: c.m.cfg.Control.Clock().Now(),
	}
	if c.checker != nil && !e.HealthCheck.Disabled {
		h.SetFlag(upstream.FailedActiveHC | upstream.PendingActiveHC)
		c.firstHC[h] = true
		h.OnImmediateFail = func() { c.m.cfg.Control.Post(func() { c.checker.Fail(h) }) }
	}
	return h
}

// find returns the present host of an endpoint if nothing in it changed that
// makes it another host.
func (c *cluster) find(e *config.Endpoint, l *config.LocalityEndpoints) *upstream.Host {
	if c.lookup == nil {
		c.lookup = make(map[address.Address][]*upstream.Host, len(c.hosts))
		for _, p := range c.hosts {
			c.lookup[p.host.Address] = append(c.lookup[p.host.Address], p.host)
		}
	}
	for _, h := range c.lookup[e.Address] {
		if h.Hostname == e.Hostname && h.Locality == l.Locality && h.Priority == l.Priority && h.HealthCheck == e.HealthCheck {
			return h
		}
	}
	return nil
}

// setHosts makes hosts those of the cluster. changed says whether something
// besides the set of hosts is new to the balancers.
func (c *cluster) setHosts(next []*placed, changed bool) {
	c.lookup = nil
	next = c.distinct(next)
	next = c.keepHealthy(next)
	added, removed := difference(c.hosts, next)
	first := !c.found
	for i := range next {
		changed = changed || i < len(c.hosts) && c.hosts[i].host == next[i].host && c.hosts[i].localityWeight != next[i].localityWeight
	}
	if added+removed == 0 && !changed && !first {
		if c.cfg.Discovery == config.EDS {
			c.count(upstream.UpdateNoRebuild)
		}
		return
	}
	c.hosts, c.found = next, true
	if added+removed > 0 {
		c.count(upstream.MembershipChange)
	}
	for h := range c.firstHC {
		if !contains(next, h) {
			delete(c.firstHC, h)
		}
	}
	if added+removed > 0 || first || !c.warm {
		c.merge.replace(c, removed > 0)
	} else {
		c.merge.changed(c)
	}
	c.check()
	c.maybeWarm()
}

// distinct drops the endpoints whose address another one has already.
func (c *cluster) distinct(next []*placed) []*placed {
	seen := make(map[address.Address]bool, len(next))
	out := next[:0]
	for _, p := range next {
		if !seen[p.host.Address] {
			seen[p.host.Address] = true
			out = append(out, p)
		}
	}
	return out
}

// keepHealthy keeps hosts that were removed while their active checks pass,
// until they fail (unless ignore_health_on_host_removal).
func (c *cluster) keepHealthy(next []*placed) []*placed {
	if c.checker == nil || c.cfg.DrainOnRemoval || c.cfg.Discovery == config.Static {
		return next
	}
	for _, p := range c.hosts {
		if p.host.Flags()&(upstream.FailedActiveHC|upstream.FailedEDS) == 0 && !contains(next, p.host) {
			p.host.SetFlag(upstream.PendingRemoval)
			next = append(next, p)
		}
	}
	return next
}

// check tells the checker of the hosts.
func (c *cluster) check() {
	if c.checker == nil {
		return
	}
	hosts := make([]*upstream.Host, 0, len(c.hosts))
	for _, p := range c.hosts {
		hosts = append(hosts, p.host)
	}
	c.checker.SetHosts(hosts, c.onHealth)
}

func contains(list []*placed, h *upstream.Host) bool {
	for _, p := range list {
		if p.host == h {
			return true
		}
	}
	return false
}

func difference(old, next []*placed) (added, removed int) {
	was := make(map[*upstream.Host]bool, len(old))
	for _, p := range old {
		was[p.host] = true
	}
	for _, p := range next {
		if was[p.host] {
			delete(was, p.host)
		} else {
			added++
		}
	}
	return added, len(was)
}

func (c *cluster) count(stat int) { c.s.info.Stats.Counter(stat).Inc(c.m.cfg.Stats.Main()) }

func (c *cluster) set(stat int, v int) {
	c.s.info.Stats.Gauge(stat).Set(c.m.cfg.Stats.Main(), uint64(v))
}

// publish gives the workers a new view; with prune they let the pools of hosts
// that are gone drain.
func (c *cluster) publish(prune bool) {
	c.version++
	c.s.view.Store(newView(c.cfg, c.assign, c.hosts, c.version))
	c.membership()
	if c.warm && prune {
		name := c.cfg.Name
		for _, v := range c.m.views {
			v.w.Post(func() { v.prune(name) })
		}
	}
}

// membership sets the gauges; they do not wait for the merge window.
func (c *cluster) membership() {
	healthy, degraded, excluded := 0, 0, 0
	weight := uint32(0)
	for _, p := range c.hosts {
		switch {
		case p.excluded(c.cfg):
			excluded++
		case p.host.Healthy():
			healthy++
		case p.host.Degraded():
			degraded++
		}
		weight = max(weight, p.host.Weight())
	}
	c.set(upstream.MembershipTotal, len(c.hosts))
	c.set(upstream.MembershipHealthy, healthy)
	c.set(upstream.MembershipDegraded, degraded)
	c.set(upstream.MembershipExcluded, excluded)
	c.set(upstream.MaxHostWeight, int(weight))
}

// onHealth hears of a host's health.
func (c *cluster) onHealth(h *upstream.Host, changed, first bool) {
	if c.gone {
		return
	}
	if first {
		delete(c.firstHC, h)
		h.ClearFlag(upstream.PendingActiveHC)
	}
	if changed && h.Flags()&upstream.PendingRemoval != 0 && h.Flags()&upstream.FailedActiveHC != 0 {
		c.setHosts(without(c.hosts, h), false)
	} else if changed || first {
		c.merge.changed(c)
	}
	if changed && c.cfg.CloseOnHealthFailure && !h.Healthy() {
		for _, v := range c.m.views {
			v.w.Post(func() { v.closeHost(c.cfg.Name, h) })
		}
	}
	c.maybeWarm()
}

func without(list []*placed, h *upstream.Host) []*placed {
	var out []*placed
	for _, p := range list {
		if p.host != h {
			out = append(out, p)
		}
	}
	return out
}

// maybeWarm puts a cluster into service once its hosts are known and checked.
func (c *cluster) maybeWarm() {
	if c.warm || c.gone || !c.found || len(c.firstHC) > 0 {
		return
	}
	c.warm = true
	c.publish(false) // with all that the first checks found
	m := c.m
	delete(m.warming, c.cfg.Name)
	old := m.active[c.cfg.Name]
	m.active[c.cfg.Name] = c
	if old == nil {
		m.order = append(m.order, c.cfg.Name)
	}
	m.shared.Store(c.cfg.Name, c.s)
	m.gauges()
	if old != nil {
		old.stop()
		m.retire(old)
	}
	if c.ready != nil {
		c.ready()
	}
}
