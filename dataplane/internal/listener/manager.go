package listener

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
)

// Resource is a counted limit shared by all listeners.
type Resource interface {
	TryAcquire() bool
	Release()
}

// Config is what a Manager is made of.
type Config struct {
	Workers []*event.Worker
	System  event.System
	Stats   *stats.Store
	Now     func() time.Time
	// After calls f on the control goroutine after d; it drives drains.
	After func(d time.Duration, f func())
	// Drain is the server-wide drain, the parent of all others.
	Drain        *network.Drain
	DrainTime    time.Duration // --drain-time-s
	DrainGradual bool          // --drain-strategy
	// ConnectionLimit is the runtime's limit of a listener; 0: none.
	ConnectionLimit func(listener string) uint64
	GlobalLimit     Resource // nil: none
	// Unlisted keeps the manager's own statistics apart (the administration's
	// listener is none of "listener_manager.").
	Unlisted bool
	// OnNoChain and OnConnectionEnd write the listener's access logs; they are
	// called on workers.
	OnNoChain       func(w *event.Worker, l *config.Listener, info *network.Info)
	OnConnectionEnd func(w *event.Worker, l *config.Listener, c *network.Conn)
}

// Manager owns the listeners. Its methods are called on the control goroutine.
type Manager struct {
	cfg       Config
	group     *stats.Group
	listeners map[string]*listenerState
	order     []string
	started   bool
	stopped   bool
}

// NewManager returns a manager without listeners.
func NewManager(cfg Config) *Manager {
	prefix := "listener_manager."
	if cfg.Unlisted {
		prefix = "listener_manager_admin."
	}
	return &Manager{cfg: cfg, group: cfg.Stats.Group(prefix, managerSchema), listeners: map[string]*listenerState{}}
}

// listenerState is one version of a listener.
type listenerState struct {
	manager   *Manager
	config    *config.Listener
	matcher   *matcher
	filters   []FilterFactory
	group     *stats.Group
	perWorker []*stats.Group
	drain     *network.Drain
	sockets   []*socket
	active    atomic.Int64 // connections, for the limit
	workers   []*workerListener
	updated   time.Time
}

// chain is one filter chain in use.
type chain struct {
	config    *config.FilterChain
	transport network.TransportFactory
	filters   []network.FilterFactory
	drain     *network.Drain
}

// socket is one bound address: a descriptor for each worker.
type socket struct {
	configured, bound address.Address
	fds               []int
}

// acquire counts a connection against the listener's limit.
func (s *listenerState) acquire() bool {
	n := s.active.Add(1)
	limit := s.config.MaxConnections
	if s.manager.cfg.ConnectionLimit != nil {
		if l := s.manager.cfg.ConnectionLimit(s.config.Name); l > 0 {
			limit = l
		}
	}
	if limit > 0 && uint64(n) > limit {
		s.active.Add(-1)
		return false
	}
	return true
}

func (s *listenerState) release() { s.active.Add(-1) }

// Start makes the listeners accept; those added before have their sockets
// bound but nothing accepted.
func (m *Manager) Start() {
	m.started = true
	m.group.Gauge(workersStarted).Set(m.cfg.Stats.Main(), 1)
	for _, name := range m.order {
		m.attach(m.listeners[name], nil)
	}
}

// Update adds a listener or replaces the one of its name. An error leaves what
// was there as it was.
func (m *Manager) Update(c *config.Listener) error {
	old := m.listeners[c.Name]
	if old != nil && old.config.Hash == c.Hash && c.Hash != 0 {
		return nil
	}
	s, err := m.build(c, old)
	if err != nil {
		m.group.Counter(createFailure).Inc(m.cfg.Stats.Main())
		return err
	}
	main := m.cfg.Stats.Main()
	m.listeners[c.Name] = s
	if old == nil {
		m.order = append(m.order, c.Name)
		m.group.Counter(listenerAdded).Inc(main)
	} else {
		m.group.Counter(listenerModified).Inc(main)
	}
	m.gauges()
	if m.started {
		m.attach(s, old)
	}
	return nil
}

