package pool

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/breaker"
)

// Mode is which protocol a pool speaks.
type Mode uint8

// The modes.
const (
	HTTP1 Mode = iota
	HTTP2
	ByALPN
)

// Config is what a pool is made of.
type Config struct {
	Worker    *event.Worker
	Host      *upstream.Host
	Info      *upstream.Info
	Breakers  upstream.Breakers
	Mode      Mode
	Transport network.TransportFactory
	Options   *network.TransportOptions // nil: as configured
	H1        *h1.Stats
	H2        *h2.Stats
	Bytes     *network.Stats
	// OnIdle is called when the pool has neither connections nor requests any
	// more; nil: nobody.
	OnIdle func()
}

// HTTP is an upstream.HTTPPool.
type HTTP struct {
	cfg        Config
	opts       *config.UpstreamProtocol
	h1opts     config.HTTP1Options
	ready      []*client // have room; the last is used next
	all        map[*client]struct{}
	waiting    waitList
	nWaiting   int
	free       *request
	draining   bool
	connecting int // streams that connections in the making will have room for
}

// NewHTTP returns an empty pool.
func NewHTTP(c Config) *HTTP {
	p := &HTTP{cfg: c, opts: &c.Info.Config.Protocol, all: map[*client]struct{}{}}
	p.h1opts = p.opts.HTTP1
	return p
}

// Host implements upstream.HTTPPool.
func (p *HTTP) Host() *upstream.Host { return p.cfg.Host }

// Protocol implements upstream.HTTPPool.
func (p *HTTP) Protocol() stream.Protocol {
	if p.cfg.Mode == HTTP2 {
		return stream.HTTP2
	}
	return stream.HTTP11
}

// Idle says whether the pool has neither connections nor requests.
func (p *HTTP) Idle() bool { return len(p.all) == 0 && p.nWaiting == 0 }

func (p *HTTP) count(stat int) { p.cfg.Info.Stats.Counter(stat).Inc(p.cfg.Worker.Stats()) }

func (p *HTTP) gauge(stat int, d int64) {
	p.cfg.Info.Stats.Gauge(stat).Add(p.cfg.Worker.Stats(), d)
}

// NewStream implements upstream.HTTPPool.
func (p *HTTP) NewStream(d stream.ResponseDecoder, cb upstream.HTTPCallbacks) upstream.Cancellable {
	for n := len(p.ready); n > 0; n = len(p.ready) {
		c := p.ready[n-1]
		if !c.usable() {
			c.leaveReady()
			continue
		}
		if !p.cfg.Breakers.Requests().TryAcquire() {
			p.count(upstream.RqActiveOverflow)
			cb.OnPoolFailure(upstream.PoolOverflow, "", p.cfg.Host)
			return nil
		}
		p.attach(c, d, cb)
		if p.cfg.Info.Config.PerUpstreamPreconnect > 1 {
			p.grow()
		}
		return nil
	}
	if !p.cfg.Breakers.Pending().TryAcquire() {
		p.count(upstream.RqPendingOverflow)
		cb.OnPoolFailure(upstream.PoolOverflow, "", p.cfg.Host)
		return nil
	}
	w := &waiter{p: p, d: d, cb: cb}
	p.waiting.push(w)
	p.nWaiting++
	p.count(upstream.RqPendingTotal)
	p.gauge(upstream.RqPendingActive, 1)
	p.cfg.Host.Active.Pending.Add(1)
	p.grow()
	if w.done {
		return nil
	}
	return w
}

// maxGrowth is how many connections one request may begin, so that a large
// ratio does not make a burst.
const maxGrowth = 3

// grow makes connections when those that there are do not suffice.
func (p *HTTP) grow() {
	for range maxGrowth {
		if !p.short() || !p.enlarge() {
			return
		}
	}
}

// short says whether another connection is wanted: for the requests that wait
// and, with preconnect_policy, for those that may follow.
func (p *HTTP) short() bool {
	ratio := p.cfg.Info.Config.PerUpstreamPreconnect
	if ratio <= 1 {
		return p.connecting < p.nWaiting
	}
	active, room := 0, p.connecting
	for c := range p.all {
		if c.state == open || c.state == draining {
			active += c.active
		}
		if c.state == open {
			room += c.limit() - c.active
		}
	}
	return float64(p.nWaiting+active)*ratio > float64(room+active)
}

// enlarge begins one connection if the breaker lets it.
func (p *HTTP) enlarge() bool {
	conns := p.cfg.Breakers.Connections()
	if !conns.TryAcquire() {
		p.count(upstream.CxOverflow)
		if len(p.all) > 0 {
			return false
		}
		// A pool without any connection gets one whatever the limit says, or its
		// requests would wait for ever.
		if f, ok := conns.(breaker.Forcer); ok {
			f.Force()
		}
	}
	return p.connect()
}

