package manager

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// world is a manager over a simulated kernel, with names and health by script.
type world struct {
	t        testing.TB
	k        *sim.Kernel
	m        *Manager
	checkers map[string]*fakeChecker
	names    map[string]lookup
}

type lookup struct {
	addrs []string
	ttl   time.Duration
	err   error
}

func (x *world) Resolve(host string, _ config.DNSFamily, done func([]string, time.Duration, error)) {
	l := x.names[host]
	x.m.cfg.Control.Post(func() { done(l.addrs, l.ttl, l.err) })
}

// fakeChecker notes what it is told; tests give the outcomes.
type fakeChecker struct {
	hosts   []*upstream.Host
	changed func(*upstream.Host, bool, bool)
	failed  []*upstream.Host
	stopped bool
}

func (c *fakeChecker) SetHosts(h []*upstream.Host, changed func(*upstream.Host, bool, bool)) {
	c.hosts, c.changed = h, changed
}
func (c *fakeChecker) Fail(h *upstream.Host) { c.failed = append(c.failed, h) }
func (c *fakeChecker) Stop()                 { c.stopped = true }

func newWorld(t testing.TB, seed uint64) *world {
	x := &world{t: t, k: sim.New(seed), checkers: map[string]*fakeChecker{}, names: map[string]lookup{}}
	w, control := x.k.NewWorker(), x.k.NewWorker()
	x.m = New(Config{
		Workers: []*event.Worker{w}, Control: control, Stats: x.k.Store, Random: x.k.Rand.Uint64, Resolve: x,
		After: func(d time.Duration, f func()) func() {
			var tm event.Timer
			tm.Init(control, f)
			tm.ResetAt(x.k.Clock.Now().Add(d)) // the test calls between the worker's turns
			return tm.Stop
		},
		HealthFactory: func(c *config.Cluster, _ *upstream.Info) HealthChecker {
			f := &fakeChecker{}
			x.checkers[c.Name+c.Version] = f
			return f
		},
	})
	return x
}

func (x *world) stat(name string) uint64 {
	for _, s := range x.k.Store.Read() {
		if s.Name == name {
			return s.Value
		}
	}
	return 0
}

func (x *world) has(name string) bool {
	return slices.ContainsFunc(x.k.Store.Read(), func(s stats.Sample) bool { return s.Name == name })
}

// names returns the hosts that a worker would send requests to.
func (x *world) serving(cluster string) []string {
	c := x.m.On(0).Get(cluster)
	if c == nil {
		return nil
	}
	w := c.(*workerCluster)
	w.refresh()
	var out []string
	for i := range w.view.priorities {
		for _, h := range w.view.priorities[i].healthy {
			out = append(out, h.Address.String())
		}
	}
	slices.Sort(out)
	return out
}

// anyone is a balancer context without wishes.
type anyone struct{}

func (anyone) Hash() (uint64, bool)           { return 0, false }
func (anyone) MetadataMatch() map[string]any  { return nil }
func (anyone) Headers() *header.Map           { return nil }
func (anyone) Downstream() network.Connection { return nil }
func (anyone) Reject(*upstream.Host) bool     { return false }
func (anyone) MaxAttempts() int               { return 1 }
func (anyone) OverrideHost() (string, bool)   { return "", false }

func at(n int) address.Address {
	return address.FromIP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80))
}

func assignment(hosts ...int) *config.Assignment {
	a := &config.Assignment{Localities: []config.LocalityEndpoints{{}}}
	for _, n := range hosts {
		a.Localities[0].Endpoints = append(a.Localities[0].Endpoints, config.Endpoint{Address: at(n), Weight: 1})
	}
	return a
}

var limits = config.BreakerLimits{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, MaxPools: 1 << 30}

func cluster0(name string, d config.Discovery) *config.Cluster {
	return &config.Cluster{
		Name: name, Discovery: d, ConnectTimeout: time.Second, Breakers: [2]config.BreakerLimits{limits, limits},
		LB: config.LoadBalancer{PanicThreshold: 50},
	}
}

