package health

import (
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

var checkOptions = config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60, AllowChunkedLength: true}

// question is what an httpSession asks and how it judges the answer: an HTTP
// check or a gRPC check.
type question interface {
	// request fills in the headers and returns the body; nil: none.
	request(t *target, h *header.Map) []byte
	// headers looks at the response's head. collect is how many bytes of its
	// body are wanted; the rest is dropped.
	headers(t *target, h *header.Map) (collect int)
	// judge decides when the response is whole; trailers may be nil.
	judge(t *target, body []byte, trailers *header.Map) outcome
}

// httpSession checks by a request. It is network.Events, network.ReadFilter,
// stream.ClientCallbacks, stream.ResponseDecoder and stream.Callbacks.
type httpSession struct {
	t       *target
	ask     question
	http2   bool
	conn    *network.Conn
	codec   stream.ClientCodec
	one     *h1.Client // the codec, when it is HTTP/1
	stream  stream.Stream
	active  bool
	quiet   bool
	closing bool // the response ends the connection
	collect int
	body    []byte
}

func (s *httpSession) check() {
	if s.conn != nil {
		s.send()
		return
	}
	s.quiet = false
	if s.conn = s.t.connect(s, s, s.http2); s.conn == nil {
		s.t.done(outcome{network: true})
	}
}

func (s *httpSession) send() {
	w := s.t.c.w
	s.active, s.closing, s.body = true, false, s.body[:0]
	e := s.codec.NewStream(s)
	s.stream = e.Stream()
	s.stream.AddCallbacks(s)
	h := w.Headers.Get()
	body := s.ask.request(s.t, h)
	err := e.EncodeHeaders(h, body == nil)
	w.Headers.Put(h)
	if err != nil {
		s.fail()
		return
	}
	if body != nil {
		b := buffer.New(&w.Buffers)
		_, _ = b.Write(body)
		e.EncodeData(b, true)
	}
}

// abandon implements session.
func (s *httpSession) abandon() { s.close() }

func (s *httpSession) close() {
	s.quiet, s.active = true, false
	s.forget()
	if c := s.conn; c != nil {
		s.conn, s.codec, s.one = nil, nil, nil
		c.Close(network.CloseNow, "")
	}
}

// forget lets the stream go.
func (s *httpSession) forget() {
	if s.stream != nil {
		s.stream.RemoveCallbacks(s)
		s.stream = nil
	}
}

// finish ends a check whose response is whole.
func (s *httpSession) finish(trailers *header.Map) {
	o := s.ask.judge(s.t, s.body, trailers)
	s.active = false
	s.forget()
	if s.closing || !s.t.c.cfg.ReuseConnection {
		s.close()
	}
	s.t.done(o)
}

// fail ends a check that has no answer.
func (s *httpSession) fail() {
	s.close()
	s.t.done(outcome{network: true})
}

// OnEvent implements network.Events.
func (s *httpSession) OnEvent(e network.Event) {
	if e == network.Connected {
		if s.http2 {
			s.codec = h2.NewClient(s.conn, s.t.c.cluster.Protocol.HTTP2, nil, s)
		} else {
			s.one = h1.NewClient(s.conn, s, &checkOptions, s.t.c.h1)
			s.codec = s.one
		}
		s.send()
		return
	}
	if s.quiet {
		return
	}
	codec := s.codec
	s.conn, s.codec, s.one = nil, nil, nil
	if codec != nil {
		// An HTTP/1 response that the close ends is whole now.
		codec.OnConnectionClosed(stream.ConnectionTermination, "")
	}
	s.fail()
}

// OnReset implements stream.Callbacks.
func (s *httpSession) OnReset(stream.ResetReason, string) {
	s.stream = nil
	if s.active && s.conn != nil {
		s.fail()
	}
}

// OnData implements network.ReadFilter.
func (s *httpSession) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if s.codec == nil || s.codec.Dispatch(b, end) != nil {
		b.Drain(b.Len())
		if s.conn != nil {
			s.conn.Close(network.CloseNow, "")
		}
	} else if s.one != nil && !s.active && !s.one.Reusable() {
		s.close()
	}
	return network.StopIteration
}

// Decode1xx implements stream.ResponseDecoder.
func (s *httpSession) Decode1xx(h *header.Map) { s.t.c.w.Headers.Put(h) }

// DecodeHeaders implements stream.ResponseDecoder.
func (s *httpSession) DecodeHeaders(h *header.Map, end bool) {
	s.collect = s.ask.headers(s.t, h)
	s.closing = s.one != nil && strings.EqualFold(h.GetID(header.Connection), "close")
	s.t.c.w.Headers.Put(h)
	if end && s.active {
		s.finish(nil)
	}
}

// DecodeData implements stream.ResponseDecoder.
func (s *httpSession) DecodeData(b *buffer.Buffer, end bool) {
	if n := min(b.Len(), s.collect-len(s.body)); n > 0 {
		s.body = append(s.body, b.Bytes()[:n]...)
	}
	b.Drain(b.Len())
	if end && s.active {
		s.finish(nil)
	}
}

// DecodeTrailers implements stream.ResponseDecoder.
func (s *httpSession) DecodeTrailers(h *header.Map) {
	if s.active {
		s.finish(h)
	}
	s.t.c.w.Headers.Put(h)
}

// OnGoAway implements stream.ClientCallbacks.
func (s *httpSession) OnGoAway(bool) {
	s.closing = true
	if !s.active {
		s.close()
	}
}

// OnMaxConcurrentStreams implements stream.ClientCallbacks.
func (s *httpSession) OnMaxConcurrentStreams(uint32) {}

// OnAboveWriteBufferHighWatermark implements stream.Callbacks.
func (s *httpSession) OnAboveWriteBufferHighWatermark() {}

// OnBelowWriteBufferLowWatermark implements stream.Callbacks.
func (s *httpSession) OnBelowWriteBufferLowWatermark() {}

// InitRead implements network.ReadFilter.
func (s *httpSession) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (s *httpSession) OnNewConnection() network.FilterStatus { return network.Continue }

// OnAboveHighWatermark implements network.Events.
func (s *httpSession) OnAboveHighWatermark() {
	if s.codec != nil {
		s.codec.OnAboveWriteBufferHighWatermark()
	}
}

// OnBelowLowWatermark implements network.Events.
func (s *httpSession) OnBelowLowWatermark() {
	if s.codec != nil {
		s.codec.OnBelowWriteBufferLowWatermark()
	}
}
