package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Kernel owns all simulated sockets. It implements event.System.
type Kernel struct {
	Clock *clock.Fake
	Store *stats.Store
	Rand  *rand.Rand
	// Partial makes reads and writes stop at random.
	Partial bool
	// BufferSize is how many bytes a socket holds for its reader.
	BufferSize int

	socks    map[int]*sock
	nextFD   int
	nextPort uint16
	bound    map[address.Address]*sock
	workers  []*event.Worker
}

// sock is one socket.
type sock struct {
	fd          int
	local, peer address.Address
	other       *sock
	queue       []*sock // of a listener
	listening   bool
	in          []byte // waits for this socket's reader
	inEnd       bool   // the peer has shut down its writing half
	reset       bool
	linger      bool
	writeShut   bool
	wantWrite   bool // a write was cut short: Writable is due when there is room
	errno       syscall.Errno
	poller      *Poller
	token       uint64
	pending     event.Ready
	closed      bool
}

// New returns a kernel with a fake clock at a fixed time.
func New(seed uint64) *Kernel {
	return &Kernel{
		Clock: clock.NewFake(time.Unix(1_700_000_000, 0)), Store: stats.NewStore(),
		Rand: rand.New(rand.NewPCG(seed, 7)), Partial: true, BufferSize: 64 << 10,
		socks: map[int]*sock{}, nextFD: 3, nextPort: 40000, bound: map[address.Address]*sock{},
	}
}

// NewWorker returns a worker on this kernel.
func (k *Kernel) NewWorker() *event.Worker {
	i := len(k.workers)
	w := event.NewWorker(event.Config{
		Index: i, Name: fmt.Sprintf("worker_%d", i), Clock: k.Clock, Poller: &Poller{k: k}, System: k,
		Stats: k.Store.NewLocal(), Seed: [2]uint64{k.Rand.Uint64(), k.Rand.Uint64()},
	})
	k.workers = append(k.workers, w)
	return w
}

// Run turns all workers until nothing is left to do at the present time, at
// most limit turns; it says whether it came to rest.
func (k *Kernel) Run(limit int) bool {
	for range limit {
		busy := false
		for _, i := range k.Rand.Perm(len(k.workers)) {
			w := k.workers[i]
			if !w.Idle() || k.anyReady(w) || timerDue(w, k.Clock) {
				busy = true
				w.Turn(0)
			}
		}
		if !busy {
			return true
		}
	}
	return false
}

// Advance moves the clock on and runs what becomes due, timer by timer.
func (k *Kernel) Advance(d time.Duration) {
	end := k.Clock.Now().Add(d)
	for {
		k.Run(1 << 20)
		next := end
		for _, w := range k.workers {
			if at, ok := w.NextTimer(); ok && at.Before(next) {
				next = at
			}
		}
		if !next.Before(end) {
			break
		}
		if step := next.Sub(k.Clock.Now()); step > 0 {
			k.Clock.Advance(step)
		} else {
			k.Clock.Advance(time.Nanosecond)
		}
	}
	if step := end.Sub(k.Clock.Now()); step > 0 {
		k.Clock.Advance(step)
	}
	k.Run(1 << 20)
}

func timerDue(w *event.Worker, c clock.Clock) bool {
	at, ok := w.NextTimer()
	return ok && !at.After(c.Now())
}

func (k *Kernel) anyReady(w *event.Worker) bool {
	for _, s := range k.socks {
		if s.pending != 0 && s.poller != nil && s.poller.owner(w) {
			return true
		}
	}
	return false
}

// Open returns the number of sockets that are not closed.
func (k *Kernel) Open() int { return len(k.socks) }

func (k *Kernel) newSock() *sock {
	s := &sock{fd: k.nextFD}
	k.nextFD++
	k.socks[s.fd] = s
	return s
}

// notify raises readiness edges of a socket.
func (s *sock) notify(r event.Ready) {
	if !s.closed {
		s.pending |= r
	}
}

