package h2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
)

// raw writes frames with another implementation's framer.
type raw struct {
	bytes.Buffer
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
}

func newRaw() *raw {
	r := new(raw)
	r.Framer = http2.NewFramer(&r.Buffer, nil)
	r.AllowIllegalWrites = true
	r.enc = hpack.NewEncoder(&r.block)
	return r
}

// head compresses lines such as ":method: GET".
func (r *raw) head(lines ...string) []byte {
	r.block.Reset()
	for _, l := range lines {
		i := 0
		if len(l) > 0 && l[0] == ':' {
			i = 1
		}
		j := strings.Index(l[i:], ": ") + i
		if err := r.enc.WriteField(hpack.HeaderField{Name: l[:j], Value: l[j+2:]}); err != nil {
			panic(err)
		}
	}
	return bytes.Clone(r.block.Bytes())
}

var get = []string{":method: GET", ":scheme: http", ":path: /", ":authority: a.example"}
var post = []string{":method: POST", ":scheme: http", ":path: /", ":authority: a.example"}

func with(base []string, more ...string) []string {
	return append(append([]string{}, base...), more...)
}

func (r *raw) request(id uint32, end bool, lines ...string) {
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: true, BlockFragment: r.head(lines...)})
}

func (r *raw) hex(p ...byte) { r.Buffer.Write(p) }

// frame writes a frame octet by octet.
func (r *raw) frame(typ frameType, flags uint8, id uint32, payload ...byte) {
	_ = r.WriteRawFrame(http2.FrameType(typ), http2.Flags(flags), id, payload)
}

// parse lists what a codec wrote, without SETTINGS and WINDOW_UPDATE.
func parse(t testing.TB, p []byte) string {
	fr := http2.NewFramer(nil, bytes.NewReader(p))
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var out []string
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			if !strings.Contains(err.Error(), "EOF") {
				t.Fatalf("what was written is not HTTP/2: %v", err)
			}
			return strings.Join(out, ", ")
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			out = append(out, fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode))
		case *http2.RSTStreamFrame:
			out = append(out, fmt.Sprintf("RST %d %v", f.StreamID, f.ErrCode))
		case *http2.PingFrame:
			out = append(out, fmt.Sprintf("PING %v %s", f.IsAck(), f.Data[:]))
		case *http2.MetaHeadersFrame:
			out = append(out, fmt.Sprintf("HEADERS %d %v", f.StreamID, f.StreamEnded()))
		case *http2.DataFrame:
			out = append(out, fmt.Sprintf("DATA %d %d %v", f.StreamID, len(f.Data()), f.StreamEnded()))
		}
	}
}

const (
	protocolError = textProtocol
)

