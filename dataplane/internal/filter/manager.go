package filter

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// pause is where a filter holds the iteration of one direction.
type pause uint8

const (
	going pause = iota
	stopped
	stoppedAllBuffer
	stoppedAllWatermark
)

// node is one filter's place in the chain.
type node struct {
	cb       Callbacks
	name     string
	decoder  Decoder
	encoder  Encoder
	decode   place
	encode   place
	disabled bool
}

// place is a filter's state in one direction.
type place struct {
	pause    pause
	headers  bool // headers went on to the next filter
	trailers bool
}

// Manager runs the filters of one stream. It is used again for the next
// stream; see Init.
type Manager struct {
	host  Host
	nodes []*node
	spare []*node
	n     int

	req, resp half
	destroyed bool
	replied   bool // a local reply was sent, or the response began
	local     bool // the response is a local reply
	above     int  // high watermarks of the downstream
}

// half is one direction's message so far.
type half struct {
	h        *header.Map
	trailers *header.Map
	data     buffer.Buffer // held back by a filter
	end      bool          // the message is complete
	begun    bool
	paused   bool // the sender was asked to stop
	adding   *node
}

// Init prepares the manager for a stream.
func (m *Manager) Init(host Host) {
	m.host = host
	m.destroyed, m.replied, m.local, m.above = false, false, false, 0
	m.req = half{data: m.req.data}
	m.resp = half{data: m.resp.data}
	pool := &host.Worker().Buffers
	m.req.data.SetPool(pool)
	m.resp.data.SetPool(pool)
}

// Build creates the filters; name is that of their configuration.
func (m *Manager) Build(name string, f Factory) {
	at := m.n
	f.AddTo(m)
	for ; at < m.n; at++ {
		m.nodes[at].name = name
	}
}

func (m *Manager) add() *node {
	if m.n == len(m.nodes) {
		n := &node{}
		n.cb.node, n.cb.m = n, m
		m.nodes = append(m.nodes, n)
	}
	n := m.nodes[m.n]
	m.n++
	n.decoder, n.encoder, n.decode, n.encode, n.disabled = nil, nil, place{}, place{}, false
	n.cb.index = m.n - 1
	return n
}

// AddDecoder adds a filter that sees requests only.
func (m *Manager) AddDecoder(f Decoder) {
	n := m.add()
	n.decoder = f
	f.SetDecoderCallbacks(&n.cb)
}

// AddEncoder adds a filter that sees responses only.
func (m *Manager) AddEncoder(f Encoder) {
	n := m.add()
	n.encoder = f
	f.SetEncoderCallbacks(&n.cb)
}

// AddBoth adds a filter that sees both.
func (m *Manager) AddBoth(f interface {
	Decoder
	Encoder
}) {
	n := m.add()
	n.decoder, n.encoder = f, f
	f.SetDecoderCallbacks(&n.cb)
	f.SetEncoderCallbacks(&n.cb)
}

// Host returns the connection manager's side.
func (m *Manager) Host() Host { return m.host }

// Destroyed says whether the stream is over.
func (m *Manager) Destroyed() bool { return m.destroyed }

// Local says whether the response is a local reply.
func (m *Manager) Local() bool { return m.local }

// ResponseBegun says whether response headers have passed, or a local reply.
func (m *Manager) ResponseBegun() bool { return m.replied }

// Complete tells the filters that the stream is over, before access logs.
func (m *Manager) Complete() {
	for i := range m.n {
		n := m.nodes[i]
		if c, ok := n.any().(Completer); ok {
			c.OnStreamComplete()
		}
	}
}

func (n *node) any() Filter {
	if n.decoder != nil {
		return n.decoder
	}
	return n.encoder
}

// Destroy ends the filters.
func (m *Manager) Destroy() {
	if m.destroyed {
		return
	}
	m.destroyed = true
	for i := range m.n {
		m.nodes[i].any().OnDestroy()
		m.nodes[i].decoder, m.nodes[i].encoder = nil, nil
	}
	m.n = 0
	m.req.data.Drain(m.req.data.Len())
	m.resp.data.Drain(m.resp.data.Len())
	m.req.trailers, m.resp.trailers = nil, nil
}

// OnAboveWriteBufferHighWatermark tells the filters that the client does not
// take the response.
func (m *Manager) OnAboveWriteBufferHighWatermark() {
	m.above++
	m.watermark(true)
}

// OnBelowWriteBufferLowWatermark takes one of those back.
func (m *Manager) OnBelowWriteBufferLowWatermark() {
	m.above--
	m.watermark(false)
}

