package assemble

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// ClusterManager holds the clusters in force. It is called on the loop.
type ClusterManager interface {
	// Update adds a cluster or replaces the one of its name, which serves until
	// the new one is warm (its hosts found, their first health checks done).
	// ready is then called on the loop, perhaps before Update returns. An
	// Update of the same name before that gives the earlier one up.
	Update(c *config.Cluster, ready func()) error
	// SetAssignment replaces the hosts of an EDS cluster: of the newest version,
	// and of the one that serves if it asks for the same endpoints.
	SetAssignment(cluster string, a *config.Assignment) error
	// Remove removes a cluster that was added by Update, warm or not.
	Remove(cluster string) bool
}

// ClustersConfig is what a Clusters is made of.
type ClustersConfig struct {
	Manager ClusterManager
	Sources *Sources
	// Source is where CDS comes from; its acknowledgements are held back while
	// a cluster warms. nil: there is no CDS.
	Source client.Source
	// DecodeCluster and DecodeAssignment make plain configuration of a message.
	DecodeCluster    func(a *anypb.Any, version string) (*config.Cluster, error)
	DecodeAssignment func(a *anypb.Any, version string) (*config.Assignment, error)
	// EDSStats returns the statistics of a cluster's endpoint subscription.
	EDSStats func(cluster string) *client.Stats
	// Initialized is called once: the first update, or the time for it, is
	// over, and all its clusters are warm. Only then are listeners asked for.
	Initialized func()
	// Warming hears how many clusters warm; may be nil.
	Warming func(n int)
	Log     func(message string)
}

// Clusters is the Handler of CDS.
type Clusters struct {
	cfg     ClustersConfig
	static  map[string]bool
	byName  map[string]*cluster
	warming int
	resume  func() // of CDS, while clusters warm
	seen    bool   // the first update has come, or will not
	started bool   // Initialized was called
	version string // of the last update of which something was applied
}

// cluster is one cluster of CDS, or a static one with EDS.
type cluster struct {
	owner  *Clusters
	name   string
	active *version
	next   *version // warms
}

// version is one configuration of a cluster.
type version struct {
	cluster *cluster
	config  *config.Cluster
	sub     client.Subscription
	given   bool // the manager has it
	updated time.Time
}

// NewClusters returns the handler.
func NewClusters(c ClustersConfig) *Clusters {
	return &Clusters{cfg: c, static: map[string]bool{}, byName: map[string]*cluster{}}
}

// AddStatic adds a cluster of the bootstrap, which CDS cannot change.
func (h *Clusters) AddStatic(c *config.Cluster) error {
	h.static[c.Name] = true
	return h.warm(c)
}

// Await says that no CDS will come, or that it is subscribed to now: from the
// call on Initialized is called as soon as it is true.
func (h *Clusters) Await(cds bool) {
	if !cds {
		h.seen = true
	}
	h.check()
}

// OnFetchTimeout implements client.Handler.
func (h *Clusters) OnFetchTimeout() {
	h.seen = true
	h.check()
}

// OnUpdate implements client.Handler.
func (h *Clusters) OnUpdate(u *client.Update) []client.Rejected {
	h.seen = true
	var bad []client.Rejected
	for i := range u.Added {
		r := &u.Added[i]
		if err := h.add(r); err != nil {
			bad = append(bad, client.Rejected{Name: r.Name, Err: err})
		}
	}
	for _, name := range u.Removed {
		h.remove(name)
	}
	if len(bad) < len(u.Added) || len(bad) == 0 {
		h.version = u.Version
	}
	h.check()
	return bad
}

func (h *Clusters) add(r *client.Resource) error {
	c, err := h.cfg.DecodeCluster(r.Message, r.Version)
	if err != nil {
		return err
	}
	if h.static[c.Name] {
		h.log("cluster %q of the bootstrap is not changed by CDS", c.Name)
		return nil
	}
	if e := h.byName[c.Name]; e != nil {
		if latest := e.latest(); latest.config.Hash == c.Hash {
			return nil
		}
	}
	return h.warm(c)
}

func (e *cluster) latest() *version {
	if e.next != nil {
		return e.next
	}
	return e.active
}

// warm starts to warm a new version of a cluster.
func (h *Clusters) warm(c *config.Cluster) error {
	e := h.byName[c.Name]
	if e == nil {
		e = &cluster{owner: h, name: c.Name}
	}
	v := &version{cluster: e, config: c, updated: time.Now()}
	var src client.Source
	if c.Discovery == config.EDS {
		var err error
		if src, err = h.cfg.Sources.Get(client.Endpoints, c.EDSSource); err != nil {
			return fmt.Errorf("eds_cluster_config.eds_config: %w", err)
		}
	}
	h.byName[c.Name] = e
	e.giveUp()
	e.next = v
	h.count(+1)
	if src == nil {
		return v.give()
	}
	sub, err := src.Subscribe(client.SubscriptionConfig{
		TypeURL: client.Endpoints, Names: []string{c.EDSName}, Handler: v,
		Stats: h.cfg.EDSStats(c.Name), FetchTimeout: c.EDSSource.FetchTimeout,
	})
	if err != nil {
		v.failed()
		return fmt.Errorf("eds_cluster_config.eds_config: %w", err)
	}
	v.sub = sub
	return nil
}

