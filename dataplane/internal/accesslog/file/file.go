package file

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

const (
	// flushSize is how many bytes wake the writer (Envoy's MIN_FLUSH_SIZE).
	flushSize = 64 << 10
	// maxBuffered is how many bytes one worker may leave unwritten for a file.
	maxBuffered = 16 << 20
)

var schema = stats.NewSchema(
	stats.C("write_buffered"), stats.C("write_completed"), stats.C("write_failed"),
	stats.C("flushed_by_timer"), stats.C("reopen_failed"), stats.G("write_total_buffered"),
	stats.C("write_dropped"),
)

const (
	writeBuffered = iota
	writeCompleted
	writeFailed
	flushedByTimer
	reopenFailed
	totalBuffered
	writeDropped
)

// Manager opens each path once, for all who write to it. Its methods may be
// called by any goroutine.
type Manager struct {
	interval time.Duration
	workers  int
	group    *stats.Group
	local    *stats.Local

	mu    sync.Mutex
	files map[string]*File
}

// NewManager returns a manager for so many workers; their indices are those of
// File.Append, and index workers is for everybody else.
func NewManager(interval time.Duration, workers int, store *stats.Store) *Manager {
	return &Manager{interval: interval, workers: workers, group: store.Group("filesystem.", schema), local: store.Main(), files: map[string]*File{}}
}

// Open opens a file for appending, or gives the one that is open already.
func (m *Manager) Open(path string) (*File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[path]; f != nil {
		return f, nil
	}
	out, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("unable to open file '%s': %w", path, unwrapPath(err))
	}
	f := &File{path: path, manager: m, out: out, shards: make([]shard, m.workers+1), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	m.files[path] = f
	go f.run()
	return f, nil
}

func open(path string) (io.WriteCloser, error) {
	switch path {
	case "/dev/stdout":
		return keepOpen{os.Stdout}, nil
	case "/dev/stderr":
		return keepOpen{os.Stderr}, nil
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// keepOpen is an output of the process: reopening it is closing nothing.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func unwrapPath(err error) error {
	if p, ok := err.(*os.PathError); ok { //nolint:errorlint // os.OpenFile returns it unwrapped
		return p.Err
	}
	return err
}

// Reopen makes every file be opened again before its next line (SIGUSR1).
func (m *Manager) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.files {
		f.mu.Lock()
		f.reopen = true
		f.mu.Unlock()
	}
}

// Close writes everything that is buffered and closes all files.
func (m *Manager) Close() {
	m.mu.Lock()
	files := m.files
	m.files = map[string]*File{}
	m.mu.Unlock()
	for _, f := range files {
		close(f.stop)
		<-f.done
	}
}

// File is one open file.
type File struct {
	path    string
	manager *Manager
	shards  []shard
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	reopen bool

	out   io.WriteCloser // owned by the writing goroutine
	spare []byte
}

// shard is one worker's buffer. Only that worker and the writing goroutine
// take its mutex.
type shard struct {
	mu  sync.Mutex
	buf []byte
	_   [64]byte // keeps two workers' shards off one cache line
}

// Append adds one line on behalf of a worker; l is its statistics. It never
// waits for the disk.
func (f *File) Append(worker int, l *stats.Local, line []byte) {
	s := &f.shards[worker]
	g := f.manager.group
	s.mu.Lock()
	if len(s.buf)+len(line) > maxBuffered {
		s.mu.Unlock()
		g.Counter(writeDropped).Inc(l)
		return
	}
	s.buf = append(s.buf, line...)
	n := len(s.buf)
	s.mu.Unlock()
	g.Counter(writeBuffered).Inc(l)
	g.Gauge(totalBuffered).Add(l, int64(len(line)))
	if n >= flushSize {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

func (f *File) run() {
	defer close(f.done)
	t := time.NewTicker(f.manager.interval)
	defer t.Stop()
	for {
		select {
		case <-f.wake:
			f.flush()
		case <-t.C:
			if f.flush() {
				f.manager.group.Counter(flushedByTimer).Inc(f.manager.local)
			}
		case <-f.stop:
			f.flush()
			_ = f.out.Close()
			return
		}
	}
}

// flush writes what every shard holds and says whether there was anything.
func (f *File) flush() bool {
	f.mu.Lock()
	reopen := f.reopen
	f.reopen = false
	f.mu.Unlock()
	if reopen {
		f.openAgain()
	}
	any := false
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		s.buf, f.spare = f.spare[:0], s.buf
		s.mu.Unlock()
		if len(f.spare) > 0 {
			any = true
			f.write(f.spare)
		}
		if cap(f.spare) > 4*flushSize {
			f.spare = nil
		}
	}
	return any
}

func (f *File) write(b []byte) {
	m := f.manager
	if _, err := f.out.Write(b); err != nil {
		m.group.Counter(writeFailed).Inc(m.local)
	} else {
		m.group.Counter(writeCompleted).Inc(m.local)
	}
	m.group.Gauge(totalBuffered).Add(m.local, -int64(len(b)))
}

// openAgain replaces the open file; the old one stays when that fails.
func (f *File) openAgain() {
	out, err := open(f.path)
	if err != nil {
		f.manager.group.Counter(reopenFailed).Inc(f.manager.local)
		return
	}
	_ = f.out.Close()
	f.out = out
}