// TestServerViolations sends bad and unusual frames, at once and octet by
// octet, and looks at the error, what was written and how streams ended.
// Expectations are Envoy 1.40's.
func TestServerViolations(t *testing.T) {
	override := config.HTTP2Options{OverrideStreamError: true, AllowConnect: true}
	strict := config.HTTP2Options{Strict: true}
	small := config.HTTP2Options{MaxOutboundControl: 10, MaxEmptyInbound: 3, MaxPriorityPerStream: 5, MaxWindowUpdates: 2}
	rep := func(n int, f func()) {
		for range n {
			f()
		}
	}
	for _, c := range []struct {
		name    string
		opt     config.HTTP2Options
		send    func(r *raw)
		err     string // of Dispatch
		kind    fault.Kind
		wrote   string
		streams string // "reason detail" of reset streams, "detail" of others that failed
		stats   string
	}{
		{name: "bad preface", send: func(r *raw) { r.Buffer.Reset(); r.WriteString("GET / HTTP/1.1\r\n\r\n") }, err: textMagic},
		{name: "first frame is not SETTINGS", send: func(r *raw) {
			r.Buffer.Truncate(len(preface))
			_ = r.WritePing(false, [8]byte{})
		}, err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "ping", send: func(r *raw) { _ = r.WritePing(false, [8]byte([]byte("12345678"))) }, wrote: "PING true 12345678"},
		{name: "unknown frame and setting", send: func(r *raw) {
			r.frame(0xfe, 0xff, 7, 1, 2, 3)
			r.frame(frameSettings, 0, 0, 0xff, 0, 0, 0, 0, 1)
			_ = r.WritePing(false, [8]byte([]byte("12345678")))
		}, wrote: "PING true 12345678"},
		{name: "SETTINGS not of six octets", send: func(r *raw) { r.frame(frameSettings, 0, 0, 0, 1, 2) }, err: protocolError, wrote: "GOAWAY 0 FRAME_SIZE_ERROR"},
		{name: "SETTINGS on a stream", send: func(r *raw) { r.frame(frameSettings, 0, 1) }, err: protocolError},
		{name: "acknowledgement with payload", send: func(r *raw) { r.frame(frameSettings, 1, 0, 0, 1, 0, 0, 0, 0) }, err: protocolError, wrote: "GOAWAY 0 FRAME_SIZE_ERROR"},
		{name: "window setting too large", send: func(r *raw) { r.frame(frameSettings, 0, 0, 0, 4, 0x80, 0, 0, 0) }, err: protocolError},
		{name: "frame size setting too small", send: func(r *raw) { r.frame(frameSettings, 0, 0, 0, 5, 0, 0, 1, 0) }, err: protocolError},
		{name: "push setting of 2", send: func(r *raw) { r.frame(frameSettings, 0, 0, 0, 2, 0, 0, 0, 2) }, err: protocolError},
		{name: "ping of seven octets", send: func(r *raw) { r.frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7) }, err: protocolError, wrote: "GOAWAY 0 FRAME_SIZE_ERROR"},
		{name: "ping on a stream", send: func(r *raw) { r.frame(framePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8) }, err: protocolError},
		{name: "frame too large", send: func(r *raw) { r.hex(0, 0x40, 1, 0, 0, 0, 0, 0, 1) }, err: protocolError, wrote: "GOAWAY 0 FRAME_SIZE_ERROR"},
		{name: "GOAWAY on a stream", send: func(r *raw) { r.frame(frameGoAway, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) }, err: protocolError},
		{name: "DATA on stream 0", send: func(r *raw) { r.frame(frameData, 1, 0, 'x') }, err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "DATA on an idle stream", send: func(r *raw) { r.frame(frameData, 1, 1, 'x') }, err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "HEADERS on stream 0", send: func(r *raw) { r.request(0, true, get...) }, err: protocolError},
		{name: "HEADERS on an even stream", send: func(r *raw) { r.request(2, true, get...) }, err: protocolError},
		{name: "lower stream after a higher one", send: func(r *raw) { r.request(5, false, post...); r.request(3, true, get...) }},
		{name: "RST_STREAM on an idle stream", send: func(r *raw) { _ = r.WriteRSTStream(1, 8) }, err: protocolError},
		{name: "RST_STREAM of three octets", send: func(r *raw) { r.request(1, false, post...); r.frame(frameReset, 0, 1, 0, 0, 0) },
			err: protocolError, wrote: "GOAWAY 1 FRAME_SIZE_ERROR"},
		{name: "PUSH_PROMISE", send: func(r *raw) { r.request(1, false, post...); r.frame(framePushPromise, 4, 1, 0, 0, 0, 2) },
			err: protocolError, streams: detailUnknown},
		{name: "WINDOW_UPDATE of 0", send: func(r *raw) { r.frame(frameWindowUpdate, 0, 0, 0, 0, 0, 0) }, err: protocolError},
		{name: "WINDOW_UPDATE of 0 on a stream", send: func(r *raw) { r.request(1, false, post...); r.frame(frameWindowUpdate, 0, 1, 0, 0, 0, 0) },
			err: protocolError, streams: detailUnknown},
		{name: "connection window overflows", send: func(r *raw) { _ = r.WriteWindowUpdate(0, maxWindow) }, err: protocolError},
		{name: "stream window overflows", send: func(r *raw) { r.request(1, false, post...); _ = r.WriteWindowUpdate(1, maxWindow) },
			err: protocolError, streams: detailUnknown},
		{name: "WINDOW_UPDATE on an idle stream", send: func(r *raw) { _ = r.WriteWindowUpdate(1, 1) }, err: protocolError},
		{name: "PRIORITY on an idle stream", send: func(r *raw) { r.frame(framePriority, 0, 3, 0, 0, 0, 0, 16) }},
		{name: "PRIORITY of four octets", send: func(r *raw) { r.frame(framePriority, 0, 3, 0, 0, 0, 0) }, err: protocolError, wrote: "GOAWAY 0 FRAME_SIZE_ERROR"},
		{name: "DATA padding too long", send: func(r *raw) {
			r.request(1, false, post...)
			r.frame(frameData, flagPadded, 1, 6, 'h', 'e', 'l', 'l', 'o')
		},
			err: protocolError, wrote: "GOAWAY 1 PROTOCOL_ERROR"},
		{name: "HEADERS padding too long", send: func(r *raw) {
			_ = r.WriteRawFrame(http2.FrameHeaders, flagPadded|flagEndHeaders|flagEndStream, 1, append([]byte{255}, r.head(get...)...))
		}, err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "CONTINUATION without HEADERS", send: func(r *raw) { _ = r.WriteContinuation(1, true, r.head(get...)) }, err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "DATA within a header block", send: func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.head(get...)})
			r.frame(frameData, 0, 1, 'x')
		}, err: protocolError, wrote: "GOAWAY 1 PROTOCOL_ERROR"},
		{name: "CONTINUATION of another stream", send: func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.head(get...)})
			_ = r.WriteContinuation(3, true, nil)
		}, err: protocolError, wrote: "GOAWAY 1 PROTOCOL_ERROR"},
		{name: "stream depends on itself", send: func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: r.head(get...), Priority: http2.PriorityParam{StreamDep: 1, Weight: 15}})
		}, err: protocolError},
		{name: "broken compression", send: func(r *raw) { r.frame(frameHeaders, flagEndHeaders, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) }, err: protocolError, wrote: "GOAWAY 1 COMPRESSION_ERROR"},
		{name: "truncated compression", send: func(r *raw) { r.frame(frameHeaders, flagEndHeaders, 1, 0x40, 0x05, 'a') }, err: protocolError, wrote: "GOAWAY 1 COMPRESSION_ERROR"},
		{name: "DATA after END_STREAM", send: func(r *raw) { r.request(1, true, get...); r.frame(frameData, 0, 1, 'x') }, err: protocolError, wrote: "GOAWAY 1 STREAM_CLOSED"},
		{name: "HEADERS after END_STREAM", send: func(r *raw) { r.request(1, true, get...); r.request(1, true, "a: b") }, err: protocolError, wrote: "GOAWAY 1 STREAM_CLOSED"},
		{name: "reset by the peer", send: func(r *raw) { r.request(1, false, post...); _ = r.WriteRSTStream(1, http2.ErrCodeCancel) },
			streams: "remote reset " + detailRemoteReset, stats: "rx_reset=1"},
		{name: "refused by the peer", send: func(r *raw) { r.request(1, false, post...); _ = r.WriteRSTStream(1, http2.ErrCodeRefusedStream) },
			streams: "remote refused stream reset " + detailRemoteRefuse},

		// Our strict mode.
		{name: "strict: lower stream after a higher one", opt: strict, send: func(r *raw) { r.request(5, false, post...); r.request(3, true, get...) },
			err: protocolError, wrote: "GOAWAY 5 PROTOCOL_ERROR"},
		{name: "strict: ping on a stream", opt: strict, send: func(r *raw) { r.frame(framePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8) },
			err: protocolError, wrote: "GOAWAY 0 PROTOCOL_ERROR"},
		{name: "strict: connection window overflows", opt: strict, send: func(r *raw) { _ = r.WriteWindowUpdate(0, maxWindow) },
			err: protocolError, wrote: "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{name: "strict: stream window overflows", opt: strict, send: func(r *raw) { r.request(1, false, post...); _ = r.WriteWindowUpdate(1, maxWindow) },
			wrote: "RST 1 FLOW_CONTROL_ERROR", streams: "protocol error " + detailUnknown},

		// Messages.
		{name: "upper case", send: func(r *raw) { r.request(1, true, with(get, "X-A: b")...) }, err: protocolError, streams: detailInvalidField, stats: "rx_messaging_error=1"},
		{name: "no path", send: func(r *raw) { r.request(1, true, get[0], get[1], get[3]) }, err: protocolError, streams: detailMessaging},
		{name: "no path, stream error", opt: override, send: func(r *raw) { r.request(1, true, get[0], get[1], get[3]); r.request(3, true, get...) },
			wrote: "RST 1 PROTOCOL_ERROR", streams: "protocol error " + detailMessaging, stats: "rx_messaging_error=1 tx_reset=1"},
		{name: "no authority", send: func(r *raw) { r.request(1, true, get[:3]...) }, err: protocolError, streams: detailMessaging},
		{name: "empty path", send: func(r *raw) { r.request(1, true, get[0], get[1], get[3], ":path: ") }, err: protocolError, streams: detailInvalidField},
		{name: "path twice", send: func(r *raw) { r.request(1, true, with(get, ":path: /b")...) }, err: protocolError, streams: detailInvalidField},
		{name: "path without slash", send: func(r *raw) { r.request(1, true, get[0], get[1], get[3], ":path: foo") }, err: protocolError, streams: detailMessaging},
		{name: "asterisk", send: func(r *raw) { r.request(1, true, get[0], get[1], get[3], ":path: *") }, err: protocolError, streams: detailMessaging},
		{name: "asterisk of OPTIONS", send: func(r *raw) { r.request(1, true, ":method: OPTIONS", get[1], get[3], ":path: *") }},
		{name: "unknown pseudo-header", send: func(r *raw) { r.request(1, true, with(get, ":foo: b")...) }, err: protocolError, streams: detailInvalidField},
		{name: "pseudo-header after others", send: func(r *raw) { r.request(1, true, get[0], get[1], get[2], "x: y", get[3]) }, err: protocolError, streams: detailInvalidField},
		{name: "protocol without CONNECT support", send: func(r *raw) { r.request(1, true, with(get, ":protocol: websocket")...) }, err: protocolError, streams: detailInvalidField},
		{name: "protocol without CONNECT", opt: override, send: func(r *raw) { r.request(1, true, with(get, ":protocol: websocket")...) },
			wrote: "RST 1 PROTOCOL_ERROR", streams: "protocol error " + detailMessaging},
		{name: "CONNECT with path", send: func(r *raw) { r.request(1, false, ":method: CONNECT", get[2], get[3]) }, err: protocolError, streams: detailMessaging},
		{name: "CONNECT", send: func(r *raw) { r.request(1, false, ":method: CONNECT", get[3]) }},
		{name: "connection", send: func(r *raw) { r.request(1, true, with(get, "connection: close")...) }, err: protocolError, streams: detailInvalidField},
		{name: "transfer-encoding", send: func(r *raw) { r.request(1, true, with(get, "transfer-encoding: chunked")...) }, err: protocolError, streams: detailInvalidField},
		{name: "te gzip", send: func(r *raw) { r.request(1, true, with(get, "te: gzip")...) }, err: protocolError, streams: detailInvalidField},
		{name: "te trailers", send: func(r *raw) { r.request(1, true, with(get, "te: trailers")...) }},
		{name: "space in a name", send: func(r *raw) { r.request(1, true, with(get, "x bad: 1")...) }, err: protocolError, streams: detailInvalidField},
		{name: "empty name", send: func(r *raw) { r.request(1, true, with(get, ": 1")...) }, err: protocolError, streams: detailInvalidField},
		{name: "token characters", send: func(r *raw) {
			r.request(1, true, with(get, "x!#$%&'*+-.^`|~_: 1", "x-tab: a\tb", "x-8: caf\xc3\xa9", "x-sp:   a ")...)
		}},
		{name: "newline", send: func(r *raw) { r.request(1, true, with(get, "x: a\r\nb: c")...) }, err: protocolError, streams: detailInvalidField},
		{name: "NUL", send: func(r *raw) { r.request(1, true, with(get, "x: a\x00")...) }, err: protocolError, streams: detailInvalidField},
		{name: "two hosts", send: func(r *raw) { r.request(1, true, with(get, "host: a", "host: b")...) }, err: protocolError, streams: detailInvalidField},
		{name: "content-length twice", send: func(r *raw) { r.request(1, false, with(post, "content-length: 5", "content-length: 5")...) }, err: protocolError, streams: detailInvalidField},
		{name: "content-length is no number", send: func(r *raw) { r.request(1, false, with(post, "content-length: 5x")...) }, err: protocolError, streams: detailInvalidField},
		{name: "body too long", send: func(r *raw) {
			r.request(1, false, with(post, "content-length: 3")...)
			_ = r.WriteData(1, true, []byte("hello"))
		},
			wrote: "RST 1 PROTOCOL_ERROR", streams: "protocol error " + detailRemoteReset},
		{name: "body too short", send: func(r *raw) {
			r.request(1, false, with(post, "content-length: 9")...)
			_ = r.WriteData(1, true, []byte("hello"))
		},
			wrote: "RST 1 PROTOCOL_ERROR", streams: "protocol error " + detailRemoteReset},
		{name: "trailers without end", send: func(r *raw) { r.request(1, false, post...); r.request(1, false, "a: b") }, err: protocolError, streams: detailMessaging},
		{name: "pseudo-header in trailers", send: func(r *raw) { r.request(1, false, post...); r.request(1, true, ":path: /") }, err: protocolError, streams: detailInvalidField},
		{name: "headers too large", opt: config.HTTP2Options{MaxHeadersKiB: 24}, send: func(r *raw) {
			b := r.head(with(get, "x: "+strings.Repeat("b", 30000))...)
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: b[:16000]})
			_ = r.WriteContinuation(1, true, b[16000:])
			r.request(3, true, get...)
		}, wrote: "RST 1 INTERNAL_ERROR", streams: "remote reset " + detailListTooLarge, stats: "header_list_size_too_large=1"},
		{name: "too many headers", opt: config.HTTP2Options{MaxHeaders: 5}, send: func(r *raw) {
			r.request(1, true, with(get, "a: b", "c: d")...)
			r.request(3, true, with(get, "a: b")...)
		},
			wrote: "RST 1 INTERNAL_ERROR", streams: "remote reset " + detailTooManyHeaders, stats: "header_overflow=1"},
		{name: "underscore refused", opt: config.HTTP2Options{Underscores: config.RejectUnderscore}, send: func(r *raw) { r.request(1, true, with(get, "a_b: b")...) },
			wrote: "RST 1 INTERNAL_ERROR", streams: "remote reset " + detailUnderscore, stats: "requests_rejected_with_underscores_in_headers=1"},
		{name: "underscore dropped", opt: config.HTTP2Options{Underscores: config.DropUnderscore}, send: func(r *raw) { r.request(1, true, with(get, "a_b: b")...) },
			stats: "dropped_headers_with_underscores=1"},

		// Too many streams: an error once the peer knows the limit.
		{name: "too many streams", opt: config.HTTP2Options{MaxConcurrentStreams: 1}, send: func(r *raw) { r.request(1, false, post...); r.request(3, true, get...) },
			wrote: "RST 3 REFUSED_STREAM"},
		{name: "too many streams against better knowledge", opt: config.HTTP2Options{MaxConcurrentStreams: 1}, send: func(r *raw) {
			_ = r.WriteSettingsAck()
			r.request(1, false, post...)
			r.request(3, true, get...)
		}, err: protocolError},

		// Floods.
		{name: "8 pings", opt: small, send: func(r *raw) { rep(8, func() { _ = r.WritePing(false, [8]byte([]byte("pingpong"))) }) },
			wrote: strings.TrimSuffix(strings.Repeat("PING true pingpong, ", 8), ", ")},
		{name: "empty DATA frames, few", opt: small, send: func(r *raw) {
			r.request(1, false, post...)
			rep(3, func() { _ = r.WriteData(1, false, nil) })
			_ = r.WriteData(1, true, []byte("x"))
		}},
		{name: "empty DATA frames, many", opt: small, send: func(r *raw) { r.request(1, false, post...); rep(8, func() { _ = r.WriteData(1, false, nil) }) },
			err: textEmptyFlood, kind: fault.KindOverflow, streams: detailEmptyFlood, stats: "inbound_empty_frames_flood=1"},
		{name: "empty CONTINUATION frames", opt: small, send: func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.head(get...)})
			rep(8, func() { _ = r.WriteContinuation(1, false, nil) })
		}, err: textEmptyFlood, kind: fault.KindOverflow, streams: detailEmptyFlood},
		{name: "PRIORITY frames", opt: small, send: func(r *raw) {
			r.request(1, false, post...)
			rep(40, func() { r.frame(framePriority, 0, 1, 0, 0, 0, 0, 1) })
		},
			err: textPriorityFlood, kind: fault.KindOverflow, stats: "inbound_priority_frames_flood=1"},
		{name: "WINDOW_UPDATE frames, few", opt: small, send: func(r *raw) { r.request(1, false, post...); rep(6, func() { _ = r.WriteWindowUpdate(1, 1) }) }},
		{name: "WINDOW_UPDATE frames, many", opt: small, send: func(r *raw) { r.request(1, false, post...); rep(60, func() { _ = r.WriteWindowUpdate(1, 1) }) },
			err: textWindowFlood, kind: fault.KindOverflow, stats: "inbound_window_update_frames_flood=1"},
		{name: "rapid reset", send: func(r *raw) {
			for id := uint32(1); id < 2100; id += 2 {
				r.request(id, true, get...)
				_ = r.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}, err: "Too many RST_STREAM frames", kind: fault.KindOverflow, wrote: "GOAWAY 2001 ENHANCE_YOUR_CALM", streams: "*"},
		{name: "endless header block", send: func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.head(get...)})
			rep(20, func() { _ = r.WriteContinuation(1, false, r.head("x: "+strings.Repeat("{}", 8000))) })
		}, err: protocolError, wrote: "GOAWAY 1 ENHANCE_YOUR_CALM", stats: "header_list_size_too_large=1"},
	} {
		for _, step := range []int{1 << 30, 1, 7} {
			t.Run(fmt.Sprintf("%s by %d", c.name, step), func(t *testing.T) {
				r := newRaw()
				r.WriteString(preface)
				_ = r.WriteSettings()
				c.send(r)
				e := newEnv()
				p := e.newServer(c.opt, 0)
				var err error
				for sent := r.Bytes(); len(sent) > 0 && err == nil; {
					n := min(step, len(sent))
					b := buffer.New(&e.w.Buffers)
					_, _ = b.Write(sent[:n])
					err = p.server.Dispatch(b, false)
					sent = sent[n:]
				}
				e.w.Turn(0)
				checkError(t, err, c.err, c.kind)
				if got := parse(t, p.conn.out.Bytes()); got != c.wrote {
					t.Errorf("wrote %q, want %q", got, c.wrote)
				}
				if got := failures(p); got != c.streams && c.streams != "*" {
					t.Errorf("streams %q, want %q", got, c.streams)
				}
				checkStats(t, e, c.stats)
			})
		}
	}
}

