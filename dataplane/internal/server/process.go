package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/logging"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// threads are the proxy's event loops.
type threads struct {
	workers []*event.Worker
	control *event.Worker
	done    chan struct{}
	running atomic.Int32
	panics  *stats.Group
}

var threadSchema = stats.NewSchema(stats.C("worker_panics"))

// newThreads makes n workers and the control loop, whose index is n.
func newThreads(n int, store *stats.Store, log *logging.Logger) (*threads, error) {
	t := &threads{done: make(chan struct{}), panics: store.Group("server.", threadSchema)}
	ids := new(atomic.Uint64)
	make1 := func(i int, name string) (*event.Worker, error) {
		p, err := event.NewEpoll()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l := store.NewLocal()
		return event.NewWorker(event.Config{
			Index: i, Name: name, Clock: clock.Real{}, Poller: p, System: event.Sockets{}, Stats: l, ConnectionIDs: ids,
			Seed: [2]uint64{rand.Uint64(), rand.Uint64()},
			OnPanic: func(recovered any) {
				t.panics.Counter(0).Inc(l)
				log.Criticalf("panic on %s, its connection is closed: %v\n%s", name, recovered, debug.Stack())
			},
		}), nil
	}
	for i := range n {
		w, err := make1(i, fmt.Sprintf("worker_%d", i))
		if err != nil {
			return nil, err
		}
		t.workers = append(t.workers, w)
	}
	var err error
	t.control, err = make1(n, "main_thread")
	return t, err
}

// start runs the workers, each on a thread of its own.
func (t *threads) start() {
	// One processor more than workers, where the machine has it, so that a
	// garbage collection and the other goroutines do not wait for a worker.
	runtime.GOMAXPROCS(max(min(runtime.NumCPU(), len(t.workers)+1), 2))
	for _, w := range t.workers {
		t.running.Add(1)
		go func() {
			runtime.LockOSThread()
			w.Run()
			if t.running.Add(-1) == 0 {
				close(t.done)
			}
		}()
	}
	if len(t.workers) == 0 {
		close(t.done)
	}
}

// stop ends the workers and waits for them.
func (t *threads) stop(started bool) {
	for _, w := range t.workers {
		w.Stop()
	}
	if started {
		<-t.done
	}
}

// after calls f on the control loop in d.
func (t *threads) after(d time.Duration, f func()) (stop func()) {
	tm := &event.Timer{}
	tm.Init(t.control, f)
	tm.Reset(d)
	return tm.Remove
}

// hostname is %HOSTNAME%.
func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "-"
	}
	return h
}
