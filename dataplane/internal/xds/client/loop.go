package client

import (
	"context"
	"sync"
	"time"
)

// Loop runs functions one after the other on one goroutine: the one that
// decides about configuration.
type Loop struct {
	mu     sync.Mutex
	queue  []func()
	wake   chan struct{}
	closed bool
	post   func(func())
}

// NewLoopOn returns a loop that runs its functions on a goroutine of somebody
// else's, through post; Run is then not called.
func NewLoopOn(post func(func())) *Loop { return &Loop{post: post} }

// NewLoop returns a loop; Run runs it.
func NewLoop() *Loop { return &Loop{wake: make(chan struct{}, 1)} }

// Post runs f on the loop, in the order of the calls. Any goroutine may call
// it. After Run has returned f is dropped.
func (l *Loop) Post(f func()) {
	if l.post != nil {
		l.post(f)
		return
	}
	l.mu.Lock()
	if !l.closed {
		l.queue = append(l.queue, f)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run runs what is posted until ctx is done.
func (l *Loop) Run(ctx context.Context) error {
	for {
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, f := range queue {
			f()
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			l.mu.Lock()
			l.closed, l.queue = true, nil
			l.mu.Unlock()
			return ctx.Err()
		case <-l.wake:
		}
	}
}

// After posts f in d. Stop the result on the loop, after which f does not run.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	t := new(Timer)
	t.timer = time.AfterFunc(d, func() {
		l.Post(func() {
			if !t.stopped {
				t.stopped = true
				f()
			}
		})
	})
	return t
}

// Timer is a function that waits for its time.
type Timer struct {
	timer   *time.Timer
	stopped bool // owned by the loop
}

// Stop stops the timer; nil is ignored.
func (t *Timer) Stop() {
	if t != nil {
		t.stopped = true
		t.timer.Stop()
	}
}
