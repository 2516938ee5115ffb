package manager

import (
	"cmp"
	"slices"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// view is what workers read of a cluster's hosts. It is immutable.
type view struct {
	priorities []priority
	all        []*upstream.Host
	drops      []config.Drop
	// The share of traffic of each priority in percent, to its healthy and to
	// its degraded hosts; together they are 100, or 0 when no host may serve.
	healthyLoad, degradedLoad []uint32
	factor                    uint32 // overprovisioning, percent
	version                   uint64
}

// priority is the hosts of one priority.
type priority struct {
	all, healthy, degraded []*upstream.Host
	localities             []locality // by name
	excluded               int
	panic                  bool
}

// locality is the hosts of one locality at one priority.
type locality struct {
	name                   config.Locality
	weight                 uint32
	all, healthy, degraded []*upstream.Host
	excluded               int
}

// newView computes which hosts take which share.
// Source: Envoy's documentation of priority levels, overprovisioning, locality
// weights and panic threshold.
func newView(c *config.Cluster, a *config.Assignment, hosts []*placed, version uint64) *view {
	v := &view{version: version, factor: 140}
	weighted := false
	if a != nil {
		v.drops, weighted = a.Policy.Drops, a.Policy.WeightedPriority
		if a.Policy.Overprovisioning > 0 {
			v.factor = a.Policy.Overprovisioning
		}
	}
	levels := 1
	for _, h := range hosts {
		levels = max(levels, int(h.host.Priority)+1)
	}
	v.priorities = make([]priority, levels)
	v.all = make([]*upstream.Host, 0, len(hosts))
	for _, h := range hosts {
		v.all = append(v.all, h.host)
		v.priorities[h.host.Priority].add(h, c)
	}
	for i := range v.priorities {
		slices.SortStableFunc(v.priorities[i].localities, func(a, b locality) int {
			return cmp.Or(cmp.Compare(a.name.Region, b.name.Region), cmp.Compare(a.name.Zone, b.name.Zone), cmp.Compare(a.name.SubZone, b.name.SubZone))
		})
	}
	v.distribute(c, weighted)
	return v
}

func (p *priority) add(h *placed, c *config.Cluster) {
	l := p.locality(h)
	p.all = append(p.all, h.host)
	l.all = append(l.all, h.host)
	switch {
	case h.excluded(c):
		p.excluded++
		l.excluded++
	case h.host.Healthy():
		p.healthy = append(p.healthy, h.host)
		l.healthy = append(l.healthy, h.host)
	case h.host.Degraded():
		p.degraded = append(p.degraded, h.host)
		l.degraded = append(l.degraded, h.host)
	}
}

// locality finds or adds the host's locality.
func (p *priority) locality(h *placed) *locality {
	for i := range p.localities {
		if l := &p.localities[i]; l.name == h.host.Locality {
			l.weight = max(l.weight, h.localityWeight)
			return l
		}
	}
	p.localities = append(p.localities, locality{name: h.host.Locality, weight: h.localityWeight})
	return &p.localities[len(p.localities)-1]
}

// availability is how much of the traffic a priority's healthy and its degraded
// hosts can take, in percent: their share of the hosts, or of the weights,
// times the overprovisioning factor.
func (p *priority) availability(factor uint32, weighted bool) (healthy, degraded uint32) {
	total := uint64(len(p.all) - p.excluded)
	h, d := uint64(len(p.healthy)), uint64(len(p.degraded))
	if weighted {
		h, d = weightOf(p.healthy), weightOf(p.degraded)
		total = weightOf(p.all)
	}
	if total == 0 {
		return 0, 0
	}
	return uint32(min(100, h*uint64(factor)/total)), uint32(min(100, d*uint64(factor)/total))
}

func weightOf(hosts []*upstream.Host) uint64 {
	t := uint64(0)
	for _, h := range hosts {
		t += uint64(h.Weight())
	}
	return t
}

// distribute spreads the load over priorities: each takes what its health
// allows, the rest spills over to the next, and what all healthy hosts cannot
// take goes to degraded ones. When all together cannot take 100 percent, the
// shares are scaled up.
func (v *view) distribute(c *config.Cluster, weighted bool) {
	n := len(v.priorities)
	healthy, degraded := make([]uint32, n), make([]uint32, n)
	total := uint32(0)
	for i := range v.priorities {
		healthy[i], degraded[i] = v.priorities[i].availability(v.factor, weighted)
		total += healthy[i] + degraded[i]
	}
	total = min(total, 100)
	v.healthyLoad, v.degradedLoad = make([]uint32, n), make([]uint32, n)
	if total > 0 {
		left := share(v.healthyLoad, healthy, 100, total)
		left = share(v.degradedLoad, degraded, left, total)
		if i := firstAvailable(healthy); i >= 0 { // what rounding has left
			v.healthyLoad[i] += left
		} else {
			v.degradedLoad[firstAvailable(degraded)] += left
		}
	}
	v.findPanic(c, total)
}

// share gives each priority what it can take of what is left.
func share(load, available []uint32, left, total uint32) uint32 {
	for i, a := range available {
		load[i] = min(left, a*100/total)
		left -= load[i]
	}
	return left
}

func firstAvailable(available []uint32) int {
	return slices.IndexFunc(available, func(a uint32) bool { return a > 0 })
}

// findPanic marks the priorities whose hosts all take traffic because too few
// are healthy. While the priorities together can take everything, none is; when
// all are, the load follows the number of hosts.
func (v *view) findPanic(c *config.Cluster, total uint32) {
	every := true
	for i := range v.priorities {
		p := &v.priorities[i]
		share := 0.0
		if n := len(p.all) - p.excluded; n > 0 {
			share = float64(len(p.healthy)+len(p.degraded)) * 100 / float64(n)
		}
		p.panic = total != 100 && share < min(c.LB.PanicThreshold, 100)
		every = every && p.panic
	}
	if !every {
		return
	}
	clear(v.degradedLoad)
	hosts, left, first := uint32(len(v.all)), uint32(100), -1
	for i := range v.priorities {
		n := uint32(len(v.priorities[i].all))
		if n > 0 && first < 0 {
			first = i
		}
		v.healthyLoad[i] = 100 * n / max(hosts, 1)
		left -= v.healthyLoad[i]
	}
	v.healthyLoad[max(first, 0)] += left
}

// placed is a host with its place in the assignment.
type placed struct {
	host           *upstream.Host
	localityWeight uint32
}

// excluded says whether the host counts as not there until its first check.
func (p *placed) excluded(c *config.Cluster) bool {
	return p.host.Flags()&upstream.ExcludedByHC != 0 || c.LB.IgnoreNewUntilHC && p.host.Flags()&upstream.PendingActiveHC != 0
}
