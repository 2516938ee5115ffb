package tcpproxy

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// schema is the statistics under "tcp.<stat_prefix>.".
var schema = stats.NewSchema(
	stats.C("downstream_cx_total"), stats.C("downstream_cx_no_route"), stats.C("downstream_cx_tx_bytes_total"),
	stats.G("downstream_cx_tx_bytes_buffered"), stats.C("downstream_cx_rx_bytes_total"), stats.G("downstream_cx_rx_bytes_buffered"),
	stats.C("downstream_flow_control_paused_reading_total"), stats.C("downstream_flow_control_resumed_reading_total"),
	stats.C("early_data_received_count_total"), stats.C("idle_timeout"), stats.C("max_downstream_connection_duration"),
	stats.C("upstream_flush_total"), stats.G("upstream_flush_active"), stats.C("on_demand_cluster_attempt"),
	stats.C("on_demand_cluster_missing"), stats.C("on_demand_cluster_success"), stats.C("on_demand_cluster_timeout"),
)

const (
	cxTotal = iota
	noRoute
	txTotal
	txBuffered
	rxTotal
	rxBuffered
	pausedReading
	resumedReading
	earlyData
	idleTimeout
	maxDuration
	flushTotal
	flushActive
)

// Weighted is one of weighted_clusters.
type Weighted struct {
	Name   string
	Weight uint64
}

// Config is TcpProxy, compiled.
type Config struct {
	StatPrefix  string
	Cluster     string
	Weighted    []Weighted
	Idle        time.Duration // default 1 h; 0: none
	MaxAttempts uint32        // default 1
	MaxDuration time.Duration
	LogStart    bool
	Logs        []streaminfo.Logger
}

// Factory makes a proxy for each connection.
type Factory struct {
	cfg     Config
	group   *stats.Group
	manager upstream.Manager
}

// NewFactory returns the filter of a configuration.
func NewFactory(c Config, store *stats.Store, m upstream.Manager) *Factory {
	return &Factory{cfg: c, group: store.Group("tcp."+c.StatPrefix+".", schema), manager: m}
}

// AddFilters implements network.FilterFactory.
func (f *Factory) AddFilters(m network.FilterManager) {
	p := &proxy{f: f, down: m.Connection(), w: m.Connection().Worker()}
	p.up.p = p
	m.AddReadFilter(p)
	m.Connection().AddEvents(p)
}

// proxy is one connection and its upstream. It observes the downstream;
// upstreamSide observes the other.
type proxy struct {
	f        *Factory
	w        *event.Worker
	down     network.Connection
	up       upstreamSide
	waiting  upstream.Cancellable
	info     streaminfo.Info
	cluster  upstream.Cluster
	attempts uint32
	idle     event.Timer
	duration event.Timer
	closed   bool
	begun    bool
	rx, tx   uint64
}

// upstreamSide is what happens on the upstream connection.
type upstreamSide struct {
	p    *proxy
	conn upstream.TCPConnection
}

func (p *proxy) count(stat int) { p.f.group.Counter(stat).Inc(p.w.Stats()) }

// InitRead implements network.ReadFilter.
func (p *proxy) InitRead(network.ReadCallbacks) {
	p.down.EnableHalfClose(true)
	p.down.ReadDisable(true) // until there is somebody to read for
}

// OnNewConnection implements network.ReadFilter.
func (p *proxy) OnNewConnection() network.FilterStatus {
	p.begun = true
	p.count(cxTotal)
	i := &p.info
	i.Conn, i.ConnectionID, i.Start = p.down.Info(), p.down.ID(), p.w.Now()
	i.Random = p.w.Rand.Uint64()
	p.idle.Init(p.w, p.onIdle)
	p.duration.Init(p.w, p.onDuration)
	if d := p.f.cfg.MaxDuration; d > 0 {
		p.duration.Reset(d)
	}
	p.touch()
	p.connect()
	return network.StopIteration
}

func (p *proxy) touch() {
	if d := p.f.cfg.Idle; d > 0 {
		p.idle.Reset(d)
	}
}

