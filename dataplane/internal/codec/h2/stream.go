package h2

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// recvPhase is how far the peer's message has come.
type recvPhase uint8

const (
	recvIdle    recvPhase = iota // no (final) headers yet
	recvBody                     // headers were delivered
	recvEnded                    // END_STREAM has arrived
	recvSettled                  // and everything was delivered
)

// sendPhase is how far our message has come.
type sendPhase uint8

const (
	sendIdle   sendPhase = iota // no headers yet
	sendBody                    // headers were written
	sendEnding                  // the end was given to us and waits
	sendEnded                   // END_STREAM was written
)

// decoder is what both kinds of decoders have in common.
type decoder interface {
	DecodeHeaders(h *header.Map, end bool)
	DecodeData(b *buffer.Buffer, end bool)
	DecodeTrailers(h *header.Map)
}

// strm is one stream. It implements stream.Stream; serverStream and
// clientStream add the sending side.
type strm struct {
	c        *conn
	id       uint32 // 0: a client's stream without headers yet
	dec      decoder
	interim  stream.ResponseDecoder // client only: gets 1xx
	server   *serverStream          // what the stream is part of: one of the two
	client   *clientStream
	prev     *strm // all streams of the connection
	next     *strm
	listed   bool
	closed   bool
	discard  bool // the upper layer is gone, the rest is still sent
	above    int  // watermark callbacks owed: stream, connection
	sendFull bool // the stream's own share of above

	callbacks []stream.Callbacks
	detail    string
	meter     stream.Meter

	recvPhase    recvPhase
	recvWindow   int64 // octets that the peer may still send
	held         int   // octets not yet given back to the connection's window
	unacked      int   // octets given back but not announced to the peer
	readDisabled int
	recv         buffer.Buffer // what arrived while read-disabled
	recvTrailers *header.Map
	resuming     bool
	contentLen   int64 // what the peer announced; -1: nothing
	recvLen      int64
	noBody       bool // the response cannot have content (HEAD)

	sendPhase    sendPhase
	sendWindow   int64
	send         buffer.Buffer
	sendTrailers *header.Map
	readyNext    *strm // ring of streams that can send
	readyPrev    *strm
	ready        bool

	deferredReset bool // RST_STREAM follows END_STREAM
	upgrade       upgradeState
	flushLimit    time.Duration
	flushTimer    *event.Timer
}

func (s *strm) init(c *conn, id uint32) {
	s.c, s.id = c, id
	s.recvWindow, s.sendWindow = int64(c.opt.InitialStreamWindow), c.peerInitialWindow
	s.contentLen = -1
	s.recv.SetPool(&c.w.Buffers)
	s.send.SetPool(&c.w.Buffers)
	if c.above {
		s.above = 1
	}
}

// AddCallbacks implements stream.Stream. Watermarks that are passed already
// are told at once.
func (s *strm) AddCallbacks(cb stream.Callbacks) {
	s.callbacks = append(s.callbacks, cb)
	for range s.above {
		cb.OnAboveWriteBufferHighWatermark()
	}
}

// RemoveCallbacks implements stream.Stream.
func (s *strm) RemoveCallbacks(cb stream.Callbacks) {
	for i, x := range s.callbacks {
		if x == cb {
			copy(s.callbacks[i:], s.callbacks[i+1:])
			s.callbacks[len(s.callbacks)-1] = nil
			s.callbacks = s.callbacks[:len(s.callbacks)-1]
			return
		}
	}
}

// Reset implements stream.Stream. A response whose end waits to be sent is
// sent first, then RST_STREAM.
func (s *strm) Reset(reason stream.ResetReason) {
	if s.closed || s.discard {
		return
	}
	if s.sendPhase == sendEnding {
		s.discard = true
		s.deferredReset = true
		s.dropReceived()
		s.notifyReset(reason, s.detail)
		return
	}
	code := codeOf(reason)
	if s.sendPhase == sendEnded && reason == stream.LocalReset && s.c.server {
		code = codeNone // RFC 9113 section 8.1: the rest of the request is not needed
	}
	s.c.resetStream(s, code, reason, s.detail)
}

// ReadDisable implements stream.Stream.
func (s *strm) ReadDisable(disable bool) {
	if disable {
		s.readDisabled++
		return
	}
	if s.readDisabled == 0 || s.closed {
		return
	}
	if s.readDisabled--; s.readDisabled == 0 {
		s.c.resume(s)
	}
}

// BufferLimit implements stream.Stream: the initial window, as in Envoy.
func (s *strm) BufferLimit() uint32 { return s.c.opt.InitialStreamWindow }

// SetFlushTimeout implements stream.Stream.
func (s *strm) SetFlushTimeout(d time.Duration) {
	s.flushLimit = d
	if s.sendPhase == sendEnding {
		s.armFlushTimer()
	}
}

