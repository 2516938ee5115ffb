package stats

import "sync/atomic"

const (
	pageBits = 10
	pageSize = 1 << pageBits
)

type page [pageSize]uint64

// Local is one writer's slots: each worker has its own. The store's Main local
// may be written by any goroutine.
type Local struct {
	dir    atomic.Pointer[[]*atomic.Pointer[page]]
	hists  atomic.Pointer[[]*atomic.Pointer[hist]]
	shared bool
}

func (l *Local) slot(id uint32) *uint64 {
	p := (*l.dir.Load())[id>>pageBits]
	pg := p.Load()
	if pg == nil {
		pg = l.newPage(p)
	}
	return &pg[id&(pageSize-1)]
}

//go:noinline
func (l *Local) newPage(p *atomic.Pointer[page]) *page {
	p.CompareAndSwap(nil, new(page)) // another goroutine may have been first
	return p.Load()
}

func (l *Local) hist(id uint32) *hist {
	p := (*l.hists.Load())[id]
	h := p.Load()
	if h == nil {
		p.CompareAndSwap(nil, new(hist))
		h = p.Load()
	}
	return h
}

// value returns the slot as it is; 0 when it was never written.
func (l *Local) value(id uint32) uint64 {
	pg := (*l.dir.Load())[id>>pageBits].Load()
	if pg == nil {
		return 0
	}
	return atomic.LoadUint64(&pg[id&(pageSize-1)])
}

func (l *Local) add(id uint32, n uint64) {
	if p := l.slot(id); l.shared {
		atomic.AddUint64(p, n)
	} else {
		ownerAdd(p, n)
	}
}

// Counter is a handle of a counter. The zero value is a counter that nobody
// reads.
type Counter struct{ id uint32 }

// Inc adds one.
func (c Counter) Inc(l *Local) { l.add(c.id, 1) }

// Add adds n.
func (c Counter) Add(l *Local, n uint64) { l.add(c.id, n) }

// Gauge is a handle of a gauge. The zero value is a gauge that nobody reads.
type Gauge struct{ id uint32 }

// Add adds n, which may be negative. The value of a gauge is the sum over all
// Locals, so what one worker adds another may take away.
func (g Gauge) Add(l *Local, n int64) {
	l.add(g.id, uint64(n))
	atomic.StoreUint64(l.slot(g.id+1), 1)
}

// Inc adds one.
func (g Gauge) Inc(l *Local) { g.Add(l, 1) }

// Dec takes one away.
func (g Gauge) Dec(l *Local) { g.Add(l, -1) }

// Set sets the Local's part of the value: a gauge that is set is set through
// one Local only.
func (g Gauge) Set(l *Local, v uint64) {
	atomic.StoreUint64(l.slot(g.id), v)
	atomic.StoreUint64(l.slot(g.id+1), 1)
}

// Histogram is a handle of a histogram. The zero value is a histogram that
// nobody reads.
type Histogram struct{ id uint32 }

// Record adds one value, in the histogram's unit.
func (h Histogram) Record(l *Local, v uint64) { l.hist(h.id).record(v) }