// choose picks the cluster.
func (p *proxy) choose() string {
	c := &p.f.cfg
	if len(c.Weighted) == 0 {
		return c.Cluster
	}
	total := uint64(0)
	for _, w := range c.Weighted {
		total += w.Weight
	}
	at := p.info.Random % max(total, 1)
	for _, w := range c.Weighted {
		if at < w.Weight {
			return w.Name
		}
		at -= w.Weight
	}
	return ""
}

// connect asks for an upstream connection.
func (p *proxy) connect() {
	if p.cluster == nil {
		p.cluster = p.f.manager.On(p.w.Index()).Get(p.choose())
	}
	if p.cluster == nil {
		p.info.Flags |= fault.NoClusterFound
		p.count(noRoute)
		p.end(network.CloseNow)
		return
	}
	info := p.cluster.Info()
	p.info.Cluster, p.info.ClusterName, p.info.ClusterMetadata = info.Observability, info.Config.Name, info.Config.Metadata
	if p.attempts >= max(p.f.cfg.MaxAttempts, 1) {
		info.Stats.Counter(upstream.CxConnectAttemptsExceeded).Inc(p.w.Stats())
		p.info.Flags |= fault.UpstreamRetryLimitExceeded
		p.end(network.CloseNow)
		return
	}
	host := p.cluster.ChooseHost((*lbContext)(p))
	if host == nil {
		info.Stats.Counter(upstream.CxNoneHealthy).Inc(p.w.Stats())
		p.info.Flags |= fault.NoHealthyUpstream
		p.end(network.CloseNow)
		return
	}
	p.attempts++
	p.info.Attempts = p.attempts
	pool := p.cluster.TCPPool(host, config.PriorityDefault, nil)
	w := pool.NewConnection(p)
	if w != nil && p.up.conn == nil && !p.closed {
		p.waiting = w
	}
}

// OnPoolReady implements upstream.TCPCallbacks.
func (p *proxy) OnPoolReady(c upstream.TCPConnection) {
	p.waiting = nil
	conn := c.Connection()
	p.up.conn = c
	u := &p.info.Upstream
	u.Host, u.Conn, u.ConnectionID = c.Host(), conn.Info(), conn.ID()
	u.Attempted = append(u.Attempted, c.Host())
	conn.EnableHalfClose(true)
	conn.AddEvents(&p.up)
	c.AddReadFilter(&p.up)
	if p.f.cfg.LogStart {
		p.log(streaminfo.TCPConnectionStart)
	}
	p.touch()
	p.down.ReadDisable(false)
}

// OnPoolFailure implements upstream.TCPCallbacks.
func (p *proxy) OnPoolFailure(f upstream.PoolFailure, detail string, h *upstream.Host) {
	p.waiting = nil
	if p.closed {
		return
	}
	if h != nil {
		p.info.Upstream.Host = h
	}
	p.info.Upstream.TransportFailure = detail
	if f == upstream.PoolOverflow {
		p.info.Flags |= fault.UpstreamOverflow
		p.end(network.CloseNow)
		return
	}
	if p.attempts >= max(p.f.cfg.MaxAttempts, 1) {
		p.info.Flags |= fault.UpstreamConnectionFailure
	}
	p.connect()
}

// OnData implements network.ReadFilter: bytes of the client.
func (p *proxy) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	p.touch()
	p.account()
	if p.up.conn == nil {
		return network.StopIteration
	}
	p.info.BytesReceived += uint64(b.Len())
	p.up.conn.Connection().Write(b, end)
	return network.StopIteration
}

// account keeps the byte statistics.
func (p *proxy) account() {
	i, l := p.down.Info(), p.w.Stats()
	p.f.group.Counter(rxTotal).Add(l, i.BytesReceived-p.rx)
	p.f.group.Counter(txTotal).Add(l, i.BytesSent-p.tx)
	p.rx, p.tx = i.BytesReceived, i.BytesSent
}

