package event

import "sync"

// Task is something that a worker does at the end of its turn. It is part of
// the object that needs it, so that scheduling allocates nothing.
type Task struct {
	run    func()
	next   *Task
	ran    uint64 // the turn in which it ran last
	queued bool
}

// Init sets what the task does. It is called once.
func (t *Task) Init(run func()) { t.run = run }

// Queued says whether the task waits to be run.
func (t *Task) Queued() bool { return t.queued }

type taskList struct{ head, tail *Task }

func (l *taskList) push(t *Task) {
	if t.queued {
		return
	}
	t.queued = true
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
}

func (l *taskList) pop() *Task {
	t := l.head
	if t == nil {
		return nil
	}
	l.head = t.next
	if l.head == nil {
		l.tail = nil
	}
	t.next, t.queued = nil, false
	return t
}

// postQueue is the way in for other goroutines. A mutex held for two stores is
// cheaper here than a lock-free list, because posts are rare and a worker looks
// into the queue once a turn.
type postQueue struct {
	mu      sync.Mutex
	waiting []func()
	running []func() // owned by the worker
}

// push appends f and says whether the queue was empty, so that the worker may
// have to be woken.
func (q *postQueue) push(f func()) bool {
	q.mu.Lock()
	q.waiting = append(q.waiting, f)
	first := len(q.waiting) == 1
	q.mu.Unlock()
	return first
}

func (q *postQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

func (q *postQueue) drain(do func(func())) {
	q.mu.Lock()
	q.waiting, q.running = q.running[:0], q.waiting
	q.mu.Unlock()
	for i, f := range q.running {
		q.running[i] = nil
		do(f)
	}
}
