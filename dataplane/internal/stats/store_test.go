package stats

import (
	"fmt"
	"math"
	"sync"
	"testing"
)

var schema = NewSchema(C("total"), G("active"), H("time", UnitMilliseconds), C("errors"))

func find(t *testing.T, s *Store, name string) Sample {
	t.Helper()
	for _, r := range s.Read() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no statistic %q", name)
	return Sample{}
}

func TestWorkersAreSummed(t *testing.T) {
	s := NewStore()
	a, b := s.NewLocal(), s.NewLocal()
	g := s.Group("cluster.x.", schema)
	g.Counter(0).Inc(a)
	g.Counter(0).Add(b, 4)
	g.Counter(0).Inc(s.Main())
	g.Gauge(1).Inc(a)
	g.Gauge(1).Dec(b)
	g.Histogram(2).Record(a, 7)
	g.Histogram(2).Record(b, 1234)
	if r := find(t, s, "cluster.x.total"); r.Value != 6 || !r.Used {
		t.Errorf("total %+v", r)
	}
	if r := find(t, s, "cluster.x.active"); r.Value != 0 || !r.Used {
		t.Errorf("active %+v", r)
	}
	if r := find(t, s, "cluster.x.errors"); r.Value != 0 || r.Used {
		t.Errorf("errors %+v", r)
	}
	snap := s.Snapshot(find(t, s, "cluster.x.time"))
	if snap.Count != 2 || snap.Sum != 1241 {
		t.Errorf("snapshot %+v", snap)
	}
	if q := snap.Quantile(1); math.Abs(q-1250) > 1 {
		t.Errorf("p100 %v", q)
	}
}

func TestSharedAndReleasedGroups(t *testing.T) {
	s := NewStore()
	w := s.NewLocal()
	g, same := s.Group("a.", schema), s.Group("a.", schema)
	if g != same {
		t.Fatal("one prefix gave two groups")
	}
	g.Counter(0).Inc(w)
	g.Histogram(2).Record(w, 5)
	g.Release()
	if find(t, s, "a.total").Value != 1 {
		t.Fatal("released too early")
	}
	g.Release()
	if len(s.Read()) != 0 {
		t.Fatal("names are left")
	}
	n := s.Group("b.", schema)
	if n.slot != g.slot {
		t.Fatal("numbers are not used again")
	}
	if r := find(t, s, "b.total"); r.Value != 0 || find(t, s, "b.time").Used {
		t.Fatal("a new group begins with old values")
	}
}

// TestGrowingLosesNothing adds while groups are made, which replaces the
// directories under the writers.
func TestGrowingLosesNothing(t *testing.T) {
	s := NewStore()
	g := s.Group("a.", schema)
	var wg sync.WaitGroup
	for range 4 {
		l := s.NewLocal()
		wg.Go(func() {
			for range 20000 {
				g.Counter(0).Inc(l)
				g.Histogram(2).Record(l, 3)
			}
		})
	}
	for i := range 3000 {
		s.Group(fmt.Sprintf("g%d.", i), schema)
	}
	wg.Wait()
	if v := find(t, s, "a.total").Value; v != 80000 {
		t.Fatalf("%d of 80000 left", v)
	}
	if v := s.Snapshot(find(t, s, "a.time")).Count; v != 80000 {
		t.Fatalf("%d of 80000 values left", v)
	}
}

func TestBins(t *testing.T) {
	for _, v := range []uint64{1, 9, 10, 11, 99, 100, 109, 110, 999, 1000, 123456, math.MaxUint64} {
		d, b := bin(v)
		w := math.Pow10(d - 1)
		lo := float64(b+10) * w
		if f := float64(v); f < lo || f >= lo+w*1.0000001 {
			t.Errorf("%d is in bin [%v, %v)", v, lo, lo+w)
		}
	}
}

func TestWritingAllocatesNothing(t *testing.T) {
	s := NewStore()
	l := s.NewLocal()
	g := s.Group("a.", schema)
	if n := testing.AllocsPerRun(100, func() {
		g.Counter(0).Inc(l)
		g.Gauge(1).Inc(l)
		g.Histogram(2).Record(l, 42)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkCounter(b *testing.B) {
	s := NewStore()
	l := s.NewLocal()
	c := s.Group("a.", schema).Counter(0)
	for b.Loop() {
		c.Inc(l)
	}
}
