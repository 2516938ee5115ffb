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

// Client is the codec of an upstream connection: one request at a time.
type Client struct {
	conn   network.Connection
	cb     stream.ClientCallbacks
	opts   *config.HTTP1Options
	parser parser
	out    buffer.Buffer
	stream clientStream
	status string // of the response that is being parsed, as in the header map
	closed bool
	http10 bool
	// KeepAlive says, after a response, whether the connection may be used
	// again.
	keepAlive bool
}

// NewClient returns the codec of a connection. opts must outlive it.
func NewClient(conn network.Connection, cb stream.ClientCallbacks, opts *config.HTTP1Options, st *Stats) *Client {
	w := conn.Worker()
	c := &Client{conn: conn, cb: cb, opts: opts, keepAlive: true}
	c.parser = parser{opts: opts, stats: st, local: w.Stats(), pool: &w.Headers, sink: c, limit: int(opts.MaxHeadersKiB) << 10}
	c.parser.data.SetPool(&w.Buffers)
	c.parser.phase = done
	c.out.SetPool(&w.Buffers)
	c.stream.codec = c
	return c
}

// Protocol implements stream.Codec.
func (c *Client) Protocol() stream.Protocol { return stream.HTTP11 }

// Reusable says whether another request may follow on this connection.
func (c *Client) Reusable() bool { return c.keepAlive && !c.stream.active && !c.closed }

// NewStream implements stream.ClientCodec; there must be no stream.
func (c *Client) NewStream(d stream.ResponseDecoder) stream.RequestEncoder {
	s := &c.stream
	*s = clientStream{codec: c, decoder: d, active: true, callbacks: s.callbacks[:0]}
	c.parser.reset()
	return s
}

// Dispatch implements stream.Codec.
func (c *Client) Dispatch(b *buffer.Buffer, end bool) error {
	for b.Len() > 0 && !c.closed {
		if !c.stream.active || c.parser.phase == done {
			b.Drain(b.Len())
			return errPremature
		}
		before := b.Len()
		err := c.parser.parse(b)
		c.stream.meter.WireBytesReceived += uint64(before - b.Len())
		if err != nil {
			c.keepAlive = false
			if e, ok := err.(*Error); ok { //nolint:errorlint // the parser returns them unwrapped
				c.stream.detail = e.Detail
			}
			return err
		}
		if c.parser.phase == done && c.stream.active && !c.stream.responseDone {
			c.parser.reset() // an interim response: the next one follows
		}
	}
	if end {
		c.endOfInput()
	}
	return nil
}

// endOfInput ends a response that lasts until the connection closes.
func (c *Client) endOfInput() {
	if c.stream.active && c.parser.phase == untilClose {
		c.parser.phase = done
		c.keepAlive = false
		c.body(&c.parser.data, true)
	}
}

// startLine implements sink (RFC 9112 section 4).
func (c *Client) startLine(line []byte) error {
	version, status, _ := splitWords(line)
	if line[0] == ' ' || line[0] == '\t' || !isVersion(version) {
		return errCodec
	}
	if len(status) < 3 || len(status) > 4 || !digits(status) || status[0] == '0' {
		return errCodec
	}
	c.http10 = string(version) == "HTTP/1.0"
	c.parser.h.AddID(header.Status, viewString(status))
	return nil
}

// head implements sink.
func (c *Client) head() (framing, uint64, error) {
	h := c.parser.h
	s := &c.stream
	status := h.GetID(header.Status)
	f, n, err := c.responseFraming(h, status)
	if err != nil {
		return noBody, 0, err
	}
	if status[0] == '1' && len(status) == 3 && status != "101" {
		c.parser.h = nil
		s.decoder.Decode1xx(h)
		return noBody, 0, nil
	}
	c.keepAlive = c.persistent(h)
	s.meter.HeaderBytesReceived += uint64(c.parser.size)
	// A 101 that nobody asked for is an answer without a body, as in Envoy, but
	// what the upstream says next is not to be trusted.
	switch {
	case status == "101" && !s.upgrade:
		c.keepAlive = false
	case status == "101" || s.connect && status[0] == '2':
		c.keepAlive = false
		s.tunnel = true
		h.RemoveID(header.ContentLength)
		h.RemoveID(header.TransferEncoding)
		f = byClose
	}
	if f == byClose {
		c.keepAlive = false
	}
	if f == noBody {
		s.responseDone = true
		c.parser.phase = done
	}
	d := s.decoder
	c.finish()
	c.parser.h = nil
	d.DecodeHeaders(h, f == noBody)
	return f, n, nil
}

