package h2

import (
	"slices"

	"golang.org/x/net/http2/hpack"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// conn is what both sides of a connection have in common. All of it belongs to
// the connection's worker.
type conn struct {
	// Set at construction.
	nc     network.Connection
	w      *event.Worker
	local  *stats.Local
	st     *Stats
	opt    config.HTTP2Options
	server bool
	srv    *Server // one of the two
	cli    *Client

	// The connection as a whole.
	dead       bool // the network connection is gone
	dispatched bool // the peer's first bytes have been seen
	inDispatch bool
	task       event.Task
	streams    map[uint32]*strm
	first      *strm // all streams, those without a number too
	last       *strm
	scratch    []*strm
	walking    int // loops over lists of streams: none may be used again now
	active     int // streams in the map
	opened     uint64
	recent     recentIDs

	reader
	blockReader

	// What the peer has said.
	peerInitialWindow int64
	peerMaxFrame      int
	settingsSeen      bool
	settingsAcked     bool
	lastPeerID        uint32 // highest stream that the peer opened
	sawGoAway         bool

	// Receiving windows.
	recvWindow     int64
	connUnacked    int
	initialPending bool // the first WINDOW_UPDATE waits
	resumes        []*strm

	// Sending.
	out        buffer.Buffer // frames that the connection was not given yet
	sendWindow int64
	ready      *strm // ring of streams with data and window
	nReady     int
	above      bool // the connection is above its high watermark
	comp       compressor
	block      []byte // of the header block being written
	goAwaySent bool
	goAwayID   uint32

	guards
	keepalive
}

func (c *conn) init(nc network.Connection, o config.HTTP2Options, st *Stats, server bool) {
	c.nc, c.w, c.local = nc, nc.Worker(), nc.Worker().Stats()
	if c.st = st; st == nil {
		c.st = new(Stats)
	}
	c.opt = withDefaults(o)
	c.server = server
	c.streams = make(map[uint32]*strm)
	c.task.Init(c.flush)
	c.peerInitialWindow, c.peerMaxFrame = defaultWindow, minMaxFrameSize
	c.recvWindow, c.sendWindow = defaultWindow, defaultWindow
	c.initialPending = true
	c.above = nc.AboveHighWatermark()
	c.out.SetPool(&c.w.Buffers)
	c.data.SetPool(&c.w.Buffers)
	c.comp = newCompressor()
	c.decomp = hpack.NewDecoder(c.opt.HPACKTableSize, c.onField)
	c.decomp.SetMaxStringLength(c.maxBlock())
	c.state = readHeader
	if server {
		c.state = readPreface
	}
	c.guards.init(c)
	c.keepalive.init(c)
}

func withDefaults(o config.HTTP2Options) config.HTTP2Options {
	def := func(p *uint32, v uint32) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.HPACKTableSize, 4096)
	def(&o.MaxConcurrentStreams, 1024)
	def(&o.InitialStreamWindow, 16<<20)
	def(&o.InitialConnWindow, 24<<20)
	def(&o.MaxOutboundFrames, 10000)
	def(&o.MaxOutboundControl, 1000)
	def(&o.MaxEmptyInbound, 1)
	def(&o.MaxPriorityPerStream, 100)
	def(&o.MaxWindowUpdates, 10)
	def(&o.MaxHeaders, 100)
	def(&o.MaxHeadersKiB, 60)
	if o.StreamResetBurst == 0 {
		o.StreamResetBurst = 1000
	}
	if o.StreamResetRate == 0 {
		o.StreamResetRate = 33
	}
	return o
}

// openSettings writes our SETTINGS, in Envoy's order.
func (c *conn) openSettings() {
	n := 4 + len(c.opt.CustomSettings)
	writeFrameHeader(&c.out, frameSettings, 0, 0, 6*n)
	writeSetting(&c.out, settingTableSize, c.opt.HPACKTableSize)
	if c.server {
		writeSetting(&c.out, settingConnect, boolSetting(c.opt.AllowConnect))
	} else {
		writeSetting(&c.out, settingEnablePush, 0)
	}
	writeSetting(&c.out, settingMaxStreams, c.opt.MaxConcurrentStreams)
	writeSetting(&c.out, settingInitialWindow, c.opt.InitialStreamWindow)
	for id, v := range c.opt.CustomSettings {
		writeSetting(&c.out, id, v)
	}
	c.controlWritten()
}

