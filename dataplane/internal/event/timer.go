package event

import "time"

// Timer calls a function on its worker once, at a set time. It is part of the
// object that needs it. Moving a timer to a later time, or stopping it, only
// writes a field: the heap notices when the old time comes. So the many
// timeouts that never happen cost nothing.
type Timer struct {
	worker *Worker
	fire   func()
	at     time.Time // when it expires; zero: stopped
	key    time.Time // where it stands in the heap; not after at
	pos    int       // place in the heap + 1; 0: not in it
}

// Init sets the worker and the function. It is called once; only on w.
func (t *Timer) Init(w *Worker, fire func()) { t.worker, t.fire = w, fire }

// Reset (re)starts the timer: it expires d from the worker's Now.
func (t *Timer) Reset(d time.Duration) { t.ResetAt(t.worker.now.Add(d)) }

// ResetAt (re)starts the timer for a time.
func (t *Timer) ResetAt(at time.Time) {
	t.at = at
	switch {
	case t.pos == 0:
		t.key = at
		t.worker.timers.push(t)
	case at.Before(t.key):
		t.key = at
		t.worker.timers.up(t.pos - 1)
	}
}

// Stop stops the timer; it does not fire until it is reset.
func (t *Timer) Stop() { t.at = time.Time{} }

// Active says whether the timer runs.
func (t *Timer) Active() bool { return !t.at.IsZero() }

// Remove stops the timer and takes it out of the heap, for objects that go
// away and must not be kept in memory by it.
func (t *Timer) Remove() {
	t.at = time.Time{}
	if t.pos > 0 {
		t.worker.timers.removeAt(t.pos - 1)
	}
}

// timerHeap is a binary heap by key.
type timerHeap []*Timer

func (h timerHeap) next() (time.Time, bool) {
	if len(h) == 0 {
		return time.Time{}, false
	}
	return h[0].key, true
}

func (h *timerHeap) push(t *Timer) {
	*h = append(*h, t)
	t.pos = len(*h)
	h.up(t.pos - 1)
}

func (h timerHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h timerHeap) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !h[i].key.Before(h[p].key) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h timerHeap) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].key.Before(h[c].key) {
			c++
		}
		if !h[c].key.Before(h[i].key) {
			return
		}
		h.swap(i, c)
		i = c
	}
}

func (h *timerHeap) removeAt(i int) {
	last := len(*h) - 1
	t := (*h)[i]
	if i != last {
		h.swap(i, last)
	}
	(*h)[last] = nil
	*h = (*h)[:last]
	t.pos = 0
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// expire fires the timers that are due. A timer whose time was moved goes back
// into the heap, a stopped one leaves it.
func (w *Worker) expire() {
	for len(w.timers) > 0 {
		t := w.timers[0]
		if t.key.After(w.now) {
			return
		}
		switch {
		case t.at.IsZero():
			w.timers.removeAt(0)
		case t.at.After(w.now):
			t.key = t.at
			w.timers.down(0)
		default:
			t.at = time.Time{}
			w.timers.removeAt(0)
			w.guard(t.fire)
		}
	}
}