func (m *Manager) watermark(above bool) {
	for i := 0; i < m.n && !m.destroyed; i++ {
		if w, ok := m.nodes[i].any().(Watermarks); ok {
			if above {
				w.OnAboveWriteBufferHighWatermark()
			} else {
				w.OnBelowWriteBufferLowWatermark()
			}
		}
	}
}

// DecodeHeaders begins the request.
func (m *Manager) DecodeHeaders(h *header.Map, end bool) {
	m.req.h, m.req.end, m.req.begun = h, end, true
	m.decodeHeaders(0, end)
}

// DecodeData passes request data; b is drained, or its bytes are kept.
func (m *Manager) DecodeData(b *buffer.Buffer, end bool) {
	m.req.end = m.req.end || end
	m.decodeData(0, b, end)
	b.Drain(b.Len())
}

// DecodeTrailers ends the request.
func (m *Manager) DecodeTrailers(h *header.Map) {
	m.req.end, m.req.trailers = true, h
	m.decodeTrailers(0)
}

func (m *Manager) stop() bool { return m.destroyed || m.local }

func (m *Manager) decodeHeaders(i int, end bool) {
	for ; i < m.n && !m.stop(); i++ {
		n := m.nodes[i]
		if n.decoder == nil || n.disabled {
			n.decode.headers = true
			continue
		}
		s := n.decoder.DecodeHeaders(m.req.h, end)
		if m.stop() {
			return
		}
		switch s {
		case StopIteration:
			n.decode.pause = stopped
			return
		case StopAllAndBuffer:
			n.decode.pause = stoppedAllBuffer
			return
		case StopAllAndWatermark:
			n.decode.pause = stoppedAllWatermark
			return
		case ContinueAndDontEndStream:
			end = false
		}
		n.decode.headers = true
	}
}

func (m *Manager) decodeData(i int, b *buffer.Buffer, end bool) {
	for ; i < m.n && !m.stop(); i++ {
		n := m.nodes[i]
		if n.decoder == nil || n.disabled {
			continue
		}
		if n.decode.pause >= stoppedAllBuffer {
			m.hold(&m.req, b, n.decode.pause == stoppedAllWatermark, true)
			return
		}
		s := n.decoder.DecodeData(b, end)
		if m.stop() {
			return
		}
		if s != DataContinue {
			n.decode.pause = stopped
			if s != StopNoBuffer {
				m.hold(&m.req, b, s == StopAndWatermark, true)
			}
			return
		}
		if n.decode.pause == stopped {
			n.decode.pause = going
		}
		if !n.decode.headers {
			n.decode.headers = true
			m.decodeHeaders(i+1, false)
			if m.stop() {
				return
			}
		}
		if m.req.data.Len() > 0 { // what was held back goes first
			b.MoveTo(&m.req.data, b.Len())
			m.req.data.MoveTo(b, m.req.data.Len())
			m.resume(&m.req)
		}
	}
}

func (m *Manager) decodeTrailers(i int) {
	for ; i < m.n && !m.stop(); i++ {
		n := m.nodes[i]
		if n.decoder == nil || n.disabled {
			continue
		}
		if n.decode.pause >= stoppedAllBuffer {
			return
		}
		s := n.decoder.DecodeTrailers(m.req.trailers)
		if m.stop() {
			return
		}
		if s == TrailersStop {
			n.decode.pause = stopped
			return
		}
		n.decode.pause = going
		if !n.decode.headers {
			n.decode.headers = true
			m.decodeHeaders(i+1, false)
			if m.stop() {
				return
			}
		}
		if m.req.data.Len() > 0 {
			held := m.take(&m.req)
			m.decodeData(i+1, held, false)
			held.Drain(held.Len())
			if m.stop() {
				return
			}
		}
	}
}

// take empties what is held back into a buffer of its own.
func (m *Manager) take(x *half) *buffer.Buffer {
	held := buffer.New(&m.host.Worker().Buffers)
	x.data.MoveTo(held, x.data.Len())
	m.resume(x)
	return held
}

// continueDecoding goes on after a filter that had stopped.
func (m *Manager) continueDecoding(n *node) {
	if m.stop() || n.decode.pause == going {
		return
	}
	all := n.decode.pause >= stoppedAllBuffer
	n.decode.pause = going
	i := n.cb.index + 1
	if !n.decode.headers {
		n.decode.headers = true
		m.decodeHeaders(i, m.req.end && m.req.data.Len() == 0 && m.req.trailers == nil)
		if m.stop() {
			return
		}
	}
	from := i
	if all {
		from = n.cb.index // it has not seen data and trailers itself
	}
	if m.req.data.Len() > 0 {
		held := m.take(&m.req)
		m.decodeData(from, held, m.req.end && m.req.trailers == nil)
		held.Drain(held.Len())
		if m.stop() {
			return
		}
	}
	if m.req.trailers != nil {
		m.decodeTrailers(from)
	}
}

