package manager

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/pool"
)

// workerView is one worker's clusters; it implements upstream.Clusters.
type workerView struct {
	m        *Manager
	w        *event.Worker
	clusters map[string]*workerCluster
}

// Get implements upstream.Clusters.
func (v *workerView) Get(name string) upstream.Cluster {
	if c := v.clusters[name]; c != nil {
		return c
	}
	x, ok := v.m.shared.Load(name)
	if !ok {
		return nil
	}
	c := newWorkerCluster(v, x.(*shared))
	v.clusters[name] = c
	return c
}

// drop lets the pools of a version that no longer serves drain, and returns
// what the worker had of it.
func (v *workerView) drop(name string, s *shared) *workerCluster {
	c := v.clusters[name]
	if c == nil || c.s != s {
		return nil
	}
	delete(v.clusters, name)
	c.gone = true
	for _, p := range c.pools {
		p.drain()
	}
	return c
}

// idle says whether the cluster has no connection on the worker.
func (c *workerCluster) idle() bool {
	for _, p := range c.pools {
		if !p.idle() {
			return false
		}
	}
	return true
}

func (p *pools) idle() bool {
	return (p.http == nil || p.http.Idle()) && (p.tcp == nil || p.tcp.Idle())
}

// prune lets the pools of hosts that are gone drain.
func (v *workerView) prune(name string) {
	c := v.clusters[name]
	if c == nil {
		return
	}
	c.refresh()
	present := map[*upstream.Host]bool{}
	for _, h := range c.view.all {
		present[h] = true
	}
	for k, p := range c.pools {
		if !present[k.host] {
			p.drain()
			delete(c.pools, k)
			if c.lastP == p {
				c.lastP = nil
			}
		}
	}
}

// closeHost ends the connections to a host.
func (v *workerView) closeHost(name string, h *upstream.Host) {
	if c := v.clusters[name]; c != nil {
		for k, p := range c.pools {
			if k.host == h {
				p.closeAll()
			}
		}
	}
}

// workerCluster is one version of a cluster on one worker; it implements
// upstream.Cluster.
type workerCluster struct {
	v     *workerView
	s     *shared
	view  *view
	picks []picker // by priority
	pools map[poolKey]*pools
	last  poolKey // the pool that was used last, to spare a look-up
	lastP *pools
	gone  bool // serves no more; what comes late gets pools that drain
}

type poolKey struct {
	host     *upstream.Host
	priority config.Priority
	mode     pool.Mode
	sni      string
}

// pools are the HTTP and the TCP pool of one key.
type pools struct {
	http *pool.HTTP
	tcp  *pool.TCP
}

func (p *pools) drain() {
	if p.http != nil {
		p.http.Drain()
	}
}

func (p *pools) closeAll() {
	if p.http != nil {
		p.http.CloseAll()
	}
	if p.tcp != nil {
		p.tcp.CloseAll()
	}
}

func newWorkerCluster(v *workerView, s *shared) *workerCluster {
	c := &workerCluster{v: v, s: s, pools: map[poolKey]*pools{}}
	c.refresh()
	return c
}

// refresh takes a new view over.
func (c *workerCluster) refresh() {
	v := c.s.view.Load()
	if v == c.view {
		return
	}
	c.view = v
	for len(c.picks) < len(v.priorities) {
		c.picks = append(c.picks, picker{})
	}
	c.picks = c.picks[:len(v.priorities)]
	for i := range c.picks {
		c.picks[i].rebuild(&v.priorities[i], v.factor, &c.s.cfg.LB, c.v.w)
	}
}

// Info implements upstream.Cluster.
func (c *workerCluster) Info() *upstream.Info { return c.s.info }

// Breakers implements upstream.Cluster.
func (c *workerCluster) Breakers(p config.Priority) upstream.Breakers { return c.s.breakers[p] }

// Drops implements upstream.Cluster.
func (c *workerCluster) Drops() (string, bool) {
	c.refresh()
	for _, d := range c.view.drops {
		if c.v.w.Rand.Float64() < d.Share {
			return d.Category, true
		}
	}
	return "", false
}

// ChooseHost implements upstream.Cluster.
func (c *workerCluster) ChooseHost(ctx upstream.Context) *upstream.Host {
	c.refresh()
	if want, strict := ctx.OverrideHost(); want != "" {
		for _, h := range c.view.all {
			if h.Healthy() && h.Address.String() == want {
				return h
			}
		}
		if strict {
			return nil
		}
	}
	var h *upstream.Host
	for range max(1, ctx.MaxAttempts()) {
		if h = c.pick(); h == nil || !ctx.Reject(h) {
			break
		}
	}
	return h
}

