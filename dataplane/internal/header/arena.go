package header

import "unsafe"

const (
	chunkSize = 2 << 10
	// keepBytes is the most that a map keeps for its next use.
	keepBytes = 16 << 10
)

// arena hands out memory for strings. Chunks never move while in use, so that
// strings stay valid; reset makes all of it free again.
type arena struct {
	chunks [][]byte // chunk i is full up to len, of capacity cap
	cur    int
	total  int
}

func (a *arena) copy(s string) string {
	if s == "" {
		return ""
	}
	b := a.alloc(len(s))
	copy(b, s)
	return unsafe.String(&b[0], len(b))
}

func (a *arena) alloc(n int) []byte {
	for ; a.cur < len(a.chunks); a.cur++ {
		c := a.chunks[a.cur]
		if cap(c)-len(c) >= n {
			a.chunks[a.cur] = c[:len(c)+n]
			return c[len(c) : len(c)+n : len(c)+n]
		}
	}
	c := make([]byte, n, max(n, chunkSize))
	a.total += cap(c)
	a.chunks = append(a.chunks, c)
	return c[:n:n]
}

func (a *arena) reset() {
	if a.total > keepBytes {
		clear(a.chunks)
		a.chunks, a.total = a.chunks[:0], 0
	}
	for i := range a.chunks {
		a.chunks[i] = a.chunks[i][:0]
	}
	a.cur = 0
}