func checkError(t *testing.T, err error, text string, kind fault.Kind) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	if kind == fault.KindInternal {
		kind = fault.KindProtocol
	}
	var fe *fault.Error
	if !errors.As(err, &fe) || fe.Detail != text || fe.Kind != kind {
		t.Fatalf("error %#v, want %q of kind %d", err, text, kind)
	}
}

// failures lists how streams that did not go well ended.
func failures(p *peer) string {
	var out []string
	for _, m := range p.requests {
		switch {
		case m.reset:
			out = append(out, m.reason.String()+" "+m.detail)
		case m.s.Detail() != "":
			out = append(out, m.s.Detail())
		}
	}
	return strings.Join(out, ", ")
}

func checkStats(t *testing.T, e *env, want string) {
	t.Helper()
	for _, w := range strings.Fields(want) {
		name, value, _ := strings.Cut(w, "=")
		for _, s := range e.store.Read() {
			if s.Name == "http2."+name && fmt.Sprint(s.Value) != value {
				t.Errorf("%s is %d, want %s", name, s.Value, value)
			}
		}
	}
}

// TestPingFlood shows that answers which the peer does not read are bounded.
func TestPingFlood(t *testing.T) {
	e := newEnv()
	p := e.newServer(config.HTTP2Options{MaxOutboundControl: 10}, 0)
	r := newRaw()
	r.WriteString(preface)
	_ = r.WriteSettings()
	for range 40 {
		_ = r.WritePing(false, [8]byte{})
	}
	b := new(buffer.Buffer)
	_, _ = b.Write(r.Bytes())
	checkError(t, p.server.Dispatch(b, false), textControlFlood, fault.KindOverflow)
	checkStats(t, e, "outbound_control_flood=1 outbound_flood=0")
	// A peer that reads may go on for ever.
	p = e.newServer(config.HTTP2Options{MaxOutboundControl: 10}, 0)
	for i := range 100 {
		r := newRaw()
		if i == 0 {
			r.WriteString(preface)
			_ = r.WriteSettings()
		}
		_ = r.WritePing(false, [8]byte{})
		_, _ = b.Write(r.Bytes())
		if err := p.server.Dispatch(b, false); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
		p.conn.out.Drain(p.conn.out.Len())
	}
}
