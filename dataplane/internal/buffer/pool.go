package buffer

// BlockSize is the capacity of one block in bytes. It is the size of a TLS
// record and of an HTTP/2 frame at its default maximum, so that one of either
// fits one block.
const BlockSize = 16 << 10

type block struct {
	next *block
	r, w int // unread bytes are data[r:w]
	data [BlockSize]byte
}

// Pool is a free list of blocks that belongs to one worker. The zero value is
// ready and keeps at most DefaultFree blocks.
type Pool struct {
	free    *block
	n       int
	maxFree int
}

// DefaultFree is how many free blocks a Pool keeps (4 MiB); the rest goes to
// the garbage collector.
const DefaultFree = 256

// NewPool returns a pool that keeps at most maxFree unused blocks.
func NewPool(maxFree int) *Pool { return &Pool{maxFree: maxFree} }

// Free returns the number of unused blocks that the pool keeps.
func (p *Pool) Free() int {
	if p == nil {
		return 0
	}
	return p.n
}

func (p *Pool) get() *block {
	if p == nil || p.free == nil {
		return new(block)
	}
	b := p.free
	p.free, b.next = b.next, nil
	p.n--
	return b
}

func (p *Pool) put(b *block) {
	b.r, b.w, b.next = 0, 0, nil
	if p == nil {
		return
	}
	limit := p.maxFree
	if limit == 0 {
		limit = DefaultFree
	}
	if p.n >= limit {
		return
	}
	b.next, p.free = p.free, b
	p.n++
}
