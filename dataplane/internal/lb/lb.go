// Package lb holds load balancers as pure pickers over a list of weighted
// hosts: they take random numbers as arguments, do no I/O, and belong to one
// worker.
package lb

// EDF picks items in proportion to their weights, earliest deadline first:
// deterministic, and smooth (an item of weight 3 among ones of weight 1 is not
// picked three times in a row).
type EDF[T any] struct {
	q   []edfEntry[T]
	now float64
	seq uint64
}

type edfEntry[T any] struct {
	item     T
	deadline float64
	order    uint64
}

// Reset empties the schedule.
func (e *EDF[T]) Reset() { e.q, e.now, e.seq = e.q[:0], 0, 0 }

// Len returns the number of items.
func (e *EDF[T]) Len() int { return len(e.q) }

// Add schedules an item.
func (e *EDF[T]) Add(weight float64, item T) {
	e.seq++
	e.q = append(e.q, edfEntry[T]{item, e.now + 1/weight, e.seq})
	e.up(len(e.q) - 1)
}

// Pick returns the next item; weight gives its weight from now on.
func (e *EDF[T]) Pick(weight func(T) float64) T {
	top := &e.q[0]
	item := top.item
	e.now = top.deadline
	e.seq++
	top.deadline, top.order = e.now+1/weight(item), e.seq
	e.down(0)
	return item
}

func (e *EDF[T]) less(i, j int) bool {
	if e.q[i].deadline != e.q[j].deadline {
		return e.q[i].deadline < e.q[j].deadline
	}
	return e.q[i].order < e.q[j].order
}

func (e *EDF[T]) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !e.less(i, p) {
			return
		}
		e.q[i], e.q[p] = e.q[p], e.q[i]
		i = p
	}
}

func (e *EDF[T]) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(e.q) {
			return
		}
		if c+1 < len(e.q) && e.less(c+1, c) {
			c++
		}
		if !e.less(c, i) {
			return
		}
		e.q[i], e.q[c] = e.q[c], e.q[i]
		i = c
	}
}

// LeastOf returns the one of n random choices with the smallest load; random
// gives uniform numbers.
func LeastOf[T any](items []T, n int, random func() uint64, load func(T) int64) T {
	best := items[random()%uint64(len(items))]
	least := load(best)
	for range n - 1 {
		x := items[random()%uint64(len(items))]
		if l := load(x); l < least {
			best, least = x, l
		}
	}
	return best
}