// persistent says whether the upstream keeps the connection (RFC 9112 section
// 9.3).
func (c *Client) persistent(h *header.Map) bool {
	connection, ok := h.Joined("connection")
	if !ok {
		connection, _ = h.Joined("proxy-connection")
	}
	if c.http10 {
		return hasToken(connection, "keep-alive")
	}
	return connection == "" || !hasToken(connection, "close")
}

// responseFraming decides how the response's body ends (RFC 9112 section 6.3).
func (c *Client) responseFraming(h *header.Map, status string) (framing, uint64, error) {
	te, cl := h.HasID(header.TransferEncoding), h.CountID(header.ContentLength)
	if te && (h.CountID(header.TransferEncoding) > 1 || !strings.EqualFold(h.GetID(header.TransferEncoding), "chunked")) {
		return noBody, 0, errTransfer
	}
	var n uint64
	if cl > 0 {
		if te {
			return noBody, 0, errBoth
		}
		var ok bool
		if n, ok = parseLength(h.GetID(header.ContentLength)); !ok || cl > 1 {
			return noBody, 0, errCodec
		}
	}
	interim := status[0] == '1' && len(status) == 3
	if interim || status == "204" {
		// RFC 9110 section 6.4.1: no content, and no framing that promises some.
		if te || cl > 0 && n > 0 {
			if !interim || status != "101" {
				if te {
					return noBody, 0, errTENotAllowed
				}
				return noBody, 0, errLengthOnTE
			}
		}
		h.RemoveID(header.ContentLength)
		return noBody, 0, nil
	}
	switch {
	case c.stream.head, status == "304":
		return noBody, 0, nil
	case te:
		return byChunks, 0, nil
	case cl > 0 && n == 0:
		return noBody, 0, nil
	case cl > 0:
		return byLength, n, nil
	}
	return byClose, 0, nil
}

// body implements sink.
func (c *Client) body(b *buffer.Buffer, end bool) {
	s := &c.stream
	d, active := s.decoder, s.active
	if end {
		s.responseDone = true
		c.finish()
	}
	if active {
		d.DecodeData(b, end)
	}
	b.Drain(b.Len())
}

// trailers implements sink.
func (c *Client) trailers(h *header.Map) {
	s := &c.stream
	d, active := s.decoder, s.active
	s.responseDone = true
	c.finish()
	if active {
		d.DecodeTrailers(h)
	} else {
		c.parser.pool.Put(h)
	}
}

// finish ends the stream when both directions are complete.
func (c *Client) finish() {
	s := &c.stream
	if s.active && s.responseDone && s.requestDone {
		s.active = false
		s.callbacks = s.callbacks[:0]
	}
}

// GoAway implements stream.Codec.
func (c *Client) GoAway() {}

// ShutdownNotice implements stream.Codec.
func (c *Client) ShutdownNotice() {}

// WantsToWrite implements stream.Codec.
func (c *Client) WantsToWrite() bool { return c.out.Len() > 0 }

// OnAboveWriteBufferHighWatermark implements stream.Codec.
func (c *Client) OnAboveWriteBufferHighWatermark() { c.stream.watermark(true) }

// OnBelowWriteBufferLowWatermark implements stream.Codec.
func (c *Client) OnBelowWriteBufferLowWatermark() { c.stream.watermark(false) }

// OnConnectionClosed implements stream.Codec.
func (c *Client) OnConnectionClosed(reason stream.ResetReason, detail string) {
	if reason == stream.ConnectionTermination {
		c.endOfInput()
		if c.stream.active && c.parser.within() {
			reason = stream.ProtocolError // a message that lacks its end, as in Envoy
		}
	}
	c.closed = true
	if c.stream.active {
		if c.stream.detail == "" {
			c.stream.detail = detail
		}
		c.stream.end()
		c.stream.notifyReset(reason)
	}
	if c.parser.h != nil {
		c.parser.pool.Put(c.parser.h)
		c.parser.h = nil
	}
}

// clientStream is the request in progress; it implements stream.RequestEncoder
// and stream.Stream.
type clientStream struct {
	codec        *Client
	decoder      stream.ResponseDecoder
	callbacks    []stream.Callbacks
	meter        stream.Meter
	detail       string
	active       bool
	requestDone  bool
	responseDone bool
	chunked      bool
	head         bool
	connect      bool
	upgrade      bool
	tunnel       bool
	above        bool
}

// Stream implements stream.Encoder.
func (s *clientStream) Stream() stream.Stream { return s }

// bodiless are the methods whose requests carry no "content-length: 0".
func bodiless(method string) bool {
	switch method {
	case "GET", "HEAD", "DELETE", "CONNECT", "TRACE":
		return true
	}
	return false
}