// cut returns how many of n bytes an operation moves.
func (k *Kernel) cut(n int) int {
	if !k.Partial || n <= 1 || k.Rand.IntN(3) > 0 {
		return n
	}
	return 1 + k.Rand.IntN(n)
}

// Listen implements event.System.
func (k *Kernel) Listen(a address.Address, _ event.ListenOptions) (int, error) {
	if a.IsIP() && a.Port() == 0 {
		k.nextPort++
		a = address.FromIP(netip.AddrPortFrom(a.IP(), k.nextPort))
	}
	if k.bound[a] != nil {
		return -1, fmt.Errorf("cannot bind '%s': Address already in use", a)
	}
	s := k.newSock()
	s.local, s.listening = a, true
	k.bound[a] = s
	return s.fd, nil
}

// Accept implements event.System.
func (k *Kernel) Accept(fd int) (int, address.Address, syscall.Errno) {
	l := k.socks[fd]
	if l == nil || len(l.queue) == 0 {
		return -1, address.Address{}, syscall.EAGAIN
	}
	s := l.queue[0]
	l.queue = l.queue[1:]
	return s.fd, s.peer, 0
}

// Connect implements event.System: the connection is there, or refused, with
// the next event.
func (k *Kernel) Connect(a address.Address, o event.ConnectOptions) (int, error) {
	c := k.newSock()
	k.nextPort++
	c.local = address.FromIP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), k.nextPort))
	if o.Source.IsIP() {
		c.local = address.FromIP(netip.AddrPortFrom(o.Source.IP(), k.nextPort))
	}
	c.peer = a
	l := k.bound[a]
	if l == nil {
		c.errno = syscall.ECONNREFUSED
		c.notify(event.Failed | event.Writable | event.PeerClosed | event.Readable)
		return c.fd, nil
	}
	s := k.newSock()
	s.local, s.peer, s.other, c.other = a, c.local, c, s
	l.queue = append(l.queue, s)
	l.notify(event.Readable)
	c.notify(event.Writable)
	return c.fd, nil
}

// Read implements event.System.
func (k *Kernel) Read(fd int, p []byte) (int, syscall.Errno) {
	s := k.socks[fd]
	switch {
	case s == nil:
		return 0, syscall.EBADF
	case s.reset:
		return 0, syscall.ECONNRESET
	case len(s.in) == 0 && s.inEnd:
		return 0, 0
	case len(s.in) == 0:
		return 0, syscall.EAGAIN
	}
	n := copy(p, s.in) // a short read means that the socket is empty, as for the real kernel
	s.in = s.in[n:]
	if len(s.in) > 0 {
		s.notify(event.Readable)
	}
	if o := s.other; o != nil && o.wantWrite && len(s.in) < k.BufferSize {
		o.wantWrite = false
		o.notify(event.Writable)
	}
	return n, 0
}

// Peek implements event.System.
func (k *Kernel) Peek(fd int, p []byte) (int, syscall.Errno) {
	s := k.socks[fd]
	switch {
	case s == nil:
		return 0, syscall.EBADF
	case s.reset:
		return 0, syscall.ECONNRESET
	case len(s.in) == 0 && s.inEnd:
		return 0, 0
	case len(s.in) == 0:
		return 0, syscall.EAGAIN
	}
	return copy(p, s.in), 0
}

// Write implements event.System.
func (k *Kernel) Write(fd int, pieces [][]byte) (int, syscall.Errno) {
	s := k.socks[fd]
	if s == nil {
		return 0, syscall.EBADF
	}
	if s.reset || s.writeShut || s.other == nil || s.other.closed {
		return 0, syscall.EPIPE
	}
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	room := k.BufferSize - len(s.other.in)
	if room <= 0 {
		s.wantWrite = true
		return 0, syscall.EAGAIN
	}
	n := k.cut(min(total, room))
	left := n
	for _, p := range pieces {
		c := min(left, len(p))
		s.other.in = append(s.other.in, p[:c]...)
		left -= c
	}
	if n < total && n == room {
		s.wantWrite = true
	} else if n < total {
		s.notify(event.Writable)
	}
	s.other.notify(event.Readable)
	return n, 0
}

