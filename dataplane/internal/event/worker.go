package event

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// batch is how many events one turn of the loop takes.
const batch = 256

// Config is what a worker is made of.
type Config struct {
	Index   int    // 0 for the first worker
	Name    string // "worker_0", as in Envoy's statistics
	Clock   clock.Clock
	Poller  Poller
	System  System
	Stats   *stats.Local
	Seed    [2]uint64           // of Rand
	OnPanic func(recovered any) // called on the worker; nil re-panics
	// ConnectionIDs numbers the connections of all workers; nil: of this one.
	ConnectionIDs *atomic.Uint64
}

// Worker runs an event loop. See the package comment for who may call what.
type Worker struct {
	// Set at construction.
	index   int
	name    string
	clock   clock.Clock
	poller  Poller
	system  System
	stats   *stats.Local
	onPanic func(any)
	ids     *atomic.Uint64

	// Owned by the worker.
	Buffers buffer.Pool // blocks for every buffer on this worker
	Headers header.Pool // maps for every stream on this worker
	Rand    *rand.Rand
	Pieces  [16][]byte // scratch for the pieces of one write
	now     time.Time
	slots   []slot // by file descriptor
	gen     uint32
	timers  timerHeap
	turn    uint64   // counts turns, from 1
	tasks   taskList // run at the end of this turn
	later   taskList // and of the next
	events  [batch]Event

	// Shared.
	posts   postQueue
	stopped atomic.Bool
}

type slot struct {
	handler Handler
	gen     uint32
}

// NewWorker returns a worker; Run starts it.
func NewWorker(c Config) *Worker {
	if c.ConnectionIDs == nil {
		c.ConnectionIDs = new(atomic.Uint64)
	}
	return &Worker{
		ids: c.ConnectionIDs, index: c.Index, name: c.Name, clock: c.Clock, poller: c.Poller, system: c.System,
		stats: c.Stats, onPanic: c.OnPanic,
		Rand: rand.New(rand.NewPCG(c.Seed[0], c.Seed[1])),
		now:  c.Clock.Now(), turn: 1,
	}
}

// Index returns the worker's number, from 0.
func (w *Worker) Index() int { return w.index }

// Name returns the worker's name in statistics.
func (w *Worker) Name() string { return w.name }

// Now returns the time at which the current turn of the loop began.
func (w *Worker) Now() time.Time { return w.now }

// Clock returns the clock itself, for measuring inside of one turn.
func (w *Worker) Clock() clock.Clock { return w.clock }

// Poller returns what the worker waits with.
func (w *Worker) Poller() Poller { return w.poller }

// System returns the sockets.
func (w *Worker) System() System { return w.system }

// NextConnectionID returns a number that no other connection of the process
// has, from 1.
func (w *Worker) NextConnectionID() uint64 { return w.ids.Add(1) }

// Stats returns the worker's slots of all statistics.
func (w *Worker) Stats() *stats.Local { return w.stats }

// Register makes h the handler of a socket's readiness.
func (w *Worker) Register(fd int, h Handler) error {
	for fd >= len(w.slots) {
		w.slots = append(w.slots, make([]slot, max(64, len(w.slots)))...)
	}
	w.gen++
	w.slots[fd] = slot{handler: h, gen: w.gen}
	if err := w.poller.Add(fd, uint64(w.gen)<<32|uint64(fd)); err != nil {
		w.slots[fd] = slot{}
		return fmt.Errorf("watching socket %d: %w", fd, err)
	}
	return nil
}

// Unregister forgets a socket. No event reaches its handler afterwards, not
// even one that has been taken from the kernel already.
func (w *Worker) Unregister(fd int) {
	if fd < len(w.slots) && w.slots[fd].handler != nil {
		w.slots[fd] = slot{}
		_ = w.poller.Remove(fd)
	}
}

// Post runs f on the worker, soon, in the order of posting. Any goroutine may
// call it. After Stop posted functions no longer run and Post returns false.
func (w *Worker) Post(f func()) bool {
	if w.stopped.Load() {
		return false
	}
	if w.posts.push(f) {
		w.poller.Wake()
	}
	return true
}

// Schedule runs t at the end of the current turn; scheduling it twice runs it
// once. A task that has run in this turn runs again in the next, so that who
// schedules itself for the rest of its work lets others go first.
func (w *Worker) Schedule(t *Task) {
	if t.ran == w.turn {
		w.later.push(t)
		return
	}
	w.tasks.push(t)
}

// Stop makes Run return after the current turn. Any goroutine may call it.
func (w *Worker) Stop() {
	if !w.stopped.Swap(true) {
		w.poller.Wake()
	}
}

// Run runs the loop until Stop. The caller locks the goroutine to its thread.
func (w *Worker) Run() {
	for !w.stopped.Load() {
		w.Turn(w.untilNext())
	}
}

// Turn runs the loop once, waiting for events no longer than timeout (negative:
// without limit). Simulations call it directly.
func (w *Worker) Turn(timeout time.Duration) {
	n := w.poller.Wait(w.events[:], timeout)
	w.now = w.clock.Now()
	for i := range w.events[:n] {
		e := w.events[i]
		fd := int(uint32(e.Token))
		if fd < len(w.slots) && w.slots[fd].gen == uint32(e.Token>>32) && w.slots[fd].handler != nil {
			w.guardReady(w.slots[fd].handler, e.Ready)
		}
	}
	w.expire()
	w.posts.drain(w.guard)
	for t := w.tasks.pop(); t != nil; t = w.tasks.pop() {
		t.ran = w.turn
		w.guard(t.run)
	}
	w.tasks, w.later = w.later, taskList{}
	w.turn++
}

// Idle says whether nothing waits to be run now.
func (w *Worker) Idle() bool {
	return w.posts.empty() && w.tasks.head == nil && w.later.head == nil
}

// untilNext returns how long the loop may wait: 0 when something is due.
func (w *Worker) untilNext() time.Duration {
	if !w.Idle() {
		return 0
	}
	at, ok := w.timers.next()
	if !ok {
		return -1
	}
	return max(0, at.Sub(w.clock.Now()))
}

// NextTimer returns when the next timer may expire; simulations advance their
// clock to it.
func (w *Worker) NextTimer() (time.Time, bool) { return w.timers.next() }

func (w *Worker) guardReady(h Handler, r Ready) {
	if w.onPanic != nil {
		defer w.recovered(h)
	}
	h.OnReady(r)
}

func (w *Worker) guard(f func()) {
	if w.onPanic != nil {
		defer w.recovered(nil)
	}
	f()
}

// Breaker is implemented by handlers that can end what they serve after a
// panic in it.
type Breaker interface {
	OnPanic()
}

func (w *Worker) recovered(h Handler) {
	p := recover()
	if p == nil {
		return
	}
	w.onPanic(p)
	if b, ok := h.(Breaker); ok {
		b.OnPanic()
	}
}
