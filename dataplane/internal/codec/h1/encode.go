package h1

import (
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// headerSpace is how many bytes of a head are reserved at first.
const headerSpace = 1 << 10

// writer writes a head into a buffer without intermediate copies.
type writer struct {
	b    *buffer.Buffer
	free []byte // reserved space
	n    int    // used of it
	sent int
}

func newWriter(b *buffer.Buffer) writer { return writer{b: b, free: b.Reserve(headerSpace)} }

func (w *writer) room(n int) {
	if len(w.free)-w.n >= n {
		return
	}
	w.b.Commit(w.n)
	w.n = 0
	w.free = w.b.Reserve(min(max(n, 1), buffer.BlockSize))
}

func (w *writer) string(s string) {
	w.sent += len(s)
	for len(s) > buffer.BlockSize {
		w.room(buffer.BlockSize)
		w.n += copy(w.free[w.n:], s[:buffer.BlockSize])
		s = s[buffer.BlockSize:]
	}
	w.room(len(s))
	w.n += copy(w.free[w.n:], s)
}

func (w *writer) close() int {
	w.b.Commit(w.n)
	return w.sent
}

// field writes one header line.
func (w *writer) field(name, value string, opts *config.HTTP1Options) {
	if n := len(name) + len(value) + 4; n <= buffer.BlockSize && !opts.ProperCase {
		w.room(n)
		p := w.free[w.n : w.n+n]
		i := copy(p, name)
		p[i], p[i+1] = ':', ' '
		copy(p[i+2:], value)
		p[n-2], p[n-1] = '\r', '\n'
		w.n += n
		w.sent += n
		return
	}
	if opts.ProperCase {
		w.proper(name)
	} else {
		w.string(name)
	}
	w.string(": ")
	w.string(value)
	w.string("\r\n")
}

// proper writes a name with the first letter of each word in upper case
// (header_key_format.proper_case_words).
func (w *writer) proper(name string) {
	w.room(len(name))
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
		w.free[w.n] = c
		w.n++
	}
	w.sent += len(name)
}

// fields writes all lines of a map but pseudo-headers and those that framing
// decides.
func (w *writer) fields(h *header.Map, opts *config.HTTP1Options) {
	for i := range h.Len() {
		e := h.At(i)
		if h.IDAt(i) != header.Other {
			if e.Name[0] == ':' || h.IDAt(i) == header.TransferEncoding {
				continue
			}
		}
		w.field(e.Name, e.Value, opts)
	}
}

// Encode1xx implements stream.ResponseEncoder.
func (s *serverStream) Encode1xx(h *header.Map) {
	if !s.active || s.headersSent {
		return
	}
	w := newWriter(&s.codec.out)
	w.string(s.versionText())
	w.string(statusLine(h.GetID(header.Status)))
	w.fields(h, s.codec.opts)
	w.string("\r\n")
	s.count(w.close(), true)
	s.flush()
}

func (s *serverStream) versionText() string {
	if s.http10 {
		return "HTTP/1.0 "
	}
	return "HTTP/1.1 "
}

// EncodeHeaders implements stream.ResponseEncoder.
func (s *serverStream) EncodeHeaders(h *header.Map, end bool) {
	if !s.active || s.headersSent {
		return
	}
	s.headersSent = true
	status := h.GetID(header.Status)
	bodyless := status == "204" || status == "304" || len(status) == 3 && status[0] == '1'
	w := newWriter(&s.codec.out)
	w.string(s.versionText())
	w.string(statusLine(status))
	if status == "204" || status[0] == '1' {
		h.RemoveID(header.ContentLength)
	}
	w.fields(h, s.codec.opts)
	length := h.HasID(header.ContentLength)
	switch {
	case length, bodyless, s.connect && status[0] == '2':
	case end && !s.head:
		w.field("content-length", "0", s.codec.opts)
	case s.http10:
	default:
		w.field("transfer-encoding", "chunked", s.codec.opts)
		s.chunked = !s.head
	}
	if s.upgrade && status == "101" || s.connect && status[0] == '2' {
		s.tunnel = true
		s.codec.parser.phase = raw
	}
	w.string("\r\n")
	s.count(w.close(), true)
	if end {
		s.complete()
	}
	s.flush()
}