// EncodeHeaders implements stream.RequestEncoder.
func (s *clientStream) EncodeHeaders(h *header.Map, end bool) error {
	method, path := h.GetID(header.Method), h.GetID(header.Path)
	s.head, s.connect = method == "HEAD", method == "CONNECT"
	if h.HasID(header.Upgrade) {
		connection, _ := h.Joined("connection")
		s.upgrade = hasToken(connection, "upgrade")
	}
	if method == "" || path == "" && !s.connect {
		return errURL
	}
	w := newWriter(&s.codec.out)
	w.string(method)
	w.string(" ")
	authority := h.GetID(header.Authority)
	switch {
	case s.connect:
		w.string(authority)
	case s.codec.opts.FullyQualifiedURL && path != "*":
		w.string(h.GetID(header.Scheme))
		w.string("://")
		w.string(authority)
		w.string(path)
	default:
		w.string(path)
	}
	w.string(" HTTP/1.1\r\n")
	if authority != "" || !h.HasID(header.Host) {
		w.field("host", authority, s.codec.opts)
	}
	w.fields(h, s.codec.opts)
	switch {
	case h.HasID(header.ContentLength), s.connect, s.upgrade:
	case !end:
		w.field("transfer-encoding", "chunked", s.codec.opts)
		s.chunked = true
	case !bodiless(method):
		w.field("content-length", "0", s.codec.opts)
	}
	w.string("\r\n")
	n := w.close()
	s.meter.HeaderBytesSent += uint64(n)
	s.meter.WireBytesSent += uint64(n)
	if end {
		s.complete()
	}
	s.flush()
	return nil
}

// EncodeData implements stream.Encoder.
func (s *clientStream) EncodeData(b *buffer.Buffer, end bool) {
	if !s.active || s.requestDone {
		b.Drain(b.Len())
		return
	}
	if b.Len() > 0 {
		s.meter.WireBytesSent += uint64(encodeChunk(&s.codec.out, b, s.chunked))
	}
	if end {
		if s.chunked {
			s.codec.out.WriteString("0\r\n\r\n")
			s.meter.WireBytesSent += 5
		}
		s.complete()
	}
	s.flush()
}

// EncodeTrailers implements stream.Encoder.
func (s *clientStream) EncodeTrailers(h *header.Map) {
	if !s.active || s.requestDone {
		return
	}
	if s.chunked {
		s.meter.WireBytesSent += uint64(encodeTrailers(&s.codec.out, h, s.codec.opts))
	}
	s.complete()
	s.flush()
}

func (s *clientStream) complete() {
	s.requestDone = true
	if s.tunnel {
		s.codec.conn.Write(&s.codec.out, true)
	}
	s.codec.finish()
}

func (s *clientStream) flush() {
	if s.codec.out.Len() > 0 {
		s.codec.conn.Write(&s.codec.out, false)
	}
}

// AddCallbacks implements stream.Stream.
func (s *clientStream) AddCallbacks(cb stream.Callbacks) {
	s.callbacks = append(s.callbacks, cb)
	if s.codec.conn.AboveHighWatermark() {
		s.above = true
		cb.OnAboveWriteBufferHighWatermark()
	}
}

// RemoveCallbacks implements stream.Stream.
func (s *clientStream) RemoveCallbacks(cb stream.Callbacks) {
	for i, x := range s.callbacks {
		if x == cb {
			s.callbacks[i] = nil
		}
	}
}

// Reset implements stream.Stream: HTTP/1 can only end the connection.
func (s *clientStream) Reset(reason stream.ResetReason) {
	if !s.active {
		return
	}
	s.codec.keepAlive = false
	s.end()
	s.notifyReset(reason)
	s.codec.conn.Close(network.CloseNow, "")
}

func (s *clientStream) end() {
	s.active, s.requestDone, s.responseDone = false, true, true
}

func (s *clientStream) notifyReset(reason stream.ResetReason) {
	cbs := s.callbacks
	for i := range cbs {
		if cbs[i] != nil {
			cbs[i].OnReset(reason, s.detail)
		}
	}
	s.callbacks = s.callbacks[:0]
}

func (s *clientStream) watermark(above bool) {
	if !s.active || s.above == above {
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
func (s *clientStream) ReadDisable(disable bool) { s.codec.conn.ReadDisable(disable) }

// BufferLimit implements stream.Stream.
func (s *clientStream) BufferLimit() uint32 { return s.codec.conn.BufferLimit() }

// SetFlushTimeout implements stream.Stream.
func (s *clientStream) SetFlushTimeout(time.Duration) {}

// Meter implements stream.Stream.
func (s *clientStream) Meter() *stream.Meter { return &s.meter }

// ID implements stream.Stream.
func (s *clientStream) ID() uint32 { return 0 }

// Detail implements stream.Stream.
func (s *clientStream) Detail() string { return s.detail }