// Meter implements stream.Stream.
func (s *strm) Meter() *stream.Meter { return &s.meter }

// ID implements stream.Stream.
func (s *strm) ID() uint32 { return s.id }

// Detail implements stream.Stream.
func (s *strm) Detail() string { return s.detail }

// Release implements stream.Releaser: the stream's memory is used again. The
// caller has no reference to the stream any more. A stream that is open, or
// that something here still refers to, is left to the garbage collector.
func (s *strm) Release() {
	c, server, client := s.c, s.server, s.client
	if c == nil || !s.closed || s.flushTimer != nil || s.resuming || c.walking > 0 {
		return
	}
	switch {
	case server != nil && c.srv.nFree < maxFreeStreams:
		*s = strm{callbacks: s.callbacks[:0]}
		server.nextFree, c.srv.free = c.srv.free, server
		c.srv.nFree++
	case client != nil && c.cli.nFree < maxFreeStreams:
		*s = strm{callbacks: s.callbacks[:0]}
		client.nextFree, c.cli.free = c.cli.free, client
		c.cli.nFree++
	}
}

// Stream implements stream.Encoder.
func (s *strm) Stream() stream.Stream { return s }

// EncodeData implements stream.Encoder.
func (s *strm) EncodeData(b *buffer.Buffer, end bool) {
	if s.closed || s.sendPhase != sendBody {
		b.Drain(b.Len())
		return
	}
	n := b.Len()
	b.MoveTo(&s.send, n)
	if n > 0 {
		s.c.st.pendingSend.Add(s.c.local, int64(n))
	}
	if end {
		s.endQueued()
	}
	if n > 0 || end {
		s.c.queue(s)
	}
	s.checkSendFull()
}

// EncodeTrailers implements stream.Encoder.
func (s *strm) EncodeTrailers(h *header.Map) {
	if s.closed || s.sendPhase != sendBody {
		return
	}
	if s.send.Len() == 0 {
		if h.Len() == 0 {
			s.endQueued()
			s.c.queue(s)
			return
		}
		s.sendPhase = sendEnded
		s.c.writeHeaders(s, h, true)
		s.c.localEnd(s)
		return
	}
	if h.Len() > 0 {
		s.sendTrailers = s.c.w.Headers.Get()
		s.sendTrailers.CopyFrom(h)
	}
	s.endQueued()
	s.c.queue(s)
}

func (s *strm) endQueued() {
	s.sendPhase = sendEnding
	s.armFlushTimer()
}

func (s *strm) armFlushTimer() {
	if s.flushLimit <= 0 {
		return
	}
	if s.flushTimer == nil {
		s.flushTimer = new(event.Timer)
		s.flushTimer.Init(s.c.w, s.onFlushTimeout)
	}
	s.flushTimer.Reset(s.flushLimit)
}

func (s *strm) onFlushTimeout() {
	if s.closed || s.sendPhase != sendEnding {
		return
	}
	s.c.st.flushTimeout.Inc(s.c.local)
	s.c.resetStream(s, codeInternal, stream.LocalReset, s.detail)
}

func (s *strm) setDetail(d string) {
	if s.detail == "" {
		s.detail = d
	}
}

// notifyReset tells the callbacks, each once. A callback may remove itself.
func (s *strm) notifyReset(reason stream.ResetReason, detail string) {
	for len(s.callbacks) > 0 {
		cb := s.callbacks[0]
		s.RemoveCallbacks(cb)
		cb.OnReset(reason, detail)
	}
	s.dec, s.interim = nil, nil
}

// checkSendFull raises or lowers the stream's own watermark: above the limit,
// and at half of it again.
func (s *strm) checkSendFull() {
	limit := int(s.c.opt.InitialStreamWindow)
	switch n := s.send.Len(); {
	case !s.sendFull && n > limit:
		s.sendFull = true
		s.raise()
	case s.sendFull && n <= limit/2:
		s.sendFull = false
		s.lower()
	}
}

func (s *strm) raise() {
	s.above++
	for i := 0; i < len(s.callbacks); i++ {
		s.callbacks[i].OnAboveWriteBufferHighWatermark()
	}
}

func (s *strm) lower() {
	s.above--
	for i := 0; i < len(s.callbacks); i++ {
		s.callbacks[i].OnBelowWriteBufferLowWatermark()
	}
}

// dropReceived discards what was not delivered; the connection's window is
// given back.
func (s *strm) dropReceived() {
	s.recv.Drain(s.recv.Len())
	s.c.w.Headers.Put(s.recvTrailers)
	s.recvTrailers = nil
	s.c.release(s.held)
	s.held = 0
}