// hold keeps data that a filter stopped.
func (m *Manager) hold(x *half, b *buffer.Buffer, watermark, request bool) {
	b.MoveTo(&x.data, b.Len())
	limit := m.host.BufferLimit()
	if limit == 0 || x.data.Len() <= int(limit) {
		return
	}
	if watermark {
		if !x.paused {
			x.paused = true
			if request {
				m.host.ReadDisable(true)
			} else {
				m.producers(true)
			}
		}
		return
	}
	m.host.OnBufferOverflow(request)
	if request {
		m.SendLocalReply(Reply{Status: 413, Body: "Payload Too Large", Details: "request_payload_too_large"})
		return
	}
	x.data.Drain(x.data.Len())
	if !m.responseSent() {
		m.replied = false
		m.SendLocalReply(Reply{Status: 500, Body: "Internal Server Error", Details: "response_payload_too_large"})
		return
	}
	m.host.ResetStream(stream.LocalReset)
}

func (m *Manager) responseSent() bool { return m.resp.begun && m.n > 0 && m.nodes[0].encode.headers }

// resume asks a sender that was stopped to go on.
func (m *Manager) resume(x *half) {
	if !x.paused {
		return
	}
	x.paused = false
	if x == &m.req {
		m.host.ReadDisable(false)
	} else {
		m.producers(false)
	}
}

// producers passes response back pressure to the router.
func (m *Manager) producers(above bool) { m.watermark(above) }

// Reply is a local reply.
type Reply struct {
	Status  int
	Body    string
	Details string
	Flag    fault.Flag
	// GRPC is the gRPC status for gRPC requests; negative: from Status.
	// The zero value means "from Status" too.
	GRPC int
	// Headers are added to the response.
	Headers [][2]string
	// Modify may change the headers further.
	Modify func(h *header.Map)
}

// SendLocalReply answers the request without an upstream. It passes the
// encoder filters. After the response has begun it resets the stream.
func (m *Manager) SendLocalReply(r Reply) {
	if m.destroyed {
		return
	}
	info := m.host.Info()
	info.Flags |= r.Flag
	info.Details = r.Details
	if m.replied {
		m.host.ResetStream(stream.LocalReset)
		return
	}
	m.replied, m.local = true, true
	h := m.host.Worker().Headers.Get()
	grpc := m.req.h != nil && isGRPC(m.req.h)
	status := r.Status
	if grpc {
		status = 200
	}
	h.AddID(header.Status, strconv.Itoa(status))
	for _, l := range r.Headers {
		h.Add(l[0], l[1])
	}
	if r.Modify != nil {
		r.Modify(h)
	}
	body := r.Body
	if grpc {
		m.grpcReply(h, r)
		body = ""
	} else {
		body = m.host.PrepareLocalReply(h, body)
	}
	info.LocalReplyBody = r.Body
	if body != "" {
		h.SetID(header.ContentLength, strconv.Itoa(len(body)))
		if !h.HasID(header.ContentType) {
			h.AddIDRef(header.ContentType, "text/plain")
		}
	}
	head := m.req.h != nil && m.req.h.GetID(header.Method) == "HEAD"
	m.EncodeHeaders(h, body == "" || head)
	if body != "" && !head && !m.destroyed {
		b := buffer.New(&m.host.Worker().Buffers)
		b.WriteString(body)
		m.EncodeData(b, true)
	}
}

// grpcReply turns a reply into a trailers-only response.
func (m *Manager) grpcReply(h *header.Map, r Reply) {
	h.RemoveID(header.ContentLength)
	h.SetIDRef(header.ContentType, "application/grpc")
	code := r.GRPC
	if code <= 0 {
		code = GRPCStatus(r.Status)
	}
	h.AddID(header.GrpcStatus, strconv.Itoa(code))
	if r.Body != "" {
		h.AddID(header.GrpcMessage, percentEncode(r.Body))
	}
}

func isGRPC(h *header.Map) bool {
	ct := h.GetID(header.ContentType)
	return strings.HasPrefix(ct, "application/grpc") && (len(ct) == 16 || ct[16] == '+' || ct[16] == ';')
}

// IsGRPC says whether a message's content type is gRPC's.
func IsGRPC(h *header.Map) bool { return isGRPC(h) }

// GRPCStatus maps an HTTP status of a local reply (gRPC's http-grpc-status
// mapping).
func GRPCStatus(status int) int {
	switch status {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	}
	return 2
}

// percentEncode encodes a grpc-message (PROTOCOL-HTTP2.md of gRPC).
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789ABCDEF"
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
