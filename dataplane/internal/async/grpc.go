package async

import (
	"encoding/binary"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// The gRPC statuses that the client itself gives.
const (
	GRPCOK                = 0
	GRPCUnknown           = 2
	GRPCPermissionDenied  = 7
	GRPCResourceExhausted = 8
	GRPCUnimplemented     = 12
	GRPCInternal          = 13
	GRPCUnavailable       = 14
	GRPCUnauthenticated   = 16
)

// GRPC calls the methods of one gRPC service (core.v3.GrpcService with
// envoy_grpc) on one worker.
type GRPC struct {
	Client    *Client
	Cluster   string
	Authority string // default: the cluster's name
	Metadata  []config.HeaderValue
	Retry     *Retry
	// LocalAddress: see Options.
	LocalAddress string
	// MaxMessage bounds a message that is received, in bytes; 0: 256 MiB.
	MaxMessage uint32
}

// GRPCCallbacks gets what happens to a stream of messages.
type GRPCCallbacks interface {
	// OnMessage hands over one message, which is the callee's.
	OnMessage(message []byte)
	// OnClose is the last call; status is the gRPC status.
	OnClose(status int, message string)
}

// GRPCStream is one stream of messages. It is StreamCallbacks.
type GRPCStream struct {
	s     *Stream
	cb    GRPCCallbacks
	in    buffer.Buffer
	limit uint32
	done  bool
}

// Start starts a stream of a method ("/package.Service/Method"); timeout 0 is
// none. It returns nil, and calls nothing, when there is no such cluster. A
// stream that fails at once is closed before Start returns.
func (g *GRPC) Start(method string, cb GRPCCallbacks, timeout time.Duration) *GRPCStream {
	k := &GRPCStream{cb: cb, limit: g.MaxMessage}
	if k.limit == 0 {
		k.limit = 256 << 20
	}
	k.s = g.Client.Start(g.Cluster, k, Options{Timeout: timeout, Retry: g.Retry, LocalAddress: g.LocalAddress})
	if k.s == nil {
		return nil
	}
	w := g.Client.w
	k.in.SetPool(&w.Buffers)
	h := w.Headers.Get()
	h.AddIDRef(header.Method, "POST")
	h.AddIDRef(header.Scheme, "http")
	h.AddID(header.Path, method)
	authority := g.Authority
	if authority == "" {
		authority = g.Cluster
	}
	h.AddID(header.Authority, authority)
	h.AddIDRef(header.TE, "trailers")
	if timeout > 0 {
		h.AddID(header.GrpcTimeout, grpcTimeout(timeout))
	}
	h.AddIDRef(header.ContentType, "application/grpc")
	for _, m := range g.Metadata {
		h.Add(m.Name, m.Value)
	}
	k.s.SendHeaders(h, false)
	return k
}

// grpcTimeout is a timeout as grpc-timeout gives it: at most eight digits.
func grpcTimeout(d time.Duration) string {
	const most = 99_999_999
	if ms := d.Milliseconds(); ms <= most {
		return strconv.FormatInt(ms, 10) + "m"
	}
	if s := int64(d / time.Second); s <= most {
		return strconv.FormatInt(s, 10) + "S"
	}
	return strconv.FormatInt(min(int64(d/time.Hour), most), 10) + "H"
}

// Send sends one message.
func (k *GRPCStream) Send(message []byte) { k.send(message, false) }

// SendLast sends one message and ends the sending half.
func (k *GRPCStream) SendLast(message []byte) { k.send(message, true) }

func (k *GRPCStream) send(message []byte, end bool) {
	if k.done {
		return
	}
	var prefix [5]byte
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(message)))
	b := buffer.New(&k.s.w.Buffers)
	_, _ = b.Write(prefix[:])
	_, _ = b.Write(message)
	k.s.SendData(b, end)
}

// CloseSend ends the sending half.
func (k *GRPCStream) CloseSend() {
	if !k.done {
		k.s.SendData(buffer.New(&k.s.w.Buffers), true)
	}
}