// gauges counts listeners by state.
func (m *Manager) gauges() {
	m.group.Gauge(listenersActive).Set(m.cfg.Stats.Main(), uint64(len(m.listeners)))
}

// build compiles a listener and binds the sockets that the old version does
// not have.
func (m *Manager) build(c *config.Listener, old *listenerState) (*listenerState, error) {
	s := &listenerState{manager: m, config: c, updated: m.cfg.Now()}
	s.drain = network.NewDrain(m.cfg.Drain, m.cfg.DrainTime, m.cfg.DrainGradual)
	if c.DrainModifyOnly {
		s.drain = network.NewDrain(nil, m.cfg.DrainTime, m.cfg.DrainGradual)
	}
	var chains []*chain
	for _, fc := range c.FilterChains {
		chains = append(chains, s.chain(fc, old))
	}
	var def *chain
	if c.DefaultChain != nil {
		def = s.chain(c.DefaultChain, old)
	}
	var err error
	if s.matcher, err = newMatcher(chains, def); err != nil {
		return nil, fmt.Errorf("error adding listener named '%s': %w", c.Name, err)
	}
	for _, f := range c.ListenerFilters {
		s.filters = append(s.filters, f.Factory.(FilterFactory))
	}
	if err := s.bind(old); err != nil {
		return nil, err
	}
	prefix := "listener." + StatPrefix(c) + "."
	s.group = m.cfg.Stats.Group(prefix, listenerSchema)
	for _, w := range m.cfg.Workers {
		s.perWorker = append(s.perWorker, m.cfg.Stats.Group(prefix+w.Name()+".", workerSchema))
	}
	return s, nil
}

// ofWorker returns the statistics of one worker; the workers of a manager have
// successive numbers.
func (s *listenerState) ofWorker(w *event.Worker) *stats.Group {
	return s.perWorker[w.Index()-s.manager.cfg.Workers[0].Index()]
}

// chain returns the runtime form of a filter chain, the old version's when
// nothing in it changed.
func (s *listenerState) chain(fc *config.FilterChain, old *listenerState) *chain {
	if old != nil && fc.Hash != 0 {
		for _, c := range append(slices.Clone(old.matcher.chains), old.matcher.def) {
			if c != nil && c.config.Hash == fc.Hash && c.config.Name == fc.Name {
				return c
			}
		}
	}
	factory, ok := fc.Transport.(network.TransportFactory)
	if !ok {
		factory = transport.RawFactory{} // no transport_socket is plaintext
	}
	c := &chain{config: fc, transport: factory, drain: network.NewDrain(s.drain, s.manager.cfg.DrainTime, s.manager.cfg.DrainGradual)}
	for _, f := range fc.Filters {
		c.filters = append(c.filters, f.Factory.(network.FilterFactory))
	}
	return c
}

// bind opens the listener's sockets, taking over those of the old version that
// have the same address.
func (s *listenerState) bind(old *listenerState) error {
	if !s.config.BindToPort {
		return nil
	}
	var opened []*socket
	for _, a := range append([]address.Address{s.config.Address}, s.config.MoreAddresses...) {
		if old != nil && sameSocketOptions(old.config, s.config) {
			if i := slices.IndexFunc(old.sockets, func(k *socket) bool { return k.configured == a }); i >= 0 {
				s.sockets = append(s.sockets, old.sockets[i])
				continue
			}
		}
		k, err := s.open(a)
		if err != nil {
			for _, o := range opened {
				o.close(s.manager.cfg.System)
			}
			return err
		}
		opened = append(opened, k)
		s.sockets = append(s.sockets, k)
	}
	return nil
}

