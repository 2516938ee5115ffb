package manager

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
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
	// Fail makes a host unhealthy that has said so itself in a response
	// (x-envoy-immediate-health-check-fail).
	Fail(h *upstream.Host)
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
		w.release() // no worker has seen it
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

// SetAssignment replaces the hosts of an EDS cluster: of the newest version, and
// of the one that serves if it asks for the same endpoints.
func (m *Manager) SetAssignment(name string, a *config.Assignment) error {
	found := []*cluster{}
	for _, c := range []*cluster{m.warming[name], m.active[name]} {
		if c != nil && c.cfg.Discovery == config.EDS {
			found = append(found, c)
		}
	}
	for _, c := range found {
		c.setAssignment(a)
	}
	if len(found) == 0 {
		return fmt.Errorf("no EDS cluster '%s'", name)
	}
	return nil
}

// retireCheck is how long after a cluster is gone its statistics are given
// back, if nothing of it is left on the workers; a request between two tries
// holds nothing that could be seen.
const retireCheck = 30 * time.Second

// retire lets the workers' pools of an old version drain.
func (m *Manager) retire(old *cluster) {
	left := make([]*workerCluster, len(m.views))
	for i, v := range m.views {
		v.w.Post(func() { left[i] = v.drop(old.cfg.Name, old.s) })
	}
	m.cfg.After(retireCheck, func() { m.giveBack(old, left) })
}

// giveBack takes the statistics of a version away once no worker has a
// connection of it.
func (m *Manager) giveBack(old *cluster, left []*workerCluster) {
	var busy, waiting atomic.Int64
	waiting.Store(int64(len(m.views)))
	done := func() {
		if busy.Load() > 0 {
			m.cfg.After(retireCheck, func() { m.giveBack(old, left) })
			return
		}
		old.release()
	}
	for i, v := range m.views {
		v.w.Post(func() {
			if c := left[i]; c != nil && !c.idle() {
				busy.Add(1)
			}
			if waiting.Add(-1) == 0 {
				m.cfg.Control.Post(done)
			}
		})
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
		w.release()
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