// pick chooses a priority by the load that each takes, then a host in it.
func (c *workerCluster) pick() *upstream.Host {
	v := c.view
	at, degraded := 0, false
	if v.healthyLoad[0] != 100 {
		at, degraded = v.choosePriority(uint32(c.v.w.Rand.Uint64() % 100))
	}
	p := &v.priorities[at]
	set := setHealthy
	switch {
	case p.panic:
		c.count(upstream.LBHealthyPanic)
		if c.s.cfg.LB.FailOnPanic {
			return nil
		}
		set = setAll
	case degraded:
		set = setDegraded
	}
	return c.picks[at].pick(set)
}

func (v *view) choosePriority(n uint32) (int, bool) {
	for i, l := range v.healthyLoad {
		if n < l {
			return i, false
		}
		n -= l
	}
	for i, l := range v.degradedLoad {
		if n < l {
			return i, true
		}
		n -= l
	}
	return 0, false
}

func (c *workerCluster) count(stat int) { c.s.info.Stats.Counter(stat).Inc(c.v.w.Stats()) }

// find returns the pools of a key, or nil.
func (c *workerCluster) find(k poolKey) *pools {
	if c.lastP != nil && c.last == k {
		return c.lastP
	}
	p := c.pools[k]
	if p != nil {
		c.last, c.lastP = k, p
	}
	return p
}

// put returns the pools of a key, adding the key.
func (c *workerCluster) put(k poolKey) *pools {
	p := c.find(k)
	if p == nil {
		p = &pools{}
		c.pools[k] = p
	}
	return p
}

func (c *workerCluster) config(h *upstream.Host, p config.Priority, mode pool.Mode, o *network.TransportOptions) pool.Config {
	cfg := pool.Config{
		Worker: c.v.w, Host: h, Info: c.s.info, Breakers: c.s.breakers[p], Mode: mode, Transport: upstream.TransportFor(c.s.cfg, h.Metadata()[upstream.TransportMatchKey]),
		H1: c.v.m.h1stats, H2: c.s.h2stats, Bytes: c.s.bytes,
	}
	if o != nil {
		copied := *o
		cfg.Options = &copied
	}
	return cfg
}

// HTTPPool implements upstream.Cluster.
func (c *workerCluster) HTTPPool(h *upstream.Host, p config.Priority, downstream stream.Protocol, o *network.TransportOptions) upstream.HTTPPool {
	mode := pool.HTTP1
	switch c.s.cfg.Protocol.Mode {
	case config.ExplicitHTTP2:
		mode = pool.HTTP2
	case config.AutoALPN:
		mode = pool.ByALPN
	case config.UseDownstream:
		if downstream == stream.HTTP2 {
			mode = pool.HTTP2
		}
	}
	k := poolKey{host: h, priority: p, mode: mode}
	if o != nil {
		k.sni = o.ServerName
	}
	if x := c.find(k); x != nil && x.http != nil {
		return x.http
	}
	if !c.s.breakers[p].Pools().TryAcquire() {
		return nil
	}
	return c.newHTTP(k, o)
}

// newHTTP makes a pool, which is forgotten when its last connection is gone: a
// key may hold a name that a client chose.
func (c *workerCluster) newHTTP(k poolKey, o *network.TransportOptions) upstream.HTTPPool {
	cfg := c.config(k.host, k.priority, k.mode, o)
	var made *pool.HTTP
	forgotten := false
	cfg.OnIdle = func() {
		if forgotten {
			return
		}
		forgotten = true
		c.s.breakers[k.priority].Pools().Release()
		if x := c.pools[k]; x != nil && x.http == made {
			x.http = nil
			c.forget(k, x)
		}
	}
	made = pool.NewHTTP(cfg)
	c.put(k).http = made
	if c.gone {
		made.Drain()
	}
	return made
}

// forget takes a key without pools out.
func (c *workerCluster) forget(k poolKey, x *pools) {
	if x.http == nil && x.tcp == nil {
		delete(c.pools, k)
		if c.lastP == x {
			c.lastP = nil
		}
	}
}

// TCPPool implements upstream.Cluster.
func (c *workerCluster) TCPPool(h *upstream.Host, p config.Priority, o *network.TransportOptions) upstream.TCPPool {
	k := poolKey{host: h, priority: p}
	if o != nil {
		k.sni = o.ServerName
	}
	x := c.put(k)
	if x.tcp == nil {
		x.tcp = pool.NewTCP(c.config(h, p, pool.HTTP1, o))
	}
	return x.tcp
}