func sameSocketOptions(a, b *config.Listener) bool {
	return a.ReusePort == b.ReusePort && a.Transparent == b.Transparent && a.FreeBind == b.FreeBind &&
		a.Backlog == b.Backlog && slices.EqualFunc(a.SocketOptions, b.SocketOptions, func(x, y config.SocketOption) bool {
		return x.Level == y.Level && x.Name == y.Name && x.State == y.State && string(x.Value) == string(y.Value)
	})
}

// open binds one address: once for each worker, or once for all where the
// kernel cannot share a port between sockets.
func (s *listenerState) open(a address.Address) (*socket, error) {
	c := s.config
	o := event.ListenOptions{Backlog: c.Backlog, ReusePort: c.ReusePort && a.IsIP(), Transparent: c.Transparent, FreeBind: c.FreeBind, Mode: c.SocketMode}
	for _, x := range c.SocketOptions {
		o.Options = append(o.Options, event.SocketOption{Level: x.Level, Name: x.Name, Value: x.Value})
	}
	n := 1
	if o.ReusePort {
		n = max(len(s.manager.cfg.Workers), 1)
	}
	k := &socket{configured: a, bound: a}
	for range n {
		fd, err := s.manager.cfg.System.Listen(k.bound, o)
		if err != nil {
			k.close(s.manager.cfg.System)
			return nil, fmt.Errorf("error adding listener '%s': %w", c.Name, err)
		}
		k.fds = append(k.fds, fd)
		if a.IsIP() {
			k.bound = s.manager.cfg.System.LocalAddress(fd)
		}
	}
	return k, nil
}

func (k *socket) close(sys event.System) {
	for _, fd := range k.fds {
		sys.Close(fd)
	}
	k.fds = nil
}

// attach puts a version to work on all workers. Sockets that it took over
// change hands there without being closed; others of the old version close.
func (m *Manager) attach(s, old *listenerState) {
	created := new(atomic.Int64)
	for i, w := range m.cfg.Workers {
		l := &workerListener{w: w, state: s, conns: map[*tracked]struct{}{}, pending: map[*pending]struct{}{}}
		s.workers = append(s.workers, l)
		var before *workerListener
		if old != nil && i < len(old.workers) {
			before = old.workers[i]
		}
		w.Post(func() {
			l.takeOver(before, i)
			if created.Add(1) == int64(len(m.cfg.Workers)) {
				m.group.Counter(createSuccess).Add(w.Stats(), uint64(len(m.cfg.Workers)))
			}
		})
	}
	if old != nil {
		m.retire(old, s)
	}
}

// takeOver moves the acceptors of kept sockets and opens the others.
func (l *workerListener) takeOver(before *workerListener, i int) {
	for _, k := range l.state.sockets {
		fd := k.fds[i%len(k.fds)]
		if before != nil {
			if j := slices.IndexFunc(before.acceptors, func(a *acceptor) bool { return a.fd == fd && !a.closed }); j >= 0 {
				a := before.acceptors[j]
				before.acceptors = slices.Delete(before.acceptors, j, j+1)
				a.active = l
				l.acceptors = append(l.acceptors, a)
				continue
			}
		}
		a := &acceptor{w: l.w, fd: fd, active: l}
		again := func() {
			if !a.closed {
				a.accept()
			}
		}
		a.task.Init(again)
		a.retry.Init(l.w, again)
		l.acceptors = append(l.acceptors, a)
		_ = l.w.Register(fd, a)
	}
	if before != nil {
		before.stopAccepting()
		l.adopt(before)
	}
}

// adopt makes the connections of chains that live on this version's to close:
// when a later version drops such a chain, its drain must find them.
func (l *workerListener) adopt(before *workerListener) {
	for t := range before.conns {
		if slices.Contains(l.state.matcher.chains, t.chain) || t.chain == l.state.matcher.def {
			delete(before.conns, t)
			l.conns[t] = struct{}{}
			t.owner = l
		}
	}
}

func (l *workerListener) stopAccepting() {
	for _, a := range l.acceptors {
		a.closed = true
		a.retry.Remove()
		l.w.Unregister(a.fd)
	}
	l.acceptors = nil
}

