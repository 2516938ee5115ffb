package h1

import (
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// Server is the codec of a downstream connection. One request is served at a
// time: what a client pipelines waits in the connection's buffer, and reading
// stops, until the response is complete.
type Server struct {
	conn   network.Connection
	cb     stream.ServerCallbacks
	opts   *config.HTTP1Options
	parser parser
	out    buffer.Buffer
	stream serverStream
	http10 bool
	sent   uint64            // bytes given to the connection
	ends   [maxQueued]uint64 // where in them the last responses end, in a ring
	served uint64
	paused bool // reading is disabled because bytes wait
	closed bool
}

// NewServer returns the codec of a connection. opts must outlive it.
func NewServer(conn network.Connection, cb stream.ServerCallbacks, opts *config.HTTP1Options, st *Stats) *Server {
	w := conn.Worker()
	s := &Server{conn: conn, cb: cb, opts: opts}
	s.parser = parser{opts: opts, stats: st, local: w.Stats(), pool: &w.Headers, sink: s, emptyLines: true, limit: int(opts.MaxHeadersKiB) << 10}
	s.parser.data.SetPool(&w.Buffers)
	s.out.SetPool(&w.Buffers)
	s.stream.codec = s
	return s
}

// Protocol implements stream.Codec.
func (s *Server) Protocol() stream.Protocol {
	if s.http10 {
		return stream.HTTP10
	}
	return stream.HTTP11
}

// Dispatch implements stream.Codec.
func (s *Server) Dispatch(b *buffer.Buffer, _ bool) error {
	for b.Len() > 0 && !s.closed {
		if s.parser.phase == done {
			if s.stream.active {
				// The response is not complete: the next request waits.
				if !s.paused {
					s.paused = true
					s.conn.ReadDisable(true)
				}
				return nil
			}
			s.parser.reset()
		}
		if !s.stream.active {
			// The stream opens with a request's first byte, so that its timeouts
			// run and its end is logged however little of it comes.
			s.begin()
			if s.flooded() {
				s.parser.stats.flooded(s.parser.local)
				return s.fail(errFlood)
			}
		}
		before := b.Len()
		err := s.parser.parse(b)
		s.stream.meter.WireBytesReceived += uint64(before - b.Len())
		if err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// fail answers a request that broke the protocol and ends the connection.
func (s *Server) fail(err error) error {
	e, ok := err.(*Error) //nolint:errorlint // the parser returns them unwrapped
	if !ok {
		return err
	}
	if !s.stream.headersSent && e.Status > 0 {
		s.stream.detail = e.Detail
		s.stream.decoder.LocalReply(e.Status, e.Body, e.Detail)
	} else if s.stream.active {
		s.stream.detail = e.Detail
		s.stream.end()
		s.stream.notifyReset(stream.ProtocolError)
	}
	return err
}

// maxQueued is how many complete responses may wait for a client that sends
// another request.
const maxQueued = 2

// flooded says whether the kernel has not taken all of the last maxQueued
// responses yet, of which a client that pipelines without reading would make
// more and more.
func (s *Server) flooded() bool {
	waiting := s.conn.Buffered()
	return waiting > 0 && s.ends[s.served%maxQueued] > s.sent-uint64(waiting)
}

// begin opens the stream of a new request.
func (s *Server) begin() {
	st := &s.stream
	*st = serverStream{codec: s, active: true, callbacks: st.callbacks[:0]}
	st.decoder = s.cb.NewStream(st)
}

// startLine implements sink (RFC 9112 section 3).
func (s *Server) startLine(line []byte) error {
	method, target, version := splitWords(line)
	if !validMethod(method, s.opts.AllowCustomMethods) {
		return errCodec
	}
	for _, c := range target {
		if class[c]&targetByte == 0 {
			if class[c]&controlByte != 0 {
				return errCharacters
			}
			return errCodec
		}
	}
	if !validTarget(target, string(method) == "CONNECT") {
		return errCodec
	}
	if len(version) > 0 && !isVersion(version) {
		return errCodec
	}
	s.http10 = string(version) == "HTTP/1.0"
	if !s.http10 && string(version) != "HTTP/1.1" || s.http10 && !s.opts.AcceptHTTP10 {
		s.http10 = false
		return errLowVersion
	}
	h := s.parser.h
	h.AddID(header.Method, viewString(method))
	if string(method) == "CONNECT" {
		h.AddID(header.Authority, viewString(target))
	} else {
		h.AddID(header.Path, viewString(target))
	}
	return nil
}

// head implements sink: the request's headers are complete.
func (s *Server) head() (framing, uint64, error) {
	h := s.parser.h
	f, n, err := s.requestFraming(h)
	if err == errCodec {
		return noBody, 0, err
	}
	if e := s.target(h); e != nil {
		return noBody, 0, e
	}
	if h.HasID(header.Connection) || h.HasID(header.Upgrade) || h.HasID(header.HTTP2Settings) {
		if err := sanitizeConnection(h); err != nil {
			return noBody, 0, err
		}
	}
	if err != nil {
		return noBody, 0, err
	}
	if v := h.GetID(header.Authority); !all(v, authorityByte) {
		return noBody, 0, errAuthority
	}
	st := &s.stream
	st.head = h.GetID(header.Method) == "HEAD"
	st.connect = h.GetID(header.Method) == "CONNECT"
	st.http10 = s.http10
	st.meter.HeaderBytesReceived = uint64(s.parser.size)
	if h.HasID(header.Upgrade) {
		connection, _ := h.Joined("connection")
		st.upgrade = hasToken(connection, "upgrade")
	}
	if st.connect || st.upgrade {
		f = byClose // what follows belongs to the tunnel, once it is there
	}
	if f == noBody {
		st.requestDone = true
	}
	st.decoder.DecodeHeaders(h, f == noBody)
	return f, n, nil
}

// requestFraming decides how the request's body ends (RFC 9112 section 6.3).
func (s *Server) requestFraming(h *header.Map) (framing, uint64, error) {
	te := h.HasID(header.TransferEncoding)
	cl := h.CountID(header.ContentLength)
	connect := h.GetID(header.Method) == "CONNECT"
	if te {
		if cl > 0 && !s.opts.AllowChunkedLength {
			return noBody, 0, errBoth
		}
		if connect || h.CountID(header.TransferEncoding) > 1 || !strings.EqualFold(h.GetID(header.TransferEncoding), "chunked") {
			return noBody, 0, errTransfer
		}
		if cl > 0 {
			if _, ok := parseLength(h.GetID(header.ContentLength)); !ok || cl > 1 {
				return noBody, 0, errCodec
			}
			h.RemoveID(header.ContentLength)
		}
		return byChunks, 0, nil
	}
	if cl == 0 {
		return noBody, 0, nil
	}
	n, ok := parseLength(h.GetID(header.ContentLength))
	if !ok || cl > 1 {
		return noBody, 0, errCodec
	}
	if connect {
		if n > 0 {
			return noBody, 0, errBody
		}
		h.RemoveID(header.ContentLength)
	}
	if n == 0 {
		return noBody, 0, nil
	}
	return byLength, n, nil
}

// body implements sink.
func (s *Server) body(b *buffer.Buffer, end bool) {
	st := &s.stream
	if end {
		st.requestDone = true
	}
	if !st.active || st.decoder == nil {
		b.Drain(b.Len())
		s.finish()
		return
	}
	st.decoder.DecodeData(b, end)
	b.Drain(b.Len())
	if end {
		s.finish()
	}
}

// trailers implements sink.
func (s *Server) trailers(h *header.Map) {
	st := &s.stream
	st.requestDone = true
	if st.active && st.decoder != nil {
		st.decoder.DecodeTrailers(h)
	} else {
		s.parser.pool.Put(h)
	}
	s.finish()
}

// finish ends the stream when request and response are complete.
func (s *Server) finish() {
	st := &s.stream
	if !st.responseDone || !st.requestDone {
		return
	}
	st.active = false
	if s.paused {
		s.paused = false
		s.conn.ReadDisable(false)
	}
}

// GoAway implements stream.Codec: the manager sets "connection: close".
func (s *Server) GoAway() {}

// ShutdownNotice implements stream.Codec.
func (s *Server) ShutdownNotice() {}

// WantsToWrite implements stream.Codec.
func (s *Server) WantsToWrite() bool { return s.out.Len() > 0 }

// OnAboveWriteBufferHighWatermark implements stream.Codec.
func (s *Server) OnAboveWriteBufferHighWatermark() {
	if s.stream.active {
		s.stream.watermark(true)
	}
}

// OnBelowWriteBufferLowWatermark implements stream.Codec.
func (s *Server) OnBelowWriteBufferLowWatermark() {
	if s.stream.active {
		s.stream.watermark(false)
	}
}

// OnConnectionClosed implements stream.Codec.
func (s *Server) OnConnectionClosed(reason stream.ResetReason, detail string) {
	s.closed = true
	if s.stream.active {
		s.stream.end()
		s.stream.notifyReset(reason)
	}
	if s.parser.h != nil {
		s.parser.pool.Put(s.parser.h)
		s.parser.h = nil
	}
}

// serverStream is the request in progress and its response; it implements
// stream.ResponseEncoder and stream.Stream.
type serverStream struct {
	codec        *Server
	decoder      stream.RequestDecoder
	callbacks    []stream.Callbacks
	meter        stream.Meter
	detail       string
	active       bool
	requestDone  bool
	responseDone bool
	headersSent  bool
	chunked      bool
	head         bool // answers a HEAD request
	connect      bool
	upgrade      bool
	http10       bool
	tunnel       bool // bytes pass without framing
	above        bool
}

// Stream implements stream.Encoder.
func (s *serverStream) Stream() stream.Stream { return s }

// AddCallbacks implements stream.Stream.
func (s *serverStream) AddCallbacks(cb stream.Callbacks) {
	s.callbacks = append(s.callbacks, cb)
	if s.codec.conn.AboveHighWatermark() {
		s.above = true
		cb.OnAboveWriteBufferHighWatermark()
	}
}

// RemoveCallbacks implements stream.Stream.
func (s *serverStream) RemoveCallbacks(cb stream.Callbacks) {
	for i, x := range s.callbacks {
		if x == cb {
			s.callbacks[i] = nil
		}
	}
}

// Reset implements stream.Stream: HTTP/1 can only end the connection.
func (s *serverStream) Reset(reason stream.ResetReason) {
	if !s.active {
		return
	}
	s.end()
	s.notifyReset(reason)
	s.codec.closed = true
	s.codec.conn.Close(network.CloseFlush, "")
}

// end makes the stream inactive.
func (s *serverStream) end() {
	s.active, s.requestDone, s.responseDone = false, true, true
}

func (s *serverStream) notifyReset(reason stream.ResetReason) {
	for i := range s.callbacks {
		if cb := s.callbacks[i]; cb != nil {
			cb.OnReset(reason, s.detail)
		}
	}
	s.callbacks = s.callbacks[:0]
}

func (s *serverStream) watermark(above bool) {
	if s.above == above {
		return
	}
	s.above = above
	for _, cb := range s.callbacks {
		if cb == nil {
			continue
		}
		if above {
			cb.OnAboveWriteBufferHighWatermark()
		} else {
			cb.OnBelowWriteBufferLowWatermark()
		}
	}
}

// ReadDisable implements stream.Stream.
func (s *serverStream) ReadDisable(disable bool) { s.codec.conn.ReadDisable(disable) }

// BufferLimit implements stream.Stream.
func (s *serverStream) BufferLimit() uint32 { return s.codec.conn.BufferLimit() }

// SetFlushTimeout implements stream.Stream: the connection's delayed close
// bounds it.
func (s *serverStream) SetFlushTimeout(time.Duration) {}

// Meter implements stream.Stream.
func (s *serverStream) Meter() *stream.Meter { return &s.meter }

// ID implements stream.Stream.
func (s *serverStream) ID() uint32 { return 0 }

// Detail implements stream.Stream.
func (s *serverStream) Detail() string { return s.detail }
