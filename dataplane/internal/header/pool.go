package header

// maxPooled bounds the maps that a Pool keeps.
const maxPooled = 1024

// Pool is a worker's free list of maps. The zero value is ready. It belongs to
// one goroutine.
type Pool struct {
	free *Map
	n    int
}

// Get returns an empty map.
func (p *Pool) Get() *Map {
	if p == nil || p.free == nil {
		return new(Map)
	}
	m := p.free
	p.free, m.next = m.next, nil
	p.n--
	return m
}

// Put resets m and keeps it for a later Get; nil is ignored.
func (p *Pool) Put(m *Map) {
	if m == nil {
		return
	}
	m.Reset()
	if p == nil || p.n >= maxPooled {
		return
	}
	m.next, p.free = p.free, m
	p.n++
}