func (x *world) update(c *config.Cluster) *bool {
	x.t.Helper()
	ready := new(bool)
	if err := x.m.Update(c, func() { *ready = true }); err != nil {
		x.t.Fatal(err)
	}
	return ready
}

func (x *world) assign(name string, a *config.Assignment) {
	x.t.Helper()
	if err := x.m.SetAssignment(name, a); err != nil {
		x.t.Fatal(err)
	}
	x.k.Run(1000)
}

// hostsByAddress are the present host objects.
func (x *world) hostsByAddress(name string) map[string]*upstream.Host {
	out := map[string]*upstream.Host{}
	for _, p := range x.m.active[name].hosts {
		out[p.host.Address.String()] = p.host
	}
	return out
}

func TestEDSWarmsAndKeepsHosts(t *testing.T) {
	x := newWorld(t, 1)
	ready := x.update(cluster0("a", config.EDS))
	if *ready || x.m.On(0).Get("a") != nil || x.stat("cluster_manager.warming_clusters") != 1 {
		t.Fatal("the cluster serves before its endpoints are there")
	}
	x.assign("a", assignment(1, 2))
	if !*ready || !reflect.DeepEqual(x.serving("a"), []string{"10.0.0.1:80", "10.0.0.2:80"}) || x.stat("cluster_manager.active_clusters") != 1 {
		t.Fatalf("ready %v, %v", *ready, x.serving("a"))
	}
	before := x.hostsByAddress("a")
	x.assign("a", assignment(3, 2))
	after := x.hostsByAddress("a")
	if after["10.0.0.2:80"] != before["10.0.0.2:80"] || after["10.0.0.1:80"] != nil || x.stat("cluster.a.membership_change") != 2 || x.stat("cluster.a.membership_total") != 2 {
		t.Fatal("a host that did not change was made anew, or the change was not counted")
	}
	x.assign("a", assignment(2, 3)) // another order is no change
	if x.stat("cluster.a.update_no_rebuild") != 1 || x.stat("cluster.a.membership_change") != 2 {
		t.Errorf("no_rebuild %d", x.stat("cluster.a.update_no_rebuild"))
	}
	x.assign("a", assignment(2, 2, 3))
	if x.stat("cluster.a.membership_total") != 2 {
		t.Error("an address that is given twice is two hosts")
	}
	x.assign("a", &config.Assignment{})
	if x.stat("cluster.a.membership_total") != 0 || x.m.On(0).Get("a").ChooseHost(anyone{}) != nil {
		t.Error("an empty assignment left hosts")
	}
	if x.m.SetAssignment("b", assignment(1)) == nil {
		t.Error("an assignment for no cluster was taken")
	}
}

func TestOldServesUntilNewIsWarm(t *testing.T) {
	x := newWorld(t, 1)
	x.update(cluster0("a", config.EDS))
	x.assign("a", assignment(1))
	c := cluster0("a", config.Static)
	c.HealthChecks = []config.HealthCheck{{}}
	c.Version = "2"
	c.Assignment = assignment(7)
	ready := x.update(c)
	x.k.Run(1000)
	if *ready || !reflect.DeepEqual(x.serving("a"), []string{"10.0.0.1:80"}) {
		t.Fatalf("ready %v, %v serve", *ready, x.serving("a"))
	}
	f := x.checkers["a2"]
	h := f.hosts[0]
	if h.Flags() != upstream.FailedActiveHC|upstream.PendingActiveHC {
		t.Errorf("before the first check: flags %b", h.Flags())
	}
	h.ClearFlag(upstream.FailedActiveHC)
	f.changed(h, true, true)
	x.k.Run(1000)
	if !*ready || !reflect.DeepEqual(x.serving("a"), []string{"10.0.0.7:80"}) {
		t.Fatalf("ready %v, %v serve", *ready, x.serving("a"))
	}
	h.OnImmediateFail()
	x.k.Run(1000)
	if len(f.failed) != 1 {
		t.Error("the checker did not hear of an immediate failure")
	}
	if !x.m.Remove("a") || x.m.Remove("a") || !f.stopped || x.m.On(0).Get("a") == nil {
		t.Error("removal")
	}
	x.k.Run(1000)
	if x.m.On(0).Get("a") != nil {
		t.Error("a removed cluster serves")
	}
	if !x.has("cluster.a.upstream_cx_total") {
		t.Error("the statistics went while connections may be left")
	}
	x.k.Advance(2 * retireCheck)
	if x.has("cluster.a.upstream_cx_total") || x.has("cluster.a.circuit_breakers.default.cx_open") {
		t.Error("the statistics of a removed cluster are left")
	}
}

