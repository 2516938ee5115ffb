package buffer

// moveCopyLimit is the size up to which MoveTo copies bytes into free space of
// the destination's last block instead of linking a nearly empty block.
const moveCopyLimit = 1 << 10

// Buffer is a queue of bytes. The zero value is an empty buffer without a pool
// (blocks come from the heap); New or SetPool give it one.
type Buffer struct {
	pool       *Pool
	head, tail *block
	n          int
}

// New returns an empty buffer that takes its blocks from pool (nil: the heap).
func New(pool *Pool) *Buffer { return &Buffer{pool: pool} }

// SetPool sets where an empty buffer takes its blocks from.
func (b *Buffer) SetPool(pool *Pool) { b.pool = pool }

// Pool returns the pool that blocks come from; nil is the heap.
func (b *Buffer) Pool() *Pool { return b.pool }

// Len returns the number of unread bytes.
func (b *Buffer) Len() int { return b.n }

// Reserve returns free space of at least min bytes at the end of the buffer;
// min is at most BlockSize, 0 means whatever is there (at least one byte). The
// caller fills a prefix of it and calls Commit before any other method.
func (b *Buffer) Reserve(min int) []byte {
	if min <= 0 {
		min = 1
	}
	if b.tail == nil {
		b.head = b.pool.get()
		b.tail = b.head
	} else if BlockSize-b.tail.w < min {
		nb := b.pool.get()
		b.tail.next = nb
		b.tail = nb
	}
	return b.tail.data[b.tail.w:]
}

// Commit makes the first n bytes of the space that Reserve returned readable.
// Commit(0) gives back a block that Reserve took for nothing.
func (b *Buffer) Commit(n int) {
	b.tail.w += n
	b.n += n
	if b.n == 0 {
		b.release()
	}
}

// Write appends p; it never fails (io.Writer).
func (b *Buffer) Write(p []byte) (int, error) {
	for q := p; len(q) > 0; {
		c := copy(b.Reserve(1), q)
		b.Commit(c)
		q = q[c:]
	}
	return len(p), nil
}

// WriteString appends s.
func (b *Buffer) WriteString(s string) {
	for len(s) > 0 {
		c := copy(b.Reserve(1), s)
		b.Commit(c)
		s = s[c:]
	}
}

// WriteByte appends one byte (io.ByteWriter).
func (b *Buffer) WriteByte(c byte) error {
	b.Reserve(1)[0] = c
	b.Commit(1)
	return nil
}

// Front returns the first unread bytes as far as they are contiguous; nil when
// the buffer is empty. They are valid until the next call that changes b.
func (b *Buffer) Front() []byte {
	for h := b.head; h != nil; h = h.next {
		if h.w > h.r {
			return h.data[h.r:h.w]
		}
	}
	return nil
}

// Linearize returns the first n unread bytes in one piece, copying when they
// span blocks. It returns nil if there are fewer than n, or n > BlockSize.
func (b *Buffer) Linearize(n int) []byte {
	if n > b.n || n > BlockSize || n <= 0 {
		return nil
	}
	b.dropEmptyHead()
	h := b.head
	if h.w-h.r >= n {
		return h.data[h.r : h.r+n]
	}
	if BlockSize-h.r < n {
		copy(h.data[:], h.data[h.r:h.w])
		h.w -= h.r
		h.r = 0
	}
	for h.w-h.r < n {
		next := h.next
		c := copy(h.data[h.w:h.r+n], next.data[next.r:next.w])
		h.w += c
		next.r += c
		if next.r == next.w {
			h.next = next.next
			if b.tail == next {
				b.tail = h
			}
			b.pool.put(next)
		}
	}
	return h.data[h.r : h.r+n]
}

// Drain discards the first n unread bytes (all of them when there are fewer).
func (b *Buffer) Drain(n int) {
	if n >= b.n {
		b.release()
		return
	}
	b.n -= n
	for n > 0 {
		h := b.head
		if c := h.w - h.r; c <= n {
			n -= c
			b.popHead()
			continue
		}
		h.r += n
		return
	}
}

// MoveTo appends the first n unread bytes (all, when there are fewer) to dst.
// Whole blocks are linked over without copying; both buffers must belong to
// the same worker.
func (b *Buffer) MoveTo(dst *Buffer, n int) {
	if n > b.n {
		n = b.n
	}
	for n > 0 {
		h := b.head
		c := h.w - h.r
		if c == 0 {
			b.popHead()
			continue
		}
		room := dst.tail != nil && BlockSize-dst.tail.w >= c && c <= moveCopyLimit
		if c > n || room {
			c = min(c, n)
			_, _ = dst.Write(h.data[h.r : h.r+c])
			h.r += c
			b.n -= c
			n -= c
			if h.r == h.w {
				b.popHead()
			}
			continue
		}
		b.head = h.next
		if b.head == nil {
			b.tail = nil
		}
		h.next = nil
		if dst.tail == nil {
			dst.head = h
		} else {
			dst.tail.next = h
		}
		dst.tail = h
		b.n -= c
		dst.n += c
		n -= c
	}
}

// CopyTo copies unread bytes, from offset off on, into p and returns how many.
func (b *Buffer) CopyTo(p []byte, off int) int {
	total := 0
	for h := b.head; h != nil && len(p) > total; h = h.next {
		s := h.data[h.r:h.w]
		if off >= len(s) {
			off -= len(s)
			continue
		}
		total += copy(p[total:], s[off:])
		off = 0
	}
	return total
}

// Vectors stores up to len(v) contiguous pieces of the unread bytes, in order,
// and returns how many it stored: the arguments of one writev.
func (b *Buffer) Vectors(v [][]byte) int {
	i := 0
	for h := b.head; h != nil && i < len(v); h = h.next {
		if h.w > h.r {
			v[i] = h.data[h.r:h.w]
			i++
		}
	}
	return i
}

// Bytes returns a copy of all unread bytes (for tests and slow paths).
func (b *Buffer) Bytes() []byte {
	p := make([]byte, b.n)
	b.CopyTo(p, 0)
	return p
}

// String returns a copy of all unread bytes.
func (b *Buffer) String() string { return string(b.Bytes()) }

func (b *Buffer) popHead() {
	h := b.head
	b.head = h.next
	if b.head == nil {
		b.tail = nil
	}
	b.pool.put(h)
}

func (b *Buffer) dropEmptyHead() {
	for b.head != nil && b.head.r == b.head.w && b.head.next != nil {
		b.popHead()
	}
}

func (b *Buffer) release() {
	for h := b.head; h != nil; {
		next := h.next
		b.pool.put(h)
		h = next
	}
	b.head, b.tail, b.n = nil, nil, 0
}
