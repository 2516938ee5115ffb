package health

import (
	"net/netip"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

func withPort(a address.Address, port uint16) address.Address {
	return address.FromIP(netip.AddrPortFrom(a.IP(), port))
}

var checkOptions = config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60, AllowChunkedLength: true}

// httpSession checks by a request.
type httpSession struct {
	t      *target
	conn   *network.Conn
	codec  stream.ClientCodec
	one    *h1.Client
	stream stream.Stream
	active bool
	quiet  bool
}

func (s *httpSession) check() {
	if s.conn == nil {
		s.quiet = false
		s.conn = s.t.connect(s, s)
		if s.conn == nil {
			s.t.done(outcome{network: true})
		}
		return
	}
	s.send()
}

func (s *httpSession) send() {
	hc := s.t.c.cfg.HTTP
	w := s.t.c.w
	s.active = true
	e := s.codec.NewStream(s)
	s.stream = e.Stream()
	h := w.Headers.Get()
	h.AddID(header.Method, hc.Method)
	h.AddID(header.Scheme, "http")
	h.AddID(header.Path, hc.Path)
	host := hc.Host
	if s.t.h.HealthCheck.Hostname != "" {
		host = s.t.h.HealthCheck.Hostname
	}
	if host == "" {
		host = s.t.c.cluster.Name
	}
	h.AddID(header.Authority, host)
	h.AddIDRef(header.UserAgent, "Envoy/HC")
	for _, a := range hc.Add {
		h.Add(a.Name, a.Value)
	}
	for _, r := range hc.Remove {
		h.Remove(r)
	}
	err := e.EncodeHeaders(h, true)
	w.Headers.Put(h)
	if err != nil {
		s.close()
		s.t.done(outcome{network: true})
	}
}

// abandon implements session.
func (s *httpSession) abandon() { s.close() }

func (s *httpSession) close() {
	s.quiet = true
	s.active = false
	if c := s.conn; c != nil {
		s.conn, s.codec, s.one = nil, nil, nil
		c.Close(network.CloseNow, "")
	}
}

// OnEvent implements network.Events.
func (s *httpSession) OnEvent(e network.Event) {
	if e == network.Connected {
		if s.t.c.cfg.HTTP.HTTP2 {
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
	s.conn, s.codec, s.one = nil, nil, nil
	s.active = false
	s.t.done(outcome{network: true})
}

// OnData implements network.ReadFilter.
func (s *httpSession) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	if s.codec == nil || s.codec.Dispatch(b, end) != nil {
		b.Drain(b.Len())
		if s.conn != nil {
			s.conn.Close(network.CloseNow, "")
		}
	}
	return network.StopIteration
}

// InitRead implements network.ReadFilter.
func (s *httpSession) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (s *httpSession) OnNewConnection() network.FilterStatus { return network.Continue }

// OnAboveHighWatermark implements network.Events.
func (s *httpSession) OnAboveHighWatermark() {}

// OnBelowLowWatermark implements network.Events.
func (s *httpSession) OnBelowLowWatermark() {}

// OnGoAway implements stream.ClientCallbacks.
func (s *httpSession) OnGoAway(bool) {}

// OnMaxConcurrentStreams implements stream.ClientCallbacks.
func (s *httpSession) OnMaxConcurrentStreams(uint32) {}

// Decode1xx implements stream.ResponseDecoder.
func (s *httpSession) Decode1xx(h *header.Map) { s.t.c.w.Headers.Put(h) }

// DecodeHeaders implements stream.ResponseDecoder.
func (s *httpSession) DecodeHeaders(h *header.Map, end bool) {
	o := s.judge(h)
	closing := strings.EqualFold(h.GetID(header.Connection), "close")
	s.t.c.w.Headers.Put(h)
	if !s.active {
		return
	}
	s.active = false
	if !end || !s.t.c.cfg.ReuseConnection || closing || s.one != nil && !s.one.Reusable() {
		s.close()
	}
	s.t.done(o)
}

// judge decides by the response's status and headers.
func (s *httpSession) judge(h *header.Map) outcome {
	hc := s.t.c.cfg.HTTP
	status := atoi(h.GetID(header.Status))
	ok := statusIn(status, hc.Expected)
	o := outcome{ok: ok, degraded: h.HasID(header.EnvoyDegraded)}
	if h.HasID(header.EnvoyImmediateHealthCheckFail) {
		return outcome{immediate: true}
	}
	if !ok && statusIn(status, hc.Retriable) {
		o.network = true // counts against the threshold instead of at once
	}
	if m, is := hc.ServiceName.(*matcher.String); is && ok {
		s.t.c.count(statVerify)
		o.ok = m.Match(h.GetID(header.EnvoyUpstreamHealthChecked))
	}
	return o
}

// DecodeData implements stream.ResponseDecoder.
func (s *httpSession) DecodeData(b *buffer.Buffer, _ bool) { b.Drain(b.Len()) }

// DecodeTrailers implements stream.ResponseDecoder.
func (s *httpSession) DecodeTrailers(h *header.Map) { s.t.c.w.Headers.Put(h) }

// tcpSession checks by a connection, and bytes where they are configured.
type tcpSession struct {
	t     *target
	conn  *network.Conn
	quiet bool
	got   []byte
}

func (s *tcpSession) check() {
	s.got = s.got[:0]
	if s.conn == nil {
		s.quiet = false
		if s.conn = s.t.connect(s, s); s.conn == nil {
			s.t.done(outcome{network: true})
		}
		return
	}
	s.send()
}

func (s *tcpSession) send() {
	if hc := s.t.c.cfg.TCP; hc != nil && len(hc.Send) > 0 {
		b := buffer.New(&s.t.c.w.Buffers)
		_, _ = b.Write(hc.Send)
		s.conn.Write(b, false)
	}
}

func (s *tcpSession) abandon() { s.close() }

func (s *tcpSession) close() {
	s.quiet = true
	if c := s.conn; c != nil {
		s.conn = nil
		c.Close(network.CloseNow, "")
	}
}

// OnEvent implements network.Events.
func (s *tcpSession) OnEvent(e network.Event) {
	if e == network.Connected {
		hc := s.t.c.cfg.TCP
		if hc == nil || len(hc.Receive) == 0 {
			s.close()
			s.t.done(outcome{ok: true})
			return
		}
		s.send()
		return
	}
	if !s.quiet {
		s.conn = nil
		s.t.done(outcome{network: true})
	}
}

// OnData implements network.ReadFilter.
func (s *tcpSession) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	s.got = append(s.got, b.Bytes()...)
	b.Drain(b.Len())
	if hc := s.t.c.cfg.TCP; hc != nil && matches(s.got, hc.Receive) {
		if !s.t.c.cfg.ReuseConnection {
			s.close()
		}
		s.t.done(outcome{ok: true})
	}
	return network.StopIteration
}

// matches looks for the pieces in order, with anything between them.
func matches(got []byte, want [][]byte) bool {
	text := string(got)
	for _, w := range want {
		i := strings.Index(text, string(w))
		if i < 0 {
			return false
		}
		text = text[i+len(w):]
	}
	return true
}

// InitRead implements network.ReadFilter.
func (s *tcpSession) InitRead(network.ReadCallbacks) {}

// OnNewConnection implements network.ReadFilter.
func (s *tcpSession) OnNewConnection() network.FilterStatus { return network.Continue }

// OnAboveHighWatermark implements network.Events.
func (s *tcpSession) OnAboveHighWatermark() {}

// OnBelowLowWatermark implements network.Events.
func (s *tcpSession) OnBelowLowWatermark() {}