func TestStaticClustersAreNotUpdated(t *testing.T) {
	x := newWorld(t, 1)
	c := cluster0("a", config.Static)
	c.Static, c.Assignment = true, assignment(1)
	x.update(c)
	if x.m.Update(cluster0("a", config.Static), nil) == nil || x.m.Remove("a") {
		t.Error("a cluster of the bootstrap was changed")
	}
}

func TestMergeWindow(t *testing.T) {
	x := newWorld(t, 1)
	c := cluster0("a", config.EDS)
	c.LB.UpdateMergeWindow = time.Second
	x.update(c)
	x.assign("a", assignment(1, 2))
	x.k.Advance(5 * time.Second)
	sick := func(n int) {
		a := assignment(1, 2)
		for i := range n {
			a.Localities[0].Endpoints[i].Health = config.HealthUnhealthy
		}
		x.assign("a", a)
	}
	expect := func(what string, serving, healthy int) {
		t.Helper()
		if n := len(x.serving("a")); n != serving || x.stat("cluster.a.membership_healthy") != uint64(healthy) {
			t.Errorf("%s: %d serve, membership_healthy %d", what, n, x.stat("cluster.a.membership_healthy"))
		}
	}
	sick(1)
	expect("the first change is applied at once", 1, 1)
	sick(0)
	expect("the second waits", 1, 2)
	x.k.Advance(500 * time.Millisecond)
	sick(2)
	expect("the third too", 1, 0)
	x.k.Advance(600 * time.Millisecond)
	expect("the window is over", 0, 0)
	if x.stat("cluster_manager.cluster_updated_via_merge") != 1 || x.stat("cluster_manager.update_out_of_merge_window") != 1 {
		t.Errorf("via merge %d, out of window %d", x.stat("cluster_manager.cluster_updated_via_merge"), x.stat("cluster_manager.update_out_of_merge_window"))
	}
	sick(0)
	x.assign("a", assignment(1, 2, 3))
	expect("a new host is applied at once, with what waited", 3, 3)
	if x.stat("cluster_manager.update_merge_cancelled") != 1 {
		t.Error("the held update was not cancelled")
	}
}

func TestRemovedHostStaysWhileItIsHealthy(t *testing.T) {
	for _, drain := range []bool{false, true} {
		x := newWorld(t, 1)
		c := cluster0("a", config.EDS)
		c.HealthChecks, c.DrainOnRemoval = []config.HealthCheck{{}}, drain
		x.update(c)
		x.assign("a", assignment(1, 2))
		f := x.checkers["a"]
		for _, h := range slices.Clone(f.hosts) {
			h.ClearFlag(upstream.FailedActiveHC)
			f.changed(h, true, true)
		}
		gone := f.hosts[0]
		x.assign("a", assignment(2))
		if drain {
			if len(x.serving("a")) != 1 || x.stat("cluster.a.membership_total") != 1 {
				t.Error("ignore_health_on_host_removal: the host stayed")
			}
			continue
		}
		if len(x.serving("a")) != 2 || gone.Flags()&upstream.PendingRemoval == 0 {
			t.Fatal("a healthy host was removed")
		}
		gone.SetFlag(upstream.FailedActiveHC)
		f.changed(gone, true, false)
		if len(x.serving("a")) != 1 || x.stat("cluster.a.membership_total") != 1 {
			t.Error("it stayed when it failed")
		}
	}
}

