package stats

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Store owns all statistics of a process. Its methods may be called by any
// goroutine; handles and Locals are what the request path uses.
type Store struct {
	mu     sync.Mutex
	main   *Local
	locals []*Local // main first

	slots, hists         uint32              // next free number; 0 is the one that nobody reads
	freeSlots, freeHists map[uint32][]uint32 // ranges given back, by length

	groups map[groupKey]*Group
	texts  map[string]string
}

type groupKey struct {
	prefix string
	schema *Schema
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{
		slots: 2, hists: 1,
		freeSlots: map[uint32][]uint32{}, freeHists: map[uint32][]uint32{},
		groups: map[groupKey]*Group{}, texts: map[string]string{},
	}
	s.main = s.newLocal(true)
	return s
}

// Main returns the Local of everything that is no worker.
func (s *Store) Main() *Local { return s.main }

// NewLocal returns the Local of a new worker, its only writer.
func (s *Store) NewLocal() *Local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newLocal(false)
}

func (s *Store) newLocal(shared bool) *Local {
	l := &Local{shared: shared}
	l.grow(s.slots, s.hists)
	s.locals = append(s.locals, l)
	return l
}

// grow makes room for so many slots and histograms. The cells stay where they
// are, so a writer that still uses the old directory loses nothing; pages and
// histograms are made when they are first written, so that a cluster that a
// worker never uses costs it nothing.
func (l *Local) grow(slots, hists uint32) {
	l.dir.Store(extend(l.dir.Load(), int(slots+pageSize-1)>>pageBits))
	l.hists.Store(extend(l.hists.Load(), int(hists)))
}

// extend returns a directory of at least n entries that shares the old one's
// cells.
func extend[T any](old *[]*atomic.Pointer[T], n int) *[]*atomic.Pointer[T] {
	have := 0
	if old != nil {
		have = len(*old)
	}
	if n <= have && old != nil {
		return old
	}
	next := make([]*atomic.Pointer[T], max(n, have+have/2, 1))
	if old != nil {
		copy(next, *old)
	}
	cells := make([]atomic.Pointer[T], len(next)-have)
	for i := range cells {
		next[have+i] = &cells[i]
	}
	return &next
}

// Group is a schema under a prefix, with the numbers of its statistics.
type Group struct {
	Prefix string
	Schema *Schema
	store  *Store
	refs   int
	slot   uint32
	hist   uint32
}

// Group returns the statistics of schema under prefix (which ends in a dot, or
// is empty). The same prefix and schema give the same statistics: two
// listeners with one stat_prefix share them, as in Envoy. Each call is paired
// with one Release.
func (s *Store) Group(prefix string, schema *Schema) *Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := groupKey{prefix, schema}
	g := s.groups[k]
	if g == nil {
		g = &Group{Prefix: prefix, Schema: schema, store: s}
		g.slot = s.take(s.freeSlots, &s.slots, schema.slots)
		g.hist = s.take(s.freeHists, &s.hists, schema.hists)
		for _, l := range s.locals {
			l.grow(s.slots, s.hists)
			l.zero(g)
		}
		s.groups[k] = g
	}
	g.refs++
	return g
}

func (s *Store) take(free map[uint32][]uint32, next *uint32, n uint32) uint32 {
	if list := free[n]; len(list) > 0 {
		free[n] = list[:len(list)-1]
		return list[len(list)-1]
	}
	id := *next
	*next += n
	return id
}

func (l *Local) zero(g *Group) {
	for id := g.slot; id < g.slot+g.Schema.slots; id++ {
		if pg := (*l.dir.Load())[id>>pageBits].Load(); pg != nil {
			atomic.StoreUint64(&pg[id&(pageSize-1)], 0)
		}
	}
	for id := g.hist; id < g.hist+g.Schema.hists; id++ {
		(*l.hists.Load())[id].Store(nil)
	}
}