func (p *proxy) onIdle() {
	p.count(idleTimeout)
	p.info.Termination = "tcp_session_idle_timeout"
	p.end(network.CloseNow)
}

func (p *proxy) onDuration() {
	p.count(maxDuration)
	p.info.Termination = "max_connection_duration_reached"
	p.end(network.CloseNow)
}

// end closes the downstream, which ends everything.
func (p *proxy) end(t network.CloseType) {
	if !p.closed {
		p.down.Close(t, p.info.Termination)
	}
}

// OnEvent implements network.Events: the downstream.
func (p *proxy) OnEvent(e network.Event) {
	if e == network.Connected || p.closed {
		return
	}
	p.closed = true
	if !p.begun {
		return
	}
	p.idle.Remove()
	p.duration.Remove()
	p.account()
	if p.waiting != nil {
		p.waiting.Cancel()
		p.waiting = nil
	}
	if c := p.up.conn; c != nil {
		p.up.conn = nil
		conn := c.Connection()
		conn.RemoveEvents(&p.up)
		if e == network.RemoteClose {
			conn.Close(network.CloseFlush, "") // what the client sent before it left still counts
		} else {
			conn.Close(network.CloseNow, "")
		}
	}
	p.info.End = p.w.Now()
	if p.info.Termination == "" {
		p.info.Termination = p.down.Info().TerminationDetails
	}
	p.log(streaminfo.TCPConnectionEnd)
}

func (p *proxy) log(kind string) {
	p.info.LogType = kind
	p.info.BytesSent = p.down.Info().BytesSent
	for _, l := range p.f.cfg.Logs {
		l.Log(p.w, &p.info)
	}
}

// OnAboveHighWatermark implements network.Events: the client does not read.
func (p *proxy) OnAboveHighWatermark() {
	if p.up.conn != nil {
		p.up.conn.Connection().ReadDisable(true)
	}
}

// OnBelowLowWatermark implements network.Events.
func (p *proxy) OnBelowLowWatermark() {
	if p.up.conn != nil {
		p.up.conn.Connection().ReadDisable(false)
	}
}

// InitRead implements network.ReadFilter.
func (u *upstreamSide) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (u *upstreamSide) OnNewConnection() network.FilterStatus { return network.Continue }

// OnData implements network.ReadFilter: bytes of the upstream.
func (u *upstreamSide) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	p := u.p
	p.touch()
	p.down.Write(b, end)
	return network.StopIteration
}

// OnEvent implements network.Events: the upstream ended.
func (u *upstreamSide) OnEvent(e network.Event) {
	p := u.p
	if e == network.Connected || u.conn == nil {
		return
	}
	u.conn = nil
	if e == network.RemoteClose && p.down.State() == network.Open {
		p.down.Close(network.CloseFlush, "")
		return
	}
	p.end(network.CloseFlush)
}

// OnAboveHighWatermark implements network.Events: the upstream does not read.
func (u *upstreamSide) OnAboveHighWatermark() {
	u.p.count(pausedReading)
	u.p.down.ReadDisable(true)
}

// OnBelowLowWatermark implements network.Events.
func (u *upstreamSide) OnBelowLowWatermark() {
	u.p.count(resumedReading)
	u.p.down.ReadDisable(false)
}

// lbContext is what the balancer may ask.
type lbContext proxy

// Hash implements upstream.Context.
func (c *lbContext) Hash() (uint64, bool) { return 0, false }

// MetadataMatch implements upstream.Context.
func (c *lbContext) MetadataMatch() map[string]any { return nil }

// Headers implements upstream.Context.
func (c *lbContext) Headers() *header.Map { return nil }

// Downstream implements upstream.Context.
func (c *lbContext) Downstream() network.Connection { return c.down }

// Reject implements upstream.Context.
func (c *lbContext) Reject(*upstream.Host) bool { return false }

// MaxAttempts implements upstream.Context.
func (c *lbContext) MaxAttempts() int { return 1 }

// OverrideHost implements upstream.Context.
func (c *lbContext) OverrideHost() (string, bool) { return "", false }
