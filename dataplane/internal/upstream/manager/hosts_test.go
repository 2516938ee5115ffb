package manager

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// hostsOf makes hosts from words, one a priority: h is healthy, d degraded, u
// unhealthy, x excluded.
func hostsOf(words ...string) []*placed {
	var out []*placed
	for p, w := range words {
		for i, state := range w {
			h := &upstream.Host{Priority: uint32(p), Hostname: fmt.Sprintf("%d-%d", p, i)}
			h.Address = address.FromIP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(p), byte(i)}), 80))
			switch state {
			case 'd':
				h.SetFlag(upstream.DegradedEDS)
			case 'u':
				h.SetFlag(upstream.FailedEDS)
			case 'x':
				h.SetFlag(upstream.FailedActiveHC | upstream.ExcludedByHC)
			}
			out = append(out, &placed{host: h})
		}
	}
	return out
}

func TestLoadOfPriorities(t *testing.T) {
	for _, c := range []struct {
		hosts             []string
		threshold         float64
		factor            uint32
		healthy, degraded []uint32
		panic             []bool
	}{
		{[]string{"hhhh"}, 50, 0, []uint32{100}, []uint32{0}, []bool{false}},
		{[]string{"huuu"}, 50, 0, []uint32{100}, []uint32{0}, []bool{true}},
		{[]string{"hhuu"}, 50, 0, []uint32{100}, []uint32{0}, []bool{false}},
		// Availability 80 × 1.4 is over 100: no panic, whatever the threshold.
		{[]string{"hhhhu"}, 95, 0, []uint32{100}, []uint32{0}, []bool{false}},
		{[]string{"huuu"}, 0, 0, []uint32{100}, []uint32{0}, []bool{false}},
		{[]string{"uuuu"}, 0, 0, []uint32{0}, []uint32{0}, []bool{false}},
		{[]string{"uu"}, 50, 0, []uint32{100}, []uint32{0}, []bool{true}},
		{[]string{""}, 50, 0, []uint32{100}, []uint32{0}, []bool{true}},
		// Half of the first is gone: it takes 70, the second the rest.
		{[]string{"hu", "hh"}, 50, 0, []uint32{70, 30}, []uint32{0, 0}, []bool{false, false}},
		{[]string{"hu", "hh"}, 50, 100, []uint32{50, 50}, []uint32{0, 0}, []bool{false, false}},
		{[]string{"uu", "hh"}, 50, 0, []uint32{0, 100}, []uint32{0, 0}, []bool{false, false}},
		// Together 35 + 35: scaled up to 100, and both in panic, so by hosts.
		{[]string{"huuu", "huuu"}, 50, 0, []uint32{50, 50}, []uint32{0, 0}, []bool{true, true}},
		{[]string{"huuu", "huuu"}, 20, 0, []uint32{50, 50}, []uint32{0, 0}, []bool{false, false}},
		{[]string{"uu", "u"}, 50, 0, []uint32{67, 33}, []uint32{0, 0}, []bool{true, true}},
		{[]string{"", "u"}, 50, 0, []uint32{0, 100}, []uint32{0, 0}, []bool{true, true}},
		// Degraded hosts take what healthy ones cannot.
		{[]string{"hd"}, 50, 0, []uint32{70}, []uint32{30}, []bool{false}},
		{[]string{"dd"}, 50, 0, []uint32{0}, []uint32{100}, []bool{false}},
		{[]string{"hhhd"}, 50, 0, []uint32{100}, []uint32{0}, []bool{false}},
		{[]string{"ud", "hu"}, 50, 0, []uint32{0, 70}, []uint32{30, 0}, []bool{false, false}},
		// Excluded hosts do not count.
		{[]string{"hx"}, 50, 0, []uint32{100}, []uint32{0}, []bool{false}},
		{[]string{"xx"}, 50, 0, []uint32{100}, []uint32{0}, []bool{true}},
	} {
		a := &config.Assignment{Policy: config.AssignmentPolicy{Overprovisioning: c.factor}}
		v := newView(&config.Cluster{LB: config.LoadBalancer{PanicThreshold: c.threshold}}, a, hostsOf(c.hosts...), 1)
		var panics []bool
		for i := range v.priorities {
			panics = append(panics, v.priorities[i].panic)
		}
		if !reflect.DeepEqual(v.healthyLoad, c.healthy) || !reflect.DeepEqual(v.degradedLoad, c.degraded) || !reflect.DeepEqual(panics, c.panic) {
			t.Errorf("%q threshold %v: %v %v %v, want %v %v %v", c.hosts, c.threshold, v.healthyLoad, v.degradedLoad, panics, c.healthy, c.degraded, c.panic)
		}
	}
}