// retire drains what a new version (nil: none) does not carry on.
func (m *Manager) retire(old, next *listenerState) {
	kept := map[*chain]bool{}
	if next != nil {
		for _, c := range append(slices.Clone(next.matcher.chains), next.matcher.def) {
			kept[c] = true
		}
	}
	gone := 0
	for _, c := range append(slices.Clone(old.matcher.chains), old.matcher.def) {
		if c != nil && !kept[c] {
			c.drain.Begin(m.cfg.Now())
			gone++
		}
	}
	main := m.cfg.Stats.Main()
	m.group.Gauge(chainsDraining).Add(main, int64(gone))
	if next == nil {
		m.group.Gauge(listenersDraining).Add(main, 1)
	}
	var unused []*socket
	for _, k := range old.sockets {
		if next == nil || !slices.Contains(next.sockets, k) {
			unused = append(unused, k)
		}
	}
	m.closeSockets(old, unused)
	m.cfg.After(m.cfg.DrainTime, func() {
		m.group.Gauge(chainsDraining).Add(main, -int64(gone))
		if next == nil {
			m.group.Gauge(listenersDraining).Add(main, -1)
		}
		for _, l := range old.workers {
			l.w.Post(func() { l.closeAll(func(c *chain) bool { return !kept[c] }) })
		}
	})
}

// closeSockets closes descriptors once no worker watches them any more.
func (m *Manager) closeSockets(old *listenerState, unused []*socket) {
	if len(unused) == 0 {
		return
	}
	left := int64(len(old.workers))
	if left == 0 {
		for _, k := range unused {
			k.close(m.cfg.System)
		}
		return
	}
	remaining := new(atomic.Int64)
	remaining.Store(left)
	for _, l := range old.workers {
		l.w.Post(func() {
			l.stopAccepting()
			if remaining.Add(-1) == 0 {
				for _, k := range unused {
					k.close(m.cfg.System)
				}
			}
		})
	}
}

// closeAll closes the connections of the chains that gone selects.
func (l *workerListener) closeAll(gone func(*chain) bool) {
	for _, t := range slices.Collect(maps.Keys(l.conns)) {
		if gone(t.chain) {
			t.conn.Close(network.CloseNow, "deferred_close_on_drained_connection")
		}
	}
}

// Remove stops a listener; its connections drain. It says whether there was
// one.
func (m *Manager) Remove(name string) bool {
	old := m.listeners[name]
	if old == nil {
		return false
	}
	delete(m.listeners, name)
	m.order = slices.DeleteFunc(m.order, func(n string) bool { return n == name })
	m.group.Counter(listenerRemoved).Inc(m.cfg.Stats.Main())
	m.retire(old, nil)
	m.gauges()
	return true
}

// StopAccepting closes the listening sockets that which selects; connections
// live on.
func (m *Manager) StopAccepting(which func(*config.Listener) bool) {
	for _, name := range m.order {
		s := m.listeners[name]
		if !which(s.config) {
			continue
		}
		m.closeSockets(s, s.sockets)
		if len(s.sockets) > 0 || !s.config.BindToPort {
			m.group.Counter(listenerStopped).Add(m.cfg.Stats.Main(), uint64(max(len(m.cfg.Workers), 1)))
		}
		s.sockets = nil
	}
}

// Status is one listener for the admin interface.
type Status struct {
	Config  *config.Listener
	Bound   []address.Address
	Updated time.Time
}

// Snapshot returns the listeners in the order in which they were added.
func (m *Manager) Snapshot() []Status {
	var out []Status
	for _, name := range m.order {
		s := m.listeners[name]
		st := Status{Config: s.config, Updated: s.updated}
		for _, k := range s.sockets {
			st.Bound = append(st.Bound, k.bound)
		}
		if len(st.Bound) == 0 {
			st.Bound = append([]address.Address{s.config.Address}, s.config.MoreAddresses...)
		}
		out = append(out, st)
	}
	return out
}
