package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Watcher tells what is moved into directories (inotify). One serves the
// whole process, since the kernel allows few.
type Watcher struct {
	fd   int
	file *os.File

	mu      sync.Mutex
	watches map[int32]map[*watchedName]bool
}

type watchedName struct {
	name string // "": any
	f    func()
}

// NewWatcher returns a watcher; Close ends it.
func NewWatcher() (*Watcher, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &Watcher{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), watches: map[int32]map[*watchedName]bool{}}
	go w.run()
	return w, nil
}

// Close ends the watcher.
func (w *Watcher) Close() error { return w.file.Close() }

// Watch calls f, on a goroutine of the watcher, whenever something of that
// name ("": any name) is moved into dir, until stop is called.
func (w *Watcher) Watch(dir, name string, f func()) (stop func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wd, err := syscall.InotifyAddWatch(w.fd, dir, syscall.IN_MOVED_TO|syscall.IN_ONLYDIR)
	if err != nil {
		return nil, fmt.Errorf("watching %q: %w", dir, err)
	}
	id := int32(wd)
	n := &watchedName{name, f}
	if w.watches[id] == nil {
		w.watches[id] = map[*watchedName]bool{}
	}
	w.watches[id][n] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watches[id], n)
		if len(w.watches[id]) == 0 {
			delete(w.watches, id)
			_, _ = syscall.InotifyRmWatch(w.fd, uint32(id))
		}
	}, nil
}

func (w *Watcher) run() {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		for p := buf[:n]; len(p) >= syscall.SizeofInotifyEvent; {
			id := int32(binary.NativeEndian.Uint32(p))
			size := int(binary.NativeEndian.Uint32(p[12:]))
			name := string(bytes.TrimRight(p[syscall.SizeofInotifyEvent:syscall.SizeofInotifyEvent+size], "\x00"))
			p = p[syscall.SizeofInotifyEvent+size:]
			w.tell(id, name)
		}
	}
}

func (w *Watcher) tell(id int32, name string) {
	w.mu.Lock()
	var calls []func()
	for n := range w.watches[id] {
		if n.name == "" || n.name == name {
			calls = append(calls, n.f)
		}
	}
	w.mu.Unlock()
	for _, f := range calls {
		f()
	}
}