// Release gives the group back. The last one takes the names away; call it
// only when no worker writes through the handles any more.
func (g *Group) Release() {
	s := g.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.refs--; g.refs > 0 {
		return
	}
	delete(s.groups, groupKey{g.Prefix, g.Schema})
	s.freeSlots[g.Schema.slots] = append(s.freeSlots[g.Schema.slots], g.slot)
	s.freeHists[g.Schema.hists] = append(s.freeHists[g.Schema.hists], g.hist)
}

// Counter returns the handle of definition i, which is a counter.
func (g *Group) Counter(i int) Counter { return Counter{g.slot + g.Schema.slot[i]} }

// Gauge returns the handle of definition i, which is a gauge.
func (g *Group) Gauge(i int) Gauge { return Gauge{g.slot + g.Schema.slot[i]} }

// Histogram returns the handle of definition i, which is a histogram.
func (g *Group) Histogram(i int) Histogram { return Histogram{g.hist + g.Schema.slot[i]} }

// SetText sets a text readout (Envoy's third form of statistic).
func (s *Store) SetText(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name] = value
}

// Sample is one statistic as read.
type Sample struct {
	Name  string
	Kind  Kind
	Unit  Unit
	Value uint64 // counters; gauges (a negative sum is 0)
	Used  bool   // written since the start or the last reset
	group *Group
	index int
}

// Read returns all counters, gauges and histograms (without their content)
// in the order of their names.
func (s *Store) Read() []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Sample
	for _, g := range s.groups {
		for i, d := range g.Schema.defs {
			out = append(out, s.sample(g, i, d))
		}
	}
	slices.SortFunc(out, func(a, b Sample) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Store) sample(g *Group, i int, d Def) Sample {
	r := Sample{Name: g.Prefix + d.Name, Kind: d.Kind, Unit: d.Unit, group: g, index: i}
	switch d.Kind {
	case KindCounter:
		for _, l := range s.locals {
			r.Value += l.value(g.slot + g.Schema.slot[i])
		}
		r.Used = r.Value > 0
	case KindGauge:
		var v int64
		for _, l := range s.locals {
			v += int64(l.value(g.slot + g.Schema.slot[i]))
			r.Used = r.Used || l.value(g.slot+g.Schema.slot[i]+1) != 0
		}
		r.Value = uint64(max(v, 0))
	case KindHistogram:
		for _, l := range s.locals {
			r.Used = r.Used || (*l.hists.Load())[g.hist+g.Schema.slot[i]].Load() != nil
		}
	}
	return r
}

// CounterValue returns the current value of definition i of g, a counter.
func (g *Group) CounterValue(i int) uint64 { return g.store.sampleOf(g, i).Value }

// GaugeValue returns the current value of definition i of g, a gauge.
func (g *Group) GaugeValue(i int) uint64 { return g.store.sampleOf(g, i).Value }

func (s *Store) sampleOf(g *Group, i int) Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sample(g, i, g.Schema.defs[i])
}

// Snapshot returns the content of a histogram sample.
func (s *Store) Snapshot(r Sample) Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out Snapshot
	var acc [decades * binsPerDecade]uint64
	for _, l := range s.locals {
		if h := (*l.hists.Load())[r.group.hist+r.group.Schema.slot[r.index]].Load(); h != nil {
			out.merge(h, &acc)
		}
	}
	out.fill(&acc)
	return out
}

// Texts returns a copy of the text readouts.
func (s *Store) Texts() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]string, len(s.texts))
	for k, v := range s.texts {
		out[k] = v
	}
	return out
}

// ResetCounters sets all counters to zero (admin POST /reset_counters). An
// increment that runs at the same time may be lost or kept.
func (s *Store) ResetCounters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		for i, d := range g.Schema.defs {
			if d.Kind != KindCounter {
				continue
			}
			id := g.slot + g.Schema.slot[i]
			for _, l := range s.locals {
				if pg := (*l.dir.Load())[id>>pageBits].Load(); pg != nil {
					atomic.StoreUint64(&pg[id&(pageSize-1)], 0)
				}
			}
		}
	}
}