// EncodeData implements stream.Encoder.
func (s *serverStream) EncodeData(b *buffer.Buffer, end bool) {
	if !s.active || !s.headersSent {
		b.Drain(b.Len())
		return
	}
	if s.head {
		b.Drain(b.Len())
	}
	if n := b.Len(); n > 0 {
		s.count(encodeChunk(&s.codec.out, b, s.chunked), false)
	}
	if end {
		if s.chunked {
			s.codec.out.WriteString("0\r\n\r\n")
			s.count(5, false)
		}
		s.complete()
	}
	s.flush()
}

// encodeChunk moves a body's bytes into out, framed as one chunk if chunked,
// and returns how many bytes that made.
func encodeChunk(out, b *buffer.Buffer, chunked bool) int {
	n := b.Len()
	if !chunked {
		b.MoveTo(out, n)
		return n
	}
	var size [20]byte
	head := append(strconv.AppendUint(size[:0], uint64(n), 16), '\r', '\n')
	_, _ = out.Write(head)
	b.MoveTo(out, n)
	out.WriteString("\r\n")
	return len(head) + n + 2
}

// EncodeTrailers implements stream.Encoder.
func (s *serverStream) EncodeTrailers(h *header.Map) {
	if !s.active || !s.headersSent {
		return
	}
	if s.chunked {
		s.count(encodeTrailers(&s.codec.out, h, s.codec.opts), true)
	}
	s.complete()
	s.flush()
}

func encodeTrailers(out *buffer.Buffer, h *header.Map, opts *config.HTTP1Options) int {
	w := newWriter(out)
	w.string("0\r\n")
	if opts.EnableTrailers {
		w.fields(h, opts)
	}
	w.string("\r\n")
	return w.close()
}

// count adds to the stream's meter.
func (s *serverStream) count(n int, head bool) {
	s.codec.sent += uint64(n)
	s.meter.WireBytesSent += uint64(n)
	if head {
		s.meter.HeaderBytesSent += uint64(n)
	}
}

// complete ends the response.
func (s *serverStream) complete() {
	s.responseDone = true
	s.codec.ends[s.codec.served%maxQueued] = s.codec.sent
	s.codec.served++
	s.callbacks = s.callbacks[:0]
	if s.tunnel {
		s.codec.conn.Write(&s.codec.out, false)
		s.end()
		s.codec.conn.Close(network.CloseFlush, "")
		return
	}
	s.codec.finish()
}

// flush hands what was encoded to the connection, which sends it at the end of
// the turn.
func (s *serverStream) flush() {
	if s.codec.out.Len() > 0 {
		s.codec.conn.Write(&s.codec.out, false)
	}
}

// reasons are the status lines' second halves (RFC 9110 section 15, and
// Envoy's for the others that it knows).
var reasons = buildReasons()

func buildReasons() map[string]string {
	texts := map[int]string{
		100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
		200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
		205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
		300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
		305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
		400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
		405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
		409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Payload Too Large",
		414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
		421: "Misdirected Request", 422: "Unprocessable Entity", 423: "Locked", 424: "Failed Dependency",
		425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
		431: "Request Header Fields Too Large",
		500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
		504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
		507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
	}
	out := make(map[string]string, len(texts))
	for code, text := range texts {
		s := strconv.Itoa(code)
		out[s] = s + " " + text + "\r\n"
	}
	return out
}

// statusLine returns a status with its reason and line end.
func statusLine(status string) string {
	switch status {
	case "200":
		return "200 OK\r\n"
	case "404":
		return "404 Not Found\r\n"
	}
	if line, ok := reasons[status]; ok {
		return line
	}
	return status + " Unknown\r\n"
}
