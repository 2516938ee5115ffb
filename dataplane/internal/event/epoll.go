//go:build linux

package event

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wakeToken is the token of the poller's own eventfd; sockets' tokens have a
// generation of at least 1 in their upper half.
const wakeToken = 0

// Epoll is the Poller of real sockets.
//
// It polls with a raw, non-blocking epoll_pwait, which costs no scheduler
// hand-off, and only when nothing is ready does it wait through the runtime's
// blocking call, so that its processor is free for others and a garbage
// collection need not wait for it.
type Epoll struct {
	fd, wake int
	woken    atomic.Bool
	raw      [batch]unix.EpollEvent
}

// NewEpoll returns a poller.
func NewEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &Epoll{fd: fd, wake: wake}
	if err := p.control(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN|unix.EPOLLET, wakeToken); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Epoll) control(op, fd int, events uint32, token uint64) error {
	e := unix.EpollEvent{Events: events}
	*(*uint64)(unsafe.Pointer(&e.Fd)) = token // the kernel's 64-bit data: Fd and Pad
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	return nil
}

// Add implements Poller.
func (p *Epoll) Add(fd int, token uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, token)
}

// Remove implements Poller.
func (p *Epoll) Remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Wait implements Poller.
func (p *Epoll) Wait(events []Event, timeout time.Duration) int {
	n := p.poll(min(len(events), batch))
	if n == 0 && timeout != 0 {
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		var err error
		if n, err = unix.EpollWait(p.fd, p.raw[:min(len(events), batch)], ms); err != nil {
			n = 0 // EINTR: the caller looks again
		}
	}
	return p.translate(events, n)
}

func (p *Epoll) poll(limit int) int {
	r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), uintptr(limit), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(r)
}

func (p *Epoll) translate(events []Event, n int) int {
	k := 0
	for i := range n {
		e := &p.raw[i]
		token := *(*uint64)(unsafe.Pointer(&e.Fd))
		if token == wakeToken {
			p.drainWake()
			continue
		}
		var r Ready
		if e.Events&unix.EPOLLIN != 0 {
			r |= Readable
		}
		if e.Events&unix.EPOLLOUT != 0 {
			r |= Writable
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
			r |= PeerClosed | Readable
		}
		if e.Events&unix.EPOLLERR != 0 {
			r |= Failed
		}
		events[k] = Event{Token: token, Ready: r}
		k++
	}
	return k
}

// drainWake empties the eventfd before it allows the next write to it. The other
// way round, a Wake between the two would be emptied with woken left set, and
// every later Wake would be lost. A Wake that comes before the store writes
// nothing, but what it is for is in the queue already, which this turn looks at.
func (p *Epoll) drainWake() {
	var b [8]byte
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(p.wake), uintptr(unsafe.Pointer(&b[0])), 8)
	p.woken.Store(false)
}

// Wake implements Poller.
func (p *Epoll) Wake() {
	if p.woken.Swap(true) {
		return
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], 1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.wake), uintptr(unsafe.Pointer(&b[0])), 8)
}

// Close implements Poller.
func (p *Epoll) Close() error {
	_ = unix.Close(p.wake)
	return unix.Close(p.fd)
}
