package manager

import (
	"math"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/lb"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// set says which hosts of a priority take part.
type set uint8

const (
	setHealthy set = iota
	setDegraded
	setAll
	numSets
)

// picker balances over the hosts of one priority, on one worker.
type picker struct {
	w          *event.Worker
	lb         *config.LoadBalancer
	p          *priority
	factor     uint32 // overprovisioning, percent
	flat       [numSets]group
	byLocality [numSets]localityGroups
}

// group is a list of hosts with the state of the policy.
type group struct {
	hosts   []*upstream.Host
	next    uint64 // round robin
	edf     lb.EDF[*upstream.Host]
	unequal bool
	built   bool
}

// localityGroups schedules localities by weight.
type localityGroups struct {
	edf    lb.EDF[int]
	groups []group
	weight []float64
	built  bool
}

// rebuild takes new hosts over. Round robin begins at a random host, again
// after each rebuild, so that the proxies of a fleet do not move in step.
func (k *picker) rebuild(p *priority, factor uint32, cfg *config.LoadBalancer, w *event.Worker) {
	k.w, k.lb, k.p, k.factor = w, cfg, p, factor
	for s := range numSets {
		k.flat[s] = group{}
		k.byLocality[s] = localityGroups{}
	}
}

func (p *priority) of(s set) []*upstream.Host {
	switch s {
	case setHealthy:
		return p.healthy
	case setDegraded:
		return p.degraded
	}
	return p.all
}

func (l *locality) of(s set) []*upstream.Host {
	switch s {
	case setHealthy:
		return l.healthy
	case setDegraded:
		return l.degraded
	}
	return l.all
}

// pick returns a host of the set, or nil when it is empty.
func (k *picker) pick(s set) *upstream.Host {
	if k.lb.LocalityWeighted && s != setAll {
		if g := k.locality(s); g != nil {
			return k.pickFrom(g)
		}
	}
	g := &k.flat[s]
	if !g.built {
		g.build(k.p.of(s), k)
	}
	if len(g.hosts) == 0 {
		return nil
	}
	return k.pickFrom(g)
}

func (g *group) build(hosts []*upstream.Host, k *picker) {
	g.built, g.hosts = true, hosts
	if len(hosts) == 0 {
		return
	}
	for _, h := range hosts {
		g.unequal = g.unequal || h.Weight() != hosts[0].Weight()
	}
	g.next = k.w.Rand.Uint64()
	if !g.unequal || k.lb.Policy == config.PolicyRandom {
		return
	}
	for _, h := range hosts {
		g.edf.Add(k.weight(h), h)
	}
	for range g.next % uint64(len(hosts)) {
		g.edf.Pick(k.weight)
	}
}

// weight is a host's weight for the schedule; least request divides it by the
// requests that are under way.
func (k *picker) weight(h *upstream.Host) float64 {
	w := float64(h.Weight())
	if k.lb.Policy == config.PolicyLeastRequest {
		if bias := k.lb.ActiveRequestBias; bias > 0 {
			w /= math.Pow(float64(h.Active.Requests.Load()+1), bias)
		}
	}
	return w
}

// pickFrom picks by the policy. RANDOM does not look at weights; the others
// schedule hosts of different weights earliest deadline first.
func (k *picker) pickFrom(g *group) *upstream.Host {
	if k.lb.Policy == config.PolicyRandom {
		return g.hosts[k.w.Rand.Uint64()%uint64(len(g.hosts))]
	}
	if g.unequal {
		return g.edf.Pick(k.weight)
	}
	if k.lb.Policy == config.PolicyLeastRequest {
		return lb.LeastOf(g.hosts, int(max(k.lb.ChoiceCount, 2)), k.w.Rand.Uint64, activeRequests)
	}
	h := g.hosts[g.next%uint64(len(g.hosts))]
	g.next++
	return h
}

func activeRequests(h *upstream.Host) int64 { return h.Active.Requests.Load() }

// locality picks a locality by its weight, less what of it is not healthy; nil
// when the localities have no weights.
func (k *picker) locality(s set) *group {
	l := &k.byLocality[s]
	if !l.built {
		l.build(k.p, s, k.factor)
	}
	if l.edf.Len() == 0 {
		return nil
	}
	i := l.edf.Pick(func(i int) float64 { return l.weight[i] })
	g := &l.groups[i]
	if !g.built {
		g.build(k.p.localities[i].of(s), k)
	}
	return g
}

// build schedules the localities that have hosts in the set, by their weight
// times what their health allows, overprovisioned as priorities are.
func (l *localityGroups) build(p *priority, s set, factor uint32) {
	l.built = true
	l.groups = make([]group, len(p.localities))
	l.weight = make([]float64, len(p.localities))
	for i := range p.localities {
		x := &p.localities[i]
		hosts, of := x.of(s), len(x.all)-x.excluded
		if x.weight == 0 || len(hosts) == 0 || of == 0 {
			continue
		}
		l.weight[i] = float64(x.weight) * min(1, float64(factor)/100*float64(len(hosts))/float64(of))
		l.edf.Add(l.weight[i], i)
	}
}
