package pool

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// TCP is an upstream.TCPPool: one new connection for each request.
type TCP struct {
	cfg  Config
	live map[*tcpConn]struct{}
}

// NewTCP returns a pool; Mode, H1 and H2 of its Config are not used.
func NewTCP(c Config) *TCP { return &TCP{cfg: c, live: map[*tcpConn]struct{}{}} }

// Host implements upstream.TCPPool.
func (p *TCP) Host() *upstream.Host { return p.cfg.Host }

// Idle says whether the pool has no connection.
func (p *TCP) Idle() bool { return len(p.live) == 0 }

// CloseAll ends all connections (close_connections_on_host_health_failure and
// the removal of a host).
func (p *TCP) CloseAll() {
	for c := range p.live {
		c.conn.Close(network.CloseNow, "")
	}
}

// tcpConn is a connection in the making, then one that was handed over.
type tcpConn struct {
	*network.Conn
	p         *TCP
	conn      *network.Conn
	cb        upstream.TCPCallbacks
	begun     time.Time
	connected bool
	cancelled bool
	timedOut  bool
	done      bool
}

// Host implements upstream.TCPConnection.
func (c *tcpConn) Host() *upstream.Host { return c.p.cfg.Host }

func (p *TCP) count(stat int) { p.cfg.Info.Stats.Counter(stat).Inc(p.cfg.Worker.Stats()) }

// NewConnection implements upstream.TCPPool.
func (p *TCP) NewConnection(cb upstream.TCPCallbacks) upstream.Cancellable {
	if !p.cfg.Breakers.Connections().TryAcquire() {
		p.count(upstream.CxOverflow)
		cb.OnPoolFailure(upstream.PoolOverflow, "", p.cfg.Host)
		return nil
	}
	w, cfg := p.cfg.Worker, p.cfg.Info.Config
	c := &tcpConn{p: p, cb: cb, begun: w.Now()}
	p.live[c] = struct{}{}
	p.count(upstream.CxTotal)
	p.count(upstream.RqTotal)
	p.count(upstream.RqPendingTotal)
	l := w.Stats()
	p.cfg.Info.Stats.Gauge(upstream.CxActive).Inc(l)
	p.cfg.Info.Stats.Gauge(upstream.RqPendingActive).Inc(l)
	p.cfg.Host.Total.Connections.Add(1)
	p.cfg.Host.Active.Connections.Add(1)
	var t network.Transport = &transport.Raw{}
	if p.cfg.Transport != nil {
		o := network.TransportOptions{}
		if p.cfg.Options != nil {
			o = *p.cfg.Options
		}
		t = p.cfg.Transport.NewTransport(&o)
	}
	conn, err := network.Connect(w, p.cfg.Host.Address, event.ConnectOptions{Source: cfg.SourceAddress}, network.Options{
		Transport: t, Stats: p.cfg.Bytes, BufferLimit: cfg.BufferLimit, ConnectTimeout: connectTimeout(cfg),
		OnTimeout: func() { c.timedOut = true },
	})
	if err != nil {
		p.count(upstream.CxConnectFail)
		p.count(upstream.RqPendingFailureEject)
		p.cfg.Host.Total.ConnectFail.Add(1)
		c.gone(network.LocalClose)
		cb.OnPoolFailure(upstream.LocalConnectFailure, err.Error(), p.cfg.Host)
		return nil
	}
	c.conn, c.Conn = conn, conn
	conn.AddEvents(c)
	return c
}

// Cancel implements upstream.Cancellable.
func (c *tcpConn) Cancel() {
	if !c.connected && !c.done {
		c.cancelled = true
		c.p.count(upstream.RqCancelled)
		c.conn.Close(network.CloseNow, "")
	}
}

// OnEvent implements network.Events.
func (c *tcpConn) OnEvent(e network.Event) {
	p := c.p
	if e == network.Connected {
		c.connected = true
		st := p.cfg.Worker.Stats()
		p.cfg.Info.Stats.Gauge(upstream.RqPendingActive).Dec(st)
		p.cfg.Info.Stats.Gauge(upstream.RqActive).Inc(st)
		p.cfg.Host.Active.Requests.Add(1)
		p.cfg.Host.Total.Requests.Add(1)
		p.cfg.Info.Stats.Histogram(upstream.CxConnectMs).Record(st, uint64(p.cfg.Worker.Now().Sub(c.begun).Milliseconds()))
		c.cb.OnPoolReady(c)
		return
	}
	was := c.connected
	c.gone(e)
	if was || c.cancelled {
		return
	}
	p.count(upstream.CxConnectFail)
	p.count(upstream.RqPendingFailureEject)
	p.cfg.Host.Total.ConnectFail.Add(1)
	f := upstream.RemoteConnectFailure
	if c.timedOut {
		f = upstream.ConnectTimeout
		p.count(upstream.CxConnectTimeout)
	}
	if o := p.cfg.Host.Outlier; o != nil {
		o.PutLocalFailure(f)
	}
	c.cb.OnPoolFailure(f, c.conn.Info().TransportFailure, p.cfg.Host)
}

// gone takes the connection off the books.
func (c *tcpConn) gone(e network.Event) {
	if c.done {
		return
	}
	c.done = true
	p := c.p
	st := p.cfg.Worker.Stats()
	delete(p.live, c)
	g := p.cfg.Info.Stats
	g.Gauge(upstream.CxActive).Dec(st)
	p.cfg.Host.Active.Connections.Add(-1)
	p.cfg.Breakers.Connections().Release()
	if !c.connected {
		g.Gauge(upstream.RqPendingActive).Dec(st)
		return
	}
	g.Gauge(upstream.RqActive).Dec(st)
	p.cfg.Host.Active.Requests.Add(-1)
	p.count(upstream.CxDestroy)
	p.count(upstream.CxDestroyWithActiveRq)
	if e == network.LocalClose {
		p.count(upstream.CxDestroyLocal)
		p.count(upstream.CxDestroyLocalWithActiveRq)
	} else {
		p.count(upstream.CxDestroyRemote)
		p.count(upstream.CxDestroyRemoteWithActiveRq)
	}
	g.Histogram(upstream.CxLengthMs).Record(st, uint64(p.cfg.Worker.Now().Sub(c.begun).Milliseconds()))
}

// OnAboveHighWatermark implements network.Events.
func (c *tcpConn) OnAboveHighWatermark() {}

// OnBelowLowWatermark implements network.Events.
func (c *tcpConn) OnBelowLowWatermark() {}