// SocketError implements event.System.
func (k *Kernel) SocketError(fd int) syscall.Errno {
	s := k.socks[fd]
	if s == nil {
		return syscall.EBADF
	}
	e := s.errno
	s.errno = 0
	return e
}

// ShutdownWrite implements event.System.
func (k *Kernel) ShutdownWrite(fd int) syscall.Errno {
	s := k.socks[fd]
	if s == nil || s.writeShut {
		return 0
	}
	s.writeShut = true
	if s.other != nil {
		s.other.inEnd = true
		s.other.notify(event.Readable | event.PeerClosed)
	}
	return 0
}

// Reset implements event.System.
func (k *Kernel) Reset(fd int) {
	if s := k.socks[fd]; s != nil {
		s.linger = true
	}
}

// Close implements event.System.
func (k *Kernel) Close(fd int) {
	s := k.socks[fd]
	if s == nil {
		return
	}
	delete(k.socks, fd)
	s.closed = true
	if s.listening {
		delete(k.bound, s.local)
		for _, q := range s.queue {
			k.Reset(q.fd)
			k.Close(q.fd)
		}
		return
	}
	o := s.other
	if o == nil || o.closed {
		return
	}
	o.inEnd = true
	if s.linger || len(s.in) > 0 { // unread bytes make the kernel send RST
		o.reset = true
		o.errno = syscall.ECONNRESET
		o.notify(event.Failed)
	}
	o.notify(event.Readable | event.PeerClosed | event.Writable)
}

// LocalAddress implements event.System.
func (k *Kernel) LocalAddress(fd int) address.Address {
	if s := k.socks[fd]; s != nil {
		return s.local
	}
	return address.Address{}
}

// SetOption implements event.System.
func (k *Kernel) SetOption(int, event.SocketOption) error { return nil }

// Option implements event.System.
func (k *Kernel) Option(int, int, int, []byte) (int, error) { return 0, syscall.ENOPROTOOPT }

// Poller is one worker's view of the kernel.
type Poller struct {
	k *Kernel
}

func (p *Poller) owner(w *event.Worker) bool { return w.Poller() == event.Poller(p) }

// Add implements event.Poller; the first edge reports what is there already.
func (p *Poller) Add(fd int, token uint64) error {
	s := p.k.socks[fd]
	if s == nil {
		return syscall.EBADF
	}
	s.poller, s.token = p, token
	if len(s.in) > 0 || len(s.queue) > 0 {
		s.notify(event.Readable)
	}
	if s.inEnd {
		s.notify(event.Readable | event.PeerClosed)
	}
	return nil
}

// Remove implements event.Poller.
func (p *Poller) Remove(fd int) error {
	if s := p.k.socks[fd]; s != nil {
		s.poller = nil
	}
	return nil
}

// Wait implements event.Poller: it reports some of the ready sockets, in a
// random order.
func (p *Poller) Wait(events []event.Event, _ time.Duration) int {
	var ready []*sock
	for fd := 3; fd < p.k.nextFD; fd++ { // a fixed order before shuffling
		if s := p.k.socks[fd]; s != nil && s.poller == p && s.pending != 0 {
			ready = append(ready, s)
		}
	}
	p.k.Rand.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	n := p.k.cut(len(ready))
	for i, s := range ready[:n] {
		events[i] = event.Event{Token: s.token, Ready: s.pending}
		s.pending = 0
	}
	return n
}

// Wake implements event.Poller.
func (p *Poller) Wake() {}

// Close implements event.Poller.
func (p *Poller) Close() error { return nil }
