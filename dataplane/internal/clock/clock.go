// Package clock abstracts the time so that tests decide it. A worker reads its
// clock once a loop; code on a worker asks the worker, not the clock.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time. Times carry a monotonic reading where the clock has
// one.
type Clock interface {
	Now() time.Time
}

// Real is the system's clock.
type Real struct{}

// Now returns time.Now().
func (Real) Now() time.Time { return time.Now() }

// Fake is a clock that moves only when told. It may be used by several
// goroutines.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake returns a clock that stands at start.
func NewFake(start time.Time) *Fake { return &Fake{now: start} }

// Now returns the time that the clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Advance moves the clock on by d.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}
