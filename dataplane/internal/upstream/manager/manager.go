package manager

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/breaker"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/pool"
)

// Resolver looks names up; results come on the control goroutine.
type Resolver interface {
	// Resolve calls done once with the addresses and how long they may be kept
	// (0: unknown), or an error.
	Resolve(host string, family config.DNSFamily, done func(addrs []string, ttl time.Duration, err error))
}

// Config is what a Manager is made of.
type Config struct {
	Workers []*event.Worker // those that serve traffic; their indices begin at 0
	Control *event.Worker   // the control side's worker: its index follows
	Stats   *stats.Store
	Resolve Resolver
	// After runs a function on the control goroutine after a time and returns
	// what stops it.
	After  func(d time.Duration, f func()) (stop func())
	Random func() uint64
	Log    func(format string, args ...any)
	// HealthFactory makes the health checkers of a cluster; nil: none.
	HealthFactory func(c *config.Cluster, info *upstream.Info) HealthChecker
}

// HealthChecker checks the hosts of one cluster, on the control goroutine.
type HealthChecker interface {
	// SetHosts says which hosts there are; changed is called when the health of
	// one changes, first when the first check of one is done.
	SetHosts(hosts []*upstream.Host, changed func(h *upstream.Host, healthChanged, first bool))
	Stop()
}

// managerSchema is the statistics under "cluster_manager.".
var managerSchema = stats.NewSchema(
	stats.C("cluster_added"), stats.C("cluster_modified"), stats.C("cluster_removed"), stats.C("cluster_updated"),
	stats.C("cluster_updated_via_merge"), stats.C("update_merge_cancelled"), stats.C("update_out_of_merge_window"),
	stats.G("active_clusters"), stats.G("warming_clusters"),
)

const (
	clusterAdded = iota
	clusterModified
	clusterRemoved
	clusterUpdated
	updatedViaMerge
	mergeCancelled
	outOfMergeWindow
	activeClusters
	warmingClusters
)

// Manager owns the clusters. Its methods are called on the control goroutine,
// except On, and what On returns.
type Manager struct {
	cfg     Config
	group   *stats.Group
	schemas *codeSchemas
	h1stats *h1.Stats

	active  map[string]*cluster // those that serve
	warming map[string]*cluster
	order   []string

	shared sync.Map // name -> *shared: what workers look up
	views  []*workerView
}

// New returns a manager without clusters.
func New(cfg Config) *Manager {
	m := &Manager{cfg: cfg, group: cfg.Stats.Group("cluster_manager.", managerSchema), schemas: newCodeSchemas(), active: map[string]*cluster{}, warming: map[string]*cluster{}}
	m.h1stats = h1.NewStats(cfg.Stats)
	all := append(append([]*event.Worker(nil), cfg.Workers...), cfg.Control)
	for _, w := range all {
		m.views = append(m.views, &workerView{m: m, w: w, clusters: map[string]*workerCluster{}})
	}
	return m
}

// On implements upstream.Manager.
func (m *Manager) On(worker int) upstream.Clusters { return m.views[worker] }

// shared is what all workers share of one version of a cluster.
type shared struct {
	cfg       *config.Cluster
	info      *upstream.Info
	breakers  [2]*breaker.Set
	h2stats   *h2.Stats
	bytes     *network.Stats
	view      atomic.Pointer[view]
	transport network.TransportFactory
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
}

// source finds the hosts of a cluster.
type source interface {
	start()
	stop()
}

// Update adds a cluster or replaces the one of its name, which serves until the
// new one is warm; ready is called then, perhaps before Update returns.
func (m *Manager) Update(c *config.Cluster, ready func()) error {
	main := m.cfg.Stats.Main()
	old := m.active[c.Name]
	if old != nil && old.cfg.Static && !c.Static {
		return fmt.Errorf("cluster '%s' is static and cannot be updated", c.Name)
	}
	if w := m.warming[c.Name]; w != nil {
		w.stop()
		delete(m.warming, c.Name)
	}
	n := m.newCluster(c, ready)
	if old == nil {
		m.group.Counter(clusterAdded).Inc(main)
	} else {
		m.group.Counter(clusterModified).Inc(main)
	}
	m.warming[c.Name] = n
	m.gauges()
	n.begin()
	return nil
}