func boolSetting(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// giveInitialWindow opens the connection's window from the protocol's 65,535
// octets to the configured size.
func (c *conn) giveInitialWindow() {
	c.initialPending = false
	if n := int64(c.opt.InitialConnWindow) - defaultWindow; n > 0 {
		c.writeWindowUpdate(0, uint32(n))
		c.recvWindow += n
	}
}

// Dispatch implements stream.Codec. It takes all bytes.
func (c *conn) Dispatch(b *buffer.Buffer, _ bool) error {
	if c.dead {
		b.Drain(b.Len())
		return nil
	}
	c.reclaim()
	c.keepalive.received(c.w.Now())
	c.inDispatch = true
	err := c.read(b)
	c.inDispatch = false
	b.Drain(b.Len())
	if c.dead {
		return nil
	}
	if !c.dispatched {
		c.dispatched = true
		if err == nil && c.initialPending {
			c.giveInitialWindow()
		}
	}
	c.flush()
	if err == nil {
		err = c.flooded
	}
	return err
}

// Protocol implements stream.Codec.
func (c *conn) Protocol() stream.Protocol { return stream.HTTP2 }

// WantsToWrite implements stream.Codec.
func (c *conn) WantsToWrite() bool {
	if c.out.Len() > 0 || c.ready != nil {
		return true
	}
	for s := c.first; s != nil; s = s.next {
		if s.send.Len() > 0 {
			return true
		}
	}
	return false
}

// GoAway implements stream.Codec: streams after the last one seen are not
// taken.
func (c *conn) GoAway() {
	if c.dead {
		return
	}
	c.st.goAwaySent.Inc(c.local)
	c.writeGoAway(c.lastPeerID, codeNone)
	c.kick()
}

// ShutdownNotice implements stream.Codec (RFC 9113 section 6.8: a GOAWAY with
// the highest number lets requests in flight still be taken).
func (c *conn) ShutdownNotice() {
	if c.dead || c.goAwaySent {
		return
	}
	writeFrameHeader(&c.out, frameGoAway, 0, 0, 8)
	writeUint32(&c.out, maxStreamID)
	writeUint32(&c.out, uint32(codeNone))
	c.frameWritten()
	c.kick()
}

// OnAboveWriteBufferHighWatermark implements stream.Codec.
func (c *conn) OnAboveWriteBufferHighWatermark() {
	if c.above || c.dead {
		return
	}
	c.above = true
	c.eachStream((*strm).raise)
}

// OnBelowWriteBufferLowWatermark implements stream.Codec.
func (c *conn) OnBelowWriteBufferLowWatermark() {
	if !c.above || c.dead {
		return
	}
	c.above = false
	c.eachStream((*strm).lower)
	c.kick()
}

// OnConnectionClosed implements stream.Codec.
func (c *conn) OnConnectionClosed(reason stream.ResetReason, detail string) {
	if c.dead {
		return
	}
	c.dead = true
	c.keepalive.stop()
	for s := c.first; s != nil; s = c.first {
		told := s.discard
		c.close(s)
		if !told {
			s.setDetail(detail)
			s.notifyReset(reason, s.detail)
		}
	}
	c.out.Drain(c.out.Len())
	c.data.Drain(c.data.Len())
	c.dropBlock()
	c.guards.close(c)
}

// eachStream calls f for the streams that are open now and still are when
// their turn comes.
func (c *conn) eachStream(f func(*strm)) {
	list := c.scratch[:0]
	c.scratch = nil // a nested call makes its own
	c.walking++
	for s := c.first; s != nil; s = s.next {
		list = append(list, s)
	}
	for i, s := range list {
		if !s.closed {
			f(s)
		}
		list[i] = nil
	}
	c.walking--
	c.scratch = list[:0]
}

func (c *conn) link(s *strm) {
	s.listed = true
	s.prev = c.last
	if c.last == nil {
		c.first = s
	} else {
		c.last.next = s
	}
	c.last = s
	c.st.streamsActive.Inc(c.local)
}

func (c *conn) open(s *strm) {
	c.streams[s.id] = s
	c.active++
	c.opened++
}

// close takes a stream out of everything; callbacks are the caller's business.
func (c *conn) close(s *strm) {
	if s.closed {
		return
	}
	s.closed = true
	if s.id != 0 {
		delete(c.streams, s.id)
		c.active--
		c.recent.add(s.id, s.recvPhase >= recvEnded)
	}
	if s.prev == nil {
		c.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		c.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next, s.listed = nil, nil, false
	c.unready(s)
	if n := s.send.Len(); n > 0 {
		c.st.pendingSend.Add(c.local, -int64(n))
		s.send.Drain(n)
	}
	c.w.Headers.Put(s.sendTrailers)
	s.sendTrailers = nil
	s.dropReceived()
	if s.flushTimer != nil {
		s.flushTimer.Remove()
	}
	if c.on == s {
		c.on = nil // the rest of its frame is dropped
	}
	if c.blockStream == s {
		c.blockStream = nil
	}
	c.st.streamsActive.Dec(c.local)
}

// closeIfDone closes a stream whose two halves have ended.
func (c *conn) closeIfDone(s *strm) {
	if s.closed || s.sendPhase != sendEnded {
		return
	}
	if s.deferredReset {
		c.resetStream(s, codeNone, stream.LocalReset, s.detail)
		return
	}
	if s.recvPhase == recvSettled {
		c.close(s)
	}
}

func (c *conn) localEnd(s *strm) {
	if s.flushTimer != nil {
		s.flushTimer.Remove()
	}
	c.closeIfDone(s)
}

// resetStream ends a stream with RST_STREAM and tells its callbacks.
func (c *conn) resetStream(s *strm, code errorCode, reason stream.ResetReason, detail string) {
	if s.closed {
		return
	}
	idle := s.id == 0
	told := s.discard
	c.close(s)
	if !idle {
		c.writeReset(s.id, code)
		c.kick()
	}
	if !told {
		s.notifyReset(reason, detail)
	}
}

// recentIDs remembers the streams that were closed last, and whether the peer
// had ended them: a frame on such a stream is an error, while one on a stream
// that we reset may have been on its way.
type recentIDs struct {
	ids   [64]uint32
	ended [64]bool
	next  int
}

func (r *recentIDs) add(id uint32, ended bool) {
	r.ids[r.next], r.ended[r.next] = id, ended
	r.next = (r.next + 1) % len(r.ids)
}

func (r *recentIDs) has(id uint32) bool { return slices.Contains(r.ids[:], id) }

func (r *recentIDs) endedByPeer(id uint32) bool {
	for i, x := range r.ids {
		if x == id {
			return r.ended[i]
		}
	}
	return false
}