// attach gives a request a stream on a connection with room.
func (p *HTTP) attach(c *client, d stream.ResponseDecoder, cb upstream.HTTPCallbacks) {
	st := p.cfg.Worker.Stats()
	r := p.free
	if r == nil {
		r = &request{p: p}
	} else {
		p.free = r.next
	}
	*r = request{p: p, c: c, decoder: d}
	c.active++
	c.served++
	if c.active >= c.limit() {
		c.leaveReady()
	}
	c.idle.Stop()
	g := p.cfg.Info.Stats
	g.Counter(upstream.RqTotal).Inc(st)
	g.Gauge(upstream.RqActive).Inc(st)
	p.cfg.Host.Total.Requests.Add(1)
	p.cfg.Host.Active.Requests.Add(1)
	r.encoder = c.codec.NewStream(r)
	r.encoder.Stream().AddCallbacks(r)
	c.info.Requests = uint64(c.served)
	cb.OnPoolReady(r, &c.info)
}

// pump gives waiting requests to connections with room.
func (p *HTTP) pump() {
	for p.nWaiting > 0 && len(p.ready) > 0 {
		c := p.ready[len(p.ready)-1]
		if !c.usable() {
			c.leaveReady()
			continue
		}
		w := p.waiting.pop()
		p.settle(w)
		if !p.cfg.Breakers.Requests().TryAcquire() {
			p.count(upstream.RqActiveOverflow)
			w.cb.OnPoolFailure(upstream.PoolOverflow, "", p.cfg.Host)
			continue
		}
		p.attach(c, w.d, w.cb)
	}
}

// settle takes a request off the waiting list's books.
func (p *HTTP) settle(w *waiter) {
	w.done = true
	p.nWaiting--
	p.gauge(upstream.RqPendingActive, -1)
	p.cfg.Host.Active.Pending.Add(-1)
	p.cfg.Breakers.Pending().Release()
}

// failAll ends every waiting request.
func (p *HTTP) failAll(f upstream.PoolFailure, detail string) {
	list := p.waiting
	p.waiting = waitList{}
	for w := list.pop(); w != nil; w = list.pop() {
		p.settle(w)
		p.count(upstream.RqPendingFailureEject)
		w.cb.OnPoolFailure(f, detail, p.cfg.Host)
	}
}

// Drain lets what runs finish, takes idle connections down, and makes the pool
// forget its connections as they become idle.
func (p *HTTP) Drain() {
	p.draining = true
	for c := range p.all {
		c.drain()
	}
	p.check()
}

// check tells the owner of a pool that it is empty.
func (p *HTTP) check() {
	if p.cfg.OnIdle != nil && p.Idle() {
		p.cfg.OnIdle()
	}
}

// CloseAll ends all connections at once.
func (p *HTTP) CloseAll() {
	p.draining = true
	for c := range p.all {
		c.conn.Close(network.CloseNow, "")
	}
	p.check()
}

// waiter is a request that waits for a connection.
type waiter struct {
	p    *HTTP
	d    stream.ResponseDecoder
	cb   upstream.HTTPCallbacks
	prev *waiter
	next *waiter
	done bool
}

// Cancel implements upstream.Cancellable.
func (w *waiter) Cancel() {
	if w.done {
		return
	}
	w.p.waiting.remove(w)
	w.p.settle(w)
	w.p.count(upstream.RqCancelled)
	w.p.check()
}

// waitList is the requests that wait, in order.
type waitList struct{ head, tail *waiter }

func (l *waitList) push(w *waiter) {
	if w.prev = l.tail; w.prev != nil {
		w.prev.next = w
	} else {
		l.head = w
	}
	l.tail = w
}

func (l *waitList) pop() *waiter {
	w := l.head
	if w != nil {
		l.remove(w)
	}
	return w
}

func (l *waitList) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.tail = w.prev
	}
	w.prev, w.next = nil, nil
}

// BytesOf returns the byte statistics of a cluster for its connections.
func BytesOf(g *stats.Group) *network.Stats {
	return &network.Stats{
		RxTotal: g.Counter(upstream.CxRxBytesTotal), TxTotal: g.Counter(upstream.CxTxBytesTotal),
		RxBuffered: g.Gauge(upstream.CxRxBytesBuffered), TxBuffered: g.Gauge(upstream.CxTxBytesBuffered),
	}
}

// connectTimeout is the cluster's, at least a millisecond.
func connectTimeout(c *config.Cluster) time.Duration {
	if c.ConnectTimeout <= 0 {
		return 5 * time.Second
	}
	return c.ConnectTimeout
}