func TestStaleAssignment(t *testing.T) {
	x := newWorld(t, 1)
	x.update(cluster0("a", config.EDS))
	a := assignment(1)
	a.Policy.StaleAfter = time.Second
	x.assign("a", a)
	x.k.Advance(900 * time.Millisecond)
	x.assign("a", a)
	x.k.Advance(900 * time.Millisecond)
	if len(x.serving("a")) != 1 {
		t.Fatal("a renewed assignment went stale")
	}
	x.k.Advance(200 * time.Millisecond)
	if len(x.serving("a")) != 0 || x.stat("cluster.a.assignment_stale") != 1 || x.stat("cluster.a.assignment_timeout_received") != 2 {
		t.Errorf("%v, stale %d", x.serving("a"), x.stat("cluster.a.assignment_stale"))
	}
}

func TestDNSClusters(t *testing.T) {
	x := newWorld(t, 1)
	x.names["one.test"] = lookup{addrs: []string{"10.1.0.1", "10.1.0.2"}, ttl: 3 * time.Second}
	x.names["two.test"] = lookup{err: errors.New("no answer")}
	endpoints := func(hosts ...string) *config.Assignment {
		a := assignment()
		for _, h := range hosts {
			a.Localities[0].Endpoints = append(a.Localities[0].Endpoints, config.Endpoint{Host: h, Port: 80})
		}
		return a
	}
	c := cluster0("s", config.StrictDNS)
	c.Assignment = endpoints("one.test", "two.test", "10.9.9.9")
	c.DNS = config.DNS{RefreshRate: 5 * time.Second, RespectTTL: true, FailureBase: time.Second, FailureMax: 10 * time.Second}
	ready := x.update(c)
	l := cluster0("l", config.LogicalDNS)
	l.Assignment, l.DNS = endpoints("one.test"), config.DNS{RefreshRate: 5 * time.Second}
	x.update(l)
	x.k.Run(1000)
	want := []string{"10.1.0.1:80", "10.1.0.2:80", "10.9.9.9:80"}
	if !*ready || !reflect.DeepEqual(x.serving("s"), want) {
		t.Fatalf("ready %v, strict: %v", *ready, x.serving("s"))
	}
	if got := x.serving("l"); len(got) != 1 || x.m.On(0).Get("l").ChooseHost(anyone{}).Hostname != "one.test" {
		t.Errorf("logical: %v", got)
	}
	x.names["one.test"] = lookup{addrs: []string{"10.1.0.2", "10.1.0.3"}, ttl: 3 * time.Second}
	kept := x.hostsByAddress("s")["10.1.0.2:80"]
	x.k.Advance(3500 * time.Millisecond)
	if got := x.serving("s"); !reflect.DeepEqual(got, []string{"10.1.0.2:80", "10.1.0.3:80", "10.9.9.9:80"}) || x.hostsByAddress("s")["10.1.0.2:80"] != kept {
		t.Errorf("after the time to live: %v", got)
	}
	// Failures at 0, 1 and 3 s: the pause doubles.
	if n := x.stat("cluster.s.update_failure"); n != 3 {
		t.Errorf("%d failures", n)
	}
	x.names["one.test"] = lookup{err: errors.New("gone")}
	x.k.Advance(10 * time.Second)
	if got := x.serving("s"); len(got) != 3 {
		t.Errorf("a failed look-up took hosts away: %v", got)
	}
}

