package h2

import (
	"encoding/binary"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// keepalive sends PINGs (Http2ProtocolOptions.connection_keepalive) and closes
// the connection when one is not answered in time.
type keepalive struct {
	enabled  bool // timers are set up
	interval event.Timer
	timeout  event.Timer
	seq      uint64
	waiting  bool
	lastRecv time.Time
}

func (k *keepalive) init(c *conn) {
	k.enabled = c.opt.PingTimeout > 0 && (c.opt.PingInterval > 0 || c.opt.PingIdle > 0)
	if !k.enabled {
		return
	}
	k.interval.Init(c.w, c.ping)
	k.timeout.Init(c.w, c.onPingTimeout)
	k.lastRecv = c.w.Now()
	c.armPing()
}

func (c *conn) armPing() {
	d := c.opt.PingInterval
	if d <= 0 {
		return
	}
	if span := int64(float64(d) * c.opt.PingJitter / 100); span > 0 {
		d += time.Duration(c.w.Rand.Int64N(span + 1))
	}
	c.interval.Reset(d)
}

// ping sends a PING unless one waits for its answer.
func (c *conn) ping() {
	if c.dead || c.waiting {
		return
	}
	c.waiting = true
	c.seq++
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], c.seq)
	writeFrameHeader(&c.out, framePing, 0, 0, 8)
	_, _ = c.out.Write(p[:])
	c.controlWritten()
	c.timeout.Reset(c.opt.PingTimeout)
	c.kick()
}

// pingIfIdle probes a connection before a stream is put on it after a pause
// (connection_idle_interval).
func (c *conn) pingIfIdle() {
	if c.keepalive.enabled && c.opt.PingIdle > 0 && c.w.Now().Sub(c.lastRecv) > c.opt.PingIdle {
		c.ping()
	}
}

func (k *keepalive) received(now time.Time) { k.lastRecv = now }

func (c *conn) pingAnswered(p *[8]byte) {
	if !c.waiting || binary.BigEndian.Uint64(p[:]) != c.seq {
		return
	}
	c.waiting = false
	c.timeout.Stop()
	c.armPing()
}

func (c *conn) onPingTimeout() {
	if c.dead {
		return
	}
	c.st.keepaliveTimeout.Inc(c.local)
	c.nc.Close(network.CloseNow, closePingTimeout)
}

func (k *keepalive) stop() {
	if k.enabled {
		k.interval.Remove()
		k.timeout.Remove()
	}
}