// giveUp forgets a version that has not become warm.
func (e *cluster) giveUp() {
	v := e.next
	if v == nil {
		return
	}
	e.next = nil
	v.close()
	e.owner.count(-1)
}

func (v *version) close() {
	if v.sub != nil {
		v.sub.Close()
		v.sub = nil
	}
}

// failed takes back a version that the manager refuses.
func (v *version) failed() {
	e := v.cluster
	if e.next == v {
		e.giveUp()
	}
	if e.active == nil && e.next == nil {
		delete(e.owner.byName, e.name)
	}
}

// give hands the version to the manager.
func (v *version) give() error {
	v.given = true
	if err := v.cluster.owner.cfg.Manager.Update(v.config, v.ready); err != nil {
		v.failed()
		return err
	}
	return nil
}

// ready: the manager serves the version.
func (v *version) ready() {
	e := v.cluster
	if e.next != v {
		return // given up meanwhile
	}
	if e.active != nil {
		e.active.close()
	}
	e.active, e.next = v, nil
	e.owner.count(-1)
	e.owner.check()
}

// OnUpdate implements client.Handler for the cluster's endpoints.
func (v *version) OnUpdate(u *client.Update) []client.Rejected {
	if len(u.Added) == 0 {
		// Removed endpoints stay in force, as in Envoy; but who waits for them
		// waits no more.
		if !v.given {
			v.begin(nil)
		}
		return nil
	}
	i := slices.IndexFunc(u.Added, func(r client.Resource) bool { return r.Name == v.config.EDSName })
	if i < 0 {
		return []client.Rejected{{Name: u.Added[0].Name, Err: fmt.Errorf("unexpected EDS cluster (expecting %s)", v.config.EDSName)}}
	}
	if next := v.cluster.next; next != nil && next != v && next.given {
		return nil // the manager gets the endpoints of the newest version
	}
	r := &u.Added[i]
	a, err := v.cluster.owner.cfg.DecodeAssignment(r.Message, r.Version)
	if err == nil {
		if !v.given {
			err = v.begin(a)
		} else {
			err = v.cluster.owner.cfg.Manager.SetAssignment(v.config.Name, a)
		}
	}
	if err != nil {
		return []client.Rejected{{Name: r.Name, Err: err}}
	}
	return nil
}

// OnFetchTimeout implements client.Handler: the cluster goes on without
// endpoints.
func (v *version) OnFetchTimeout() {
	if !v.given {
		_ = v.begin(nil)
	}
}

var errGone = errors.New("the cluster is gone")

// begin hands an EDS cluster to the manager with its first endpoints, nil for
// none.
func (v *version) begin(a *config.Assignment) error {
	if v.cluster.next != v {
		return errGone
	}
	if a == nil {
		a = &config.Assignment{ClusterName: v.config.EDSName}
	}
	c := *v.config
	c.Assignment = a
	v.config = &c
	err := v.give()
	if err != nil {
		v.cluster.owner.log("cluster %q: %v", v.config.Name, err)
	}
	return err
}

func (h *Clusters) remove(name string) {
	e := h.byName[name]
	if e == nil || h.static[name] {
		return
	}
	delete(h.byName, name)
	e.giveUp()
	if e.active != nil {
		e.active.close()
	}
	h.cfg.Manager.Remove(name)
}

// count follows how many clusters warm, and holds CDS back meanwhile.
func (h *Clusters) count(d int) {
	h.warming += d
	if h.cfg.Warming != nil {
		h.cfg.Warming(h.warming)
	}
	switch {
	case h.warming > 0 && h.started && h.resume == nil && h.cfg.Source != nil:
		h.resume = h.cfg.Source.Pause(client.Cluster)
	case h.warming == 0 && h.resume != nil:
		h.resume()
		h.resume = nil
	}
}

func (h *Clusters) check() {
	if h.seen && h.warming == 0 && !h.started {
		h.started = true
		if h.cfg.Initialized != nil {
			h.cfg.Initialized()
		}
	}
}

func (h *Clusters) log(format string, args ...any) {
	if h.cfg.Log != nil {
		h.cfg.Log(fmt.Sprintf(format, args...))
	}
}

// ClusterStatus is one cluster in a dump.
type ClusterStatus struct {
	Config  *config.Cluster
	Updated time.Time
}

// ClustersDump is what /config_dump shows, each list by name.
type ClustersDump struct {
	Version                 string // of the last update of which something was applied
	Static, Active, Warming []ClusterStatus
}

// Dump returns the state of all clusters.
func (h *Clusters) Dump() ClustersDump {
	d := ClustersDump{Version: h.version}
	for _, e := range h.byName {
		if v := e.next; v != nil && !h.static[e.name] {
			d.Warming = append(d.Warming, ClusterStatus{v.config, v.updated})
		}
		v := e.active
		switch {
		case h.static[e.name]:
			v = e.latest()
			d.Static = append(d.Static, ClusterStatus{v.config, v.updated})
		case v != nil:
			d.Active = append(d.Active, ClusterStatus{v.config, v.updated})
		}
	}
	for _, list := range [][]ClusterStatus{d.Static, d.Active, d.Warming} {
		slices.SortFunc(list, func(a, b ClusterStatus) int { return strings.Compare(a.Config.Name, b.Config.Name) })
	}
	return d
}