// TestLoadIsWhole: whatever the hosts, the shares are 100 or nothing serves.
func TestLoadIsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		words := make([]string, 1+r.IntN(4))
		for i := range words {
			for range r.IntN(6) {
				words[i] += string("hdux"[r.IntN(4)])
			}
		}
		threshold := float64(r.IntN(3) * 50)
		v := newView(&config.Cluster{LB: config.LoadBalancer{PanicThreshold: threshold}}, nil, hostsOf(words...), 1)
		sum, serves := uint32(0), false
		for i := range v.healthyLoad {
			sum += v.healthyLoad[i] + v.degradedLoad[i]
			serves = serves || len(v.priorities[i].healthy)+len(v.priorities[i].degraded) > 0
			p := &v.priorities[i]
			if !p.panic && (v.healthyLoad[i] > 0 && len(p.healthy) == 0 || v.degradedLoad[i] > 0 && len(p.degraded) == 0) {
				t.Fatalf("%q threshold %v: load for no host: %v %v", words, threshold, v.healthyLoad, v.degradedLoad)
			}
		}
		if sum != 100 && (serves || threshold > 0) || sum != 0 && sum != 100 {
			t.Fatalf("%q threshold %v: the load is %d", words, threshold, sum)
		}
	}
}

// picks counts what a policy picks.
func picks(t *testing.T, cfg config.LoadBalancer, hosts []*placed, n int) map[string]int {
	v := newView(&config.Cluster{LB: cfg}, nil, hosts, 1)
	var k picker
	k.rebuild(&v.priorities[0], v.factor, &cfg, sim.New(9).NewWorker())
	got := map[string]int{}
	for range n {
		h := k.pick(setHealthy)
		if h == nil {
			t.Fatal("no host")
		}
		got[h.Hostname]++
	}
	return got
}

func TestPoliciesFollowWeights(t *testing.T) {
	hosts := hostsOf("hhh")
	for i, w := range []uint32{1, 2, 5} {
		hosts[i].host.SetWeight(w)
	}
	want := map[string]int{"0-0": 100, "0-1": 200, "0-2": 500}
	for _, p := range []config.Policy{config.PolicyRoundRobin, config.PolicyLeastRequest} {
		if got := picks(t, config.LoadBalancer{Policy: p, ActiveRequestBias: 1}, hosts, 800); !reflect.DeepEqual(got, want) {
			t.Errorf("policy %d: %v", p, got)
		}
	}
	got := picks(t, config.LoadBalancer{Policy: config.PolicyRandom}, hosts, 3000)
	for h, n := range got {
		if n < 900 || n > 1100 {
			t.Errorf("random: %s %d times: it looks at weights", h, n)
		}
	}
	if got := picks(t, config.LoadBalancer{}, hostsOf("hhhu"), 300); got["0-0"] != 100 || got["0-1"] != 100 || got["0-2"] != 100 {
		t.Errorf("round robin: %v", got)
	}
}

func TestLeastRequestAvoidsBusyHosts(t *testing.T) {
	hosts := hostsOf("hh")
	hosts[0].host.Active.Requests.Store(10)
	got := picks(t, config.LoadBalancer{Policy: config.PolicyLeastRequest, ChoiceCount: 2}, hosts, 1000)
	if got["0-0"] < 200 || got["0-0"] > 300 { // both choices fall on it
		t.Errorf("equal weights: %v", got)
	}
	hosts[1].host.SetWeight(2)
	got = picks(t, config.LoadBalancer{Policy: config.PolicyLeastRequest, ActiveRequestBias: 1}, hosts, 2300)
	if got["0-0"] < 90 || got["0-0"] > 110 { // 1/11 to 2
		t.Errorf("weights 1/11 and 2: %v", got)
	}
}

func TestLocalitiesShareByWeightAndHealth(t *testing.T) {
	hosts := hostsOf("hhhhuu")
	for i, p := range hosts {
		zone, weight := "a", uint32(3)
		if i >= 2 {
			zone, weight = "b", 1
		}
		p.host.Locality, p.localityWeight = config.Locality{Zone: zone}, weight
	}
	byZone := func(factor uint32) map[string]int {
		cfg := config.LoadBalancer{LocalityWeighted: true}
		v := newView(&config.Cluster{LB: cfg}, &config.Assignment{Policy: config.AssignmentPolicy{Overprovisioning: factor}}, hosts, 1)
		var k picker
		k.rebuild(&v.priorities[0], v.factor, &cfg, sim.New(9).NewWorker())
		got := map[string]int{}
		for range 700 {
			got[k.pick(setHealthy).Locality.Zone]++
		}
		return got
	}
	// b is half healthy: its weight counts 0.5 without overprovisioning, and in
	// full with a factor of 200.
	if got := byZone(100); got["a"] != 600 || got["b"] != 100 {
		t.Errorf("factor 100: %v", got)
	}
	if got := byZone(200); got["a"] != 525 || got["b"] != 175 {
		t.Errorf("factor 200: %v", got)
	}
}