// TestIncrementalEqualsRebuild applies random assignments one after another and
// compares with a cluster that gets the last alone.
func TestIncrementalEqualsRebuild(t *testing.T) {
	for seed := range uint64(200) {
		x := newWorld(t, seed)
		x.update(cluster0("inc", config.EDS))
		r := x.k.Rand
		var last *config.Assignment
		for range 12 {
			last = &config.Assignment{}
			for l := range 1 + r.IntN(3) {
				e := config.LocalityEndpoints{Locality: config.Locality{Zone: fmt.Sprint(l)}, Weight: uint32(r.IntN(3)), Priority: uint32(r.IntN(2))}
				for i := range r.IntN(8) {
					e.Endpoints = append(e.Endpoints, config.Endpoint{
						Address: at(l*100 + i), Weight: uint32(1 + r.IntN(2)), Health: config.Health(r.IntN(6)),
						Metadata: config.Metadata{"envoy.lb": {"v": r.IntN(2)}},
					})
				}
				last.Localities = append(last.Localities, e)
			}
			x.assign("inc", last)
		}
		x.update(cluster0("all", config.EDS))
		x.assign("all", last)
		a, b := x.m.active["inc"].s.view.Load(), x.m.active["all"].s.view.Load()
		if got, want := describe(a), describe(b); got != want {
			t.Fatalf("seed %d:\n%s\nbut a rebuild gives\n%s", seed, got, want)
		}
		for _, s := range []string{"membership_total", "membership_healthy", "membership_degraded", "max_host_weight"} {
			if x.stat("cluster.inc."+s) != x.stat("cluster.all."+s) {
				t.Fatalf("seed %d: %s differs", seed, s)
			}
		}
	}
}

func describe(v *view) string {
	text := fmt.Sprint(v.healthyLoad, v.degradedLoad, "\n")
	list := func(hosts []*upstream.Host) string {
		var out []string
		for _, h := range hosts {
			out = append(out, fmt.Sprintf("%s w%d %v %b", h.Address, h.Weight(), h.Metadata(), h.Flags()))
		}
		return fmt.Sprint(out, " ")
	}
	for i := range v.priorities {
		p := &v.priorities[i]
		text += fmt.Sprint(i, p.panic, list(p.all), list(p.healthy), list(p.degraded), "\n")
		for j := range p.localities {
			l := &p.localities[j]
			text += fmt.Sprint("  ", l.name, l.weight, list(l.all), list(l.healthy), "\n")
		}
	}
	return text
}

func TestPoolsAreKeptByKeyAndLimited(t *testing.T) {
	x := newWorld(t, 1)
	c := cluster0("a", config.Static)
	c.Assignment = assignment(1, 2)
	c.Breakers[0].MaxPools = 2
	x.update(c)
	w := x.m.On(0).Get("a")
	var hosts []*upstream.Host
	for _, h := range x.hostsByAddress("a") {
		hosts = append(hosts, h)
	}
	one := w.HTTPPool(hosts[0], 0, stream.HTTP11, nil)
	if one == nil || w.HTTPPool(hosts[0], 0, stream.HTTP11, nil) != one {
		t.Fatal("the pool is made anew")
	}
	two := w.HTTPPool(hosts[1], 0, stream.HTTP11, nil)
	if two == nil || two == one || w.HTTPPool(hosts[0], 0, stream.HTTP11, &network.TransportOptions{ServerName: "x"}) != nil {
		t.Error("max_connection_pools does not hold")
	}
	if w.HTTPPool(hosts[0], config.PriorityHigh, stream.HTTP11, nil) == nil {
		t.Error("the other priority has its own limit")
	}
}

// TestMemoryOfManyClusters holds a cluster to its budget.
func TestMemoryOfManyClusters(t *testing.T) {
	const n = 2000
	x := newWorld(t, 1)
	measure := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure()
	for i := range n {
		c := cluster0(fmt.Sprintf("cluster-%d", i), config.Static)
		c.Assignment = assignment(i)
		x.update(c)
	}
	each := (measure() - before) / n
	t.Logf("%d bytes a cluster", each)
	if each > 8<<10 {
		t.Errorf("a cluster takes %d bytes", each)
	}
	runtime.KeepAlive(x)
}
