package manager

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// view is what workers read of a cluster's hosts. It is immutable.
type view struct {
	priorities []priority
	all        []*upstream.Host
	drops      []config.Drop
	// load is the share of traffic of each priority in percent, to its healthy
	// and to its degraded hosts; they add up to 100.
	healthyLoad, degradedLoad []uint32
	version                   uint64
}

// priority is the hosts of one priority.
type priority struct {
	all, healthy, degraded []*upstream.Host
	localities             []locality
	panic                  bool
	unequal                bool // weights differ
}

// locality is the hosts of one locality at one priority.
type locality struct {
	weight                 uint32
	all, healthy, degraded []*upstream.Host
}

// newView computes which hosts take which share.
// Source: Envoy's documentation of priority levels, overprovisioning and panic
// threshold.
func newView(c *config.Cluster, a *config.Assignment, hosts []*placed, version uint64) *view {
	v := &view{version: version}
	factor := uint32(140)
	if a != nil {
		v.drops = a.Policy.Drops
		if a.Policy.Overprovisioning > 0 {
			factor = a.Policy.Overprovisioning
		}
	}
	levels := 1
	for _, h := range hosts {
		levels = max(levels, int(h.host.Priority)+1)
	}
	v.priorities = make([]priority, levels)
	for _, h := range hosts {
		p := &v.priorities[h.host.Priority]
		l := p.locality(h)
		v.all = append(v.all, h.host)
		p.all = append(p.all, h.host)
		l.all = append(l.all, h.host)
		if p.all[0].Weight() != h.host.Weight() {
			p.unequal = true
		}
		switch {
		case h.excluded(c):
		case h.host.Healthy():
			p.healthy = append(p.healthy, h.host)
			l.healthy = append(l.healthy, h.host)
		case h.host.Degraded():
			p.degraded = append(p.degraded, h.host)
			l.degraded = append(l.degraded, h.host)
		}
	}
	v.distribute(c, factor)
	return v
}

// locality finds or adds the host's locality; the order is that of the
// assignment.
func (p *priority) locality(h *placed) *locality {
	for len(p.localities) <= h.locality {
		p.localities = append(p.localities, locality{})
	}
	l := &p.localities[h.locality]
	l.weight = h.localityWeight
	return l
}

// distribute spreads the load over priorities: each takes what its health
// allows (healthy percent times the overprovisioning factor), the rest spills
// over. When all together cannot take 100 percent, the shares are scaled up.
func (v *view) distribute(c *config.Cluster, factor uint32) {
	n := len(v.priorities)
	healthy, degraded := make([]uint32, n), make([]uint32, n)
	total := uint32(0)
	for i := range v.priorities {
		p := &v.priorities[i]
		if len(p.all) > 0 {
			healthy[i] = min(100, uint32(len(p.healthy))*factor/uint32(len(p.all)))
			degraded[i] = min(100, uint32(len(p.degraded))*factor/uint32(len(p.all)))
		}
		total += healthy[i] + degraded[i]
	}
	total = min(total, 100)
	v.healthyLoad, v.degradedLoad = make([]uint32, n), make([]uint32, n)
	if total == 0 {
		v.healthyLoad[0] = 100 // all are in panic
		for i := range v.priorities {
			v.healthyLoad[i] = 0
			if len(v.priorities[i].all) > 0 {
				v.healthyLoad = make([]uint32, n)
				v.healthyLoad[i] = 100
				break
			}
		}
	} else {
		left := uint32(100)
		share := func(load, health []uint32) {
			for i := range load {
				load[i] = min(left, health[i]*100/total)
				left -= load[i]
			}
		}
		share(v.healthyLoad, healthy)
		share(v.degradedLoad, degraded)
		if left > 0 { // rounding
			for i := range v.healthyLoad {
				if v.healthyLoad[i] > 0 {
					v.healthyLoad[i] += left
					left = 0
					break
				}
			}
		}
		for i := range v.degradedLoad {
			if left > 0 && v.degradedLoad[i] > 0 {
				v.degradedLoad[i] += left
				left = 0
			}
		}
	}
	v.findPanic(c, healthy, degraded, total)
}

// findPanic marks the priorities whose hosts all take traffic because too few
// are healthy. While the priorities together can take everything, none is.
func (v *view) findPanic(c *config.Cluster, healthy, degraded []uint32, total uint32) {
	if c.LB.PanicThreshold <= 0 {
		return
	}
	enough := total == 100
	for i := range v.priorities {
		p := &v.priorities[i]
		if len(p.all) == 0 {
			continue
		}
		share := float64(len(p.healthy)+len(p.degraded)) * 100 / float64(len(p.all))
		if enough && healthy[i]+degraded[i] > 0 && sum(healthy)+sum(degraded) >= 100 && len(v.priorities) > 1 {
			continue
		}
		p.panic = share < c.LB.PanicThreshold
	}
}

func sum(x []uint32) uint32 {
	t := uint32(0)
	for _, n := range x {
		t += n
	}
	return t
}

// placed is a host with its place in the assignment.
type placed struct {
	host           *upstream.Host
	locality       int
	localityWeight uint32
}

// excluded says whether the host counts as not there until its first check.
func (p *placed) excluded(c *config.Cluster) bool {
	return c.LB.IgnoreNewUntilHC && p.host.Flags()&upstream.PendingActiveHC != 0
}