func (m *Manager) gauges() {
	main := m.cfg.Stats.Main()
	m.group.Gauge(activeClusters).Set(main, uint64(len(m.active)))
	m.group.Gauge(warmingClusters).Set(main, uint64(len(m.warming)))
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
	if c.Transport != nil {
		s.transport = c.Transport.(network.TransportFactory)
	}
	n.s = s
	switch c.Discovery {
	case config.StrictDNS, config.LogicalDNS:
		n.source = &dnsSource{c: n}
	case config.EDS:
		n.source = edsSource{}
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

// edsSource waits for SetAssignment.
type edsSource struct{}

func (edsSource) start() {}
func (edsSource) stop()  {}

// SetAssignment replaces the hosts of an EDS cluster: of the newest version, and
// of the one that serves if it asks for the same endpoints.
func (m *Manager) SetAssignment(name string, a *config.Assignment) error {
	done := false
	for _, set := range []map[string]*cluster{m.warming, m.active} {
		c := set[name]
		if c == nil || c.cfg.Discovery != config.EDS {
			continue
		}
		c.setAssignment(a)
		done = true
	}
	if !done {
		return fmt.Errorf("no EDS cluster '%s'", name)
	}
	return nil
}

// setAssignment takes new hosts over, keeping those that did not change.
func (c *cluster) setAssignment(a *config.Assignment) {
	c.assign = a
	var next []*placed
	if a != nil {
		for i := range a.Localities {
			l := &a.Localities[i]
			for j := range l.Endpoints {
				e := &l.Endpoints[j]
				if e.Host != "" && c.cfg.Discovery != config.Static && c.cfg.Discovery != config.EDS {
					continue // resolved by its source
				}
				next = append(next, c.place(e, l, i))
			}
		}
	}
	c.setHosts(next)
}

// place returns the host of an endpoint: the one that is there, brought up to
// date, or a new one.
func (c *cluster) place(e *config.Endpoint, l *config.LocalityEndpoints, index int) *placed {
	h := c.find(e, l)
	if h == nil {
		h = &upstream.Host{
			Address: e.Address, More: e.More, Hostname: e.Hostname, Locality: l.Locality, Priority: l.Priority,
			HealthCheck: e.HealthCheck, Added: time.Now(),
		}
		if c.checker != nil && !e.HealthCheck.Disabled {
			h.SetFlag(upstream.FailedActiveHC | upstream.PendingActiveHC)
			c.firstHC[h] = true
		}
	}
	h.SetWeight(e.Weight)
	h.SetMetadata(e.Metadata)
	h.SetEDSHealth(e.Health)
	flag := func(f upstream.HealthFlag, on bool) {
		if on {
			h.SetFlag(f)
		} else {
			h.ClearFlag(f)
		}
	}
	flag(upstream.FailedEDS, e.Health == config.HealthUnhealthy || e.Health == config.HealthTimeout)
	flag(upstream.DegradedEDS, e.Health == config.HealthDegraded)
	flag(upstream.EDSDraining, e.Health == config.HealthDraining)
	return &placed{host: h, locality: index, localityWeight: l.Weight}
}

// find returns the present host of an endpoint if nothing in it changed that
// makes it another host.
func (c *cluster) find(e *config.Endpoint, l *config.LocalityEndpoints) *upstream.Host {
	for _, p := range c.hosts {
		h := p.host
		if h.Address == e.Address && h.Hostname == e.Hostname && h.Locality == l.Locality && h.Priority == l.Priority && h.HealthCheck == e.HealthCheck {
			return h
		}
	}
	return nil
}

// setHosts makes hosts those of the cluster.
func (c *cluster) setHosts(next []*placed) {
	added, removed := difference(c.hosts, next)
	c.hosts = next
	c.found = true
	if added+removed > 0 {
		c.count(upstream.MembershipChange)
	}
	for h := range c.firstHC {
		if !contains(next, h) {
			delete(c.firstHC, h)
		}
	}
	c.publish(removed > 0)
	if c.checker != nil {
		hosts := make([]*upstream.Host, 0, len(next))
		for _, p := range next {
			hosts = append(hosts, p.host)
		}
		c.checker.SetHosts(hosts, c.onHealth)
	}
	c.maybeWarm()
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

// publish computes the workers' view anew and gives it to them; with prune they
// let the pools of hosts that are gone drain.
func (c *cluster) publish(prune bool) {
	c.version++
	v := newView(c.cfg, c.assign, c.hosts, c.version)
	c.s.view.Store(v)
	healthy, degraded, excluded := 0, 0, 0
	maxWeight := uint32(0)
	for _, p := range v.priorities {
		healthy += len(p.healthy)
		degraded += len(p.degraded)
	}
	for _, h := range c.hosts {
		if h.excluded(c.cfg) {
			excluded++
		}
		maxWeight = max(maxWeight, h.host.Weight())
	}
	c.set(upstream.MembershipTotal, len(c.hosts))
	c.set(upstream.MembershipHealthy, healthy)
	c.set(upstream.MembershipDegraded, degraded)
	c.set(upstream.MembershipExcluded, excluded)
	c.set(upstream.MaxHostWeight, int(maxWeight))
	if c.warm && prune {
		name := c.cfg.Name
		for _, w := range c.m.views {
			w.w.Post(func() { w.prune(name) })
		}
	}
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
	if changed || first {
		c.merge.changed(c)
		if c.cfg.CloseOnHealthFailure && !h.Healthy() {
			for _, w := range c.m.views {
				w.w.Post(func() { w.closeHost(c.cfg.Name, h) })
			}
		}
	}
	c.maybeWarm()
}

// maybeWarm puts a cluster into service once its hosts are known and checked.
func (c *cluster) maybeWarm() {
	if c.warm || !c.found || len(c.firstHC) > 0 {
		return
	}
	c.warm = true
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

// retire lets the workers' pools of an old version drain.
func (m *Manager) retire(old *cluster) {
	left := new(atomic.Int64)
	left.Store(int64(len(m.views)))
	for _, w := range m.views {
		w.w.Post(func() { w.drop(old.cfg.Name, old.s) })
	}
}

// stop ends what the control side does for the cluster.
func (c *cluster) stop() {
	c.gone = true
	c.source.stop()
	c.merge.stop()
	if c.checker != nil {
		c.checker.Stop()
	}
}

// Remove removes a cluster that was added by Update, warm or not.
func (m *Manager) Remove(name string) bool {
	w, a := m.warming[name], m.active[name]
	if a != nil && a.cfg.Static {
		a = nil
	}
	if w == nil && a == nil {
		return false
	}
	if w != nil {
		w.stop()
		delete(m.warming, name)
	}
	if a != nil {
		a.stop()
		delete(m.active, name)
		m.shared.Delete(name)
		for i, n := range m.order {
			if n == name {
				m.order = append(m.order[:i:i], m.order[i+1:]...)
				break
			}
		}
		m.retire(a)
		m.group.Counter(clusterRemoved).Inc(m.cfg.Stats.Main())
	}
	m.gauges()
	return true
}

// Has says whether a cluster is known, warm or not.
func (m *Manager) Has(name string) bool { return m.active[name] != nil || m.warming[name] != nil }

// Status is one cluster for the admin interface.
type Status struct {
	Config  *config.Cluster
	Hosts   []*upstream.Host
	Warming bool
	Updated time.Time
	Assign  *config.Assignment
}

// Snapshot returns the clusters in the order in which they came.
func (m *Manager) Snapshot() []Status {
	var out []Status
	add := func(c *cluster, warming bool) {
		s := Status{Config: c.cfg, Warming: warming, Updated: c.updated, Assign: c.assign}
		for _, p := range c.hosts {
			s.Hosts = append(s.Hosts, p.host)
		}
		out = append(out, s)
	}
	for _, n := range m.order {
		add(m.active[n], false)
	}
	for _, c := range m.warming {
		add(c, true)
	}
	return out
}

// mergeWindow holds back changes of health, weight and metadata
// (update_merge_window): the first is applied at once, those within the window
// together at its end.
type mergeWindow struct {
	cancel func()
	last   time.Time
}

func (w *mergeWindow) changed(c *cluster) {
	window := c.cfg.LB.UpdateMergeWindow
	now := c.m.cfg.Control.Clock().Now()
	if window <= 0 || now.Sub(w.last) >= window {
		w.last = now
		c.publish(false)
		return
	}
	if w.cancel != nil {
		return
	}
	w.cancel = c.m.cfg.After(window-now.Sub(w.last), func() {
		w.cancel = nil
		w.last = c.m.cfg.Control.Clock().Now()
		if !c.gone {
			c.m.group.Counter(updatedViaMerge).Inc(c.m.cfg.Stats.Main())
			c.publish(false)
		}
	})
}

func (w *mergeWindow) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}
