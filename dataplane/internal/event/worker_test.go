package event

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// still is a poller without sockets.
type still struct{}

func (still) Add(int, uint64) error           { return nil }
func (still) Remove(int) error                { return nil }
func (still) Wait([]Event, time.Duration) int { return 0 }
func (still) Wake()                           {}
func (still) Close() error                    { return nil }

func newStill(c clock.Clock) *Worker {
	return NewWorker(Config{Clock: c, Poller: still{}, Stats: stats.NewStore().NewLocal()})
}

// TestTimersModel compares the lazy heap with a plain map of deadlines.
func TestTimersModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock.NewFake(time.Unix(1000, 0))
		w := newStill(c)
		const n = 6
		timers := make([]Timer, n)
		want := map[int]time.Time{}
		fired := map[int]int{}
		for i := range timers {
			timers[i].Init(w, func() { fired[i]++ })
		}
		index := rapid.IntRange(0, n-1)
		t.Repeat(map[string]func(*rapid.T){
			"reset": func(t *rapid.T) {
				i, d := index.Draw(t, "i"), time.Duration(rapid.IntRange(0, 50).Draw(t, "d"))*time.Millisecond
				timers[i].Reset(d)
				want[i] = w.Now().Add(d)
			},
			"stop": func(t *rapid.T) {
				i := index.Draw(t, "i")
				timers[i].Stop()
				delete(want, i)
			},
			"remove": func(t *rapid.T) {
				i := index.Draw(t, "i")
				timers[i].Remove()
				delete(want, i)
			},
			"advance": func(t *rapid.T) {
				c.Advance(time.Duration(rapid.IntRange(0, 30).Draw(t, "d")) * time.Millisecond)
				clear(fired)
				w.Turn(0)
				for i, at := range want {
					if at.After(c.Now()) != (fired[i] == 0) {
						t.Fatalf("timer %d at %v fired %d times by %v", i, at, fired[i], c.Now())
					}
					if fired[i] > 0 {
						delete(want, i)
						delete(fired, i)
					}
				}
				if len(fired) > 0 {
					t.Fatalf("fired without being set: %v", fired)
				}
			},
			"": func(t *rapid.T) {
				for i := range timers {
					_, active := want[i]
					if timers[i].Active() != active {
						t.Fatalf("timer %d: active %v", i, timers[i].Active())
					}
				}
			},
		})
	})
}

func TestTasksRunAtTheEndAndOnce(t *testing.T) {
	w := newStill(clock.NewFake(time.Unix(0, 0)))
	var log []string
	var a, b Task
	b.Init(func() { log = append(log, "b") })
	a.Init(func() { log = append(log, "a"); w.Schedule(&b); w.Schedule(&b) })
	w.Post(func() { w.Schedule(&a); w.Schedule(&a); log = append(log, "post") })
	w.Turn(0)
	if len(log) != 3 || log[0] != "post" || log[1] != "a" || log[2] != "b" {
		t.Errorf("%v", log)
	}
}

func TestPanicIsContained(t *testing.T) {
	var caught any
	w := NewWorker(Config{Clock: clock.NewFake(time.Unix(0, 0)), Poller: still{}, Stats: stats.NewStore().NewLocal(), OnPanic: func(p any) { caught = p }})
	ran := false
	w.Post(func() { panic("oops") })
	w.Post(func() { ran = true })
	w.Turn(0)
	if caught != "oops" || !ran {
		t.Errorf("caught %v, later post ran: %v", caught, ran)
	}
}

// TestTaskOncePerTurn: a task that schedules itself lets the worker look at
// its sockets in between.
func TestTaskOncePerTurn(t *testing.T) {
	w := newStill(clock.NewFake(time.Unix(1000, 0)))
	runs := 0
	var task Task
	task.Init(func() {
		runs++
		w.Schedule(&task)
	})
	w.Schedule(&task)
	for turn := 1; turn <= 3; turn++ {
		w.Turn(0)
		if runs != turn || w.Idle() {
			t.Fatalf("turn %d: %d runs, idle %v", turn, runs, w.Idle())
		}
	}
}