// Reset ends the stream; its callbacks are not called afterwards.
func (k *GRPCStream) Reset() {
	k.done = true
	k.in.Drain(k.in.Len())
	k.s.Reset()
}

// close ends the stream with a status.
func (k *GRPCStream) close(status int, message string) {
	if k.done {
		return
	}
	k.Reset()
	k.cb.OnClose(status, message)
}

// OnHeaders implements StreamCallbacks.
func (k *GRPCStream) OnHeaders(h *header.Map, end bool) {
	defer k.s.w.Headers.Put(h)
	if status := h.GetID(header.Status); status != "200" && !(end && h.HasID(header.GrpcStatus)) {
		n, _ := strconv.Atoi(status)
		k.close(fromHTTP(n), "HTTP status "+status)
		return
	}
	if end {
		k.trailers(h)
	}
}

// OnData implements StreamCallbacks.
func (k *GRPCStream) OnData(b *buffer.Buffer, end bool) {
	b.MoveTo(&k.in, b.Len())
	for !k.done && k.in.Len() >= 5 {
		p := k.in.Linearize(5)
		flags, n := p[0], binary.BigEndian.Uint32(p[1:5])
		if flags != 0 { // no compression was offered
			k.close(GRPCInternal, "compressed message")
			return
		}
		if n > k.limit {
			k.close(GRPCResourceExhausted, "message is larger than "+strconv.FormatUint(uint64(k.limit), 10)+" bytes")
			return
		}
		if k.in.Len() < 5+int(n) {
			break
		}
		message := make([]byte, n)
		k.in.CopyTo(message, 5)
		k.in.Drain(5 + int(n))
		k.cb.OnMessage(message)
	}
	if end {
		k.close(GRPCUnknown, "stream ended without a status")
	}
}

// OnTrailers implements StreamCallbacks.
func (k *GRPCStream) OnTrailers(h *header.Map) {
	k.trailers(h)
	k.s.w.Headers.Put(h)
}

func (k *GRPCStream) trailers(h *header.Map) {
	text := h.GetID(header.GrpcStatus)
	status, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		k.close(GRPCUnknown, "missing or invalid grpc-status")
		return
	}
	message := strings.Clone(h.GetID(header.GrpcMessage)) // the map is used again
	if m, err := url.PathUnescape(message); err == nil {
		message = m
	}
	k.close(int(status), message)
}

// OnFailure implements StreamCallbacks.
func (k *GRPCStream) OnFailure(f *Failure) {
	message := f.Body
	if message == "" {
		message = f.Details
	}
	k.close(GRPCUnavailable, message)
}

// fromHTTP is the gRPC status of an HTTP status.
// Source: grpc/doc/http-grpc-status-mapping.md.
func fromHTTP(status int) int {
	switch status {
	case 400:
		return GRPCInternal
	case 401:
		return GRPCUnauthenticated
	case 403:
		return GRPCPermissionDenied
	case 404:
		return GRPCUnimplemented
	case 429, 502, 503, 504:
		return GRPCUnavailable
	}
	return GRPCUnknown
}

// unary collects the one message of a call.
type unary struct {
	message []byte
	got     bool
	done    func(message []byte, status int, text string)
}

// Call makes a unary call; done is told the outcome once, perhaps before Call
// returns. It returns nil when there is no such cluster.
func (g *GRPC) Call(method string, message []byte, timeout time.Duration, done func(message []byte, status int, text string)) *GRPCStream {
	u := &unary{done: done}
	k := g.Start(method, u, timeout)
	if k != nil {
		k.SendLast(message)
	}
	return k
}

// OnMessage implements GRPCCallbacks.
func (u *unary) OnMessage(message []byte) { u.message, u.got = message, true }

// OnClose implements GRPCCallbacks.
func (u *unary) OnClose(status int, text string) {
	if status == GRPCOK && !u.got {
		status, text = GRPCInternal, "response has no message"
	}
	u.done(u.message, status, text)
}
