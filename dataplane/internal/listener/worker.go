package listener

import (
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// acceptor is one listening socket on one worker.
type acceptor struct {
	w      *event.Worker
	fd     int
	active *workerListener
	task   event.Task
	retry  event.Timer // after the system had no descriptor or memory left
	closed bool
}

// retryAccept is how long a listener waits when the system is out of
// descriptors or memory. The edge is used up by then, so nobody else would
// wake it, and asking again at once would only burn the processor.
const retryAccept = 100 * time.Millisecond

// OnReady implements event.Handler.
func (a *acceptor) OnReady(event.Ready) { a.accept() }

// acceptsPerTurn bounds what one socket may accept in one turn, so that a storm
// of connections does not starve those that are there.
const acceptsPerTurn = 64

func (a *acceptor) accept() {
	l := a.active
	limit := acceptsPerTurn
	if n := l.state.config.AcceptsPerEvent; n > 0 {
		limit = min(limit, n)
	}
	for n := range limit {
		if a.closed {
			return
		}
		fd, peer, e := a.w.System().Accept(a.fd)
		if e != 0 {
			if n > 0 {
				l.state.group.Histogram(acceptedPerEvent).Record(a.w.Stats(), uint64(n))
			}
			if e != syscall.EAGAIN && e != syscall.ECONNABORTED && e != syscall.EINTR {
				a.retry.Reset(retryAccept)
			}
			return
		}
		info := network.Info{Remote: peer, DirectRemote: peer, Local: a.w.System().LocalAddress(fd), Start: a.w.Now(), TransportProtocol: "raw_buffer", ListenerName: l.state.config.Name, Direction: l.state.config.Direction, ListenerMetadata: l.state.config.Metadata}
		info.DirectLocal = info.Local
		if !peer.IsValid() {
			info.Remote, info.DirectRemote = info.Local, info.Local
		}
		l.accepted(fd, info)
	}
	a.w.Schedule(&a.task)
}

// workerListener is one listener on one worker.
type workerListener struct {
	w         *event.Worker
	state     *listenerState
	acceptors []*acceptor
	scratch   []*chain
	conns     map[*tracked]struct{}
	pending   map[*pending]struct{}
}

// accepted takes a new connection through limits and listener filters.
func (l *workerListener) accepted(fd int, info network.Info) {
	s := l.state
	if !s.acquire() {
		s.group.Counter(cxOverflow).Inc(l.w.Stats())
		l.w.System().Close(fd)
		return
	}
	if g := s.manager.cfg.GlobalLimit; g != nil && !s.config.IgnoreGlobal && !g.TryAcquire() {
		s.release()
		s.group.Counter(cxGlobalOverflow).Inc(l.w.Stats())
		l.w.System().Close(fd)
		return
	}
	if len(s.filters) == 0 {
		l.serve(fd, info)
		return
	}
	l.inspect(fd, info)
}

// drop closes a connection that never got a chain.
func (l *workerListener) drop(fd int) {
	l.w.System().Close(fd)
	l.unlimit()
}

func (l *workerListener) unlimit() {
	l.state.release()
	if g := l.state.manager.cfg.GlobalLimit; g != nil && !l.state.config.IgnoreGlobal {
		g.Release()
	}
}

// serve picks the chain and starts the connection.
func (l *workerListener) serve(fd int, info network.Info) {
	s := l.state
	if cap(l.scratch) < len(s.matcher.chains) {
		l.scratch = make([]*chain, 0, len(s.matcher.chains))
	}
	c := s.matcher.find(&info, l.scratch)
	if c == nil {
		s.group.Counter(noChainMatch).Inc(l.w.Stats())
		if s.manager.cfg.OnNoChain != nil {
			s.manager.cfg.OnNoChain(l.w, s.config, &info)
		}
		l.drop(fd)
		return
	}
	info.FilterChainName = c.config.Name
	info.ChainMetadata = c.config.Metadata
	info.Drain = c.drain
	o := network.Options{
		Transport: c.transport.NewTransport(nil), BufferLimit: s.config.BufferLimit,
		ConnectTimeout: c.config.TransportTimeout,
		OnTimeout:      func() { s.group.Counter(cxHandshakeTimeout).Inc(l.w.Stats()) },
	}
	if c.transport.Secure() {
		info.TransportProtocol = "tls"
	}
	conn := network.NewServer(l.w, fd, info, o)
	t := &tracked{l: l, owner: l, chain: c, conn: conn, start: l.w.Now()}
	l.conns[t] = struct{}{}
	st := l.w.Stats()
	s.group.Counter(cxTotal).Inc(st)
	s.group.Gauge(cxActive).Inc(st)
	s.ofWorker(l.w).Counter(workerTotal).Inc(st)
	s.ofWorker(l.w).Gauge(workerActive).Inc(st)
	conn.AddEvents(t)
	for _, f := range c.filters {
		f.AddFilters(conn)
	}
	if len(c.filters) == 0 {
		conn.Close(network.CloseNow, "")
		return
	}
	_ = conn.Start(o)
}

// tracked observes one connection until its end.
type tracked struct {
	l     *workerListener // that accepted it, whose limits and statistics count it
	owner *workerListener // that closes it when its chain has drained
	chain *chain
	conn  *network.Conn
	start time.Time
}

// OnEvent implements network.Events.
func (t *tracked) OnEvent(e network.Event) {
	if e == network.Connected {
		return
	}
	l, s, st := t.l, t.l.state, t.l.w.Stats()
	delete(t.owner.conns, t)
	s.group.Counter(cxDestroy).Inc(st)
	s.group.Gauge(cxActive).Dec(st)
	s.group.Histogram(cxLength).Record(st, uint64(l.w.Now().Sub(t.start).Milliseconds()))
	s.ofWorker(l.w).Gauge(workerActive).Dec(st)
	l.unlimit()
	if s.manager.cfg.OnConnectionEnd != nil && len(s.config.AccessLogs) > 0 {
		s.manager.cfg.OnConnectionEnd(l.w, s.config, t.conn)
	}
}

// OnAboveHighWatermark implements network.Events.
func (t *tracked) OnAboveHighWatermark() {}

// OnBelowLowWatermark implements network.Events.
func (t *tracked) OnBelowLowWatermark() {}
