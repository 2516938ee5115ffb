package async

import (
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// Call is a request under way.
type Call struct {
	s     *Stream
	cb    Callbacks
	r     Response
	limit int
}

// Send makes a request with a whole body (nil: none) and collects the response,
// whose body must not exceed Options.BufferLimit. It returns nil when there is
// no such cluster; then h stays the caller's and cb is not called.
func (c *Client) Send(cluster string, h *header.Map, body []byte, cb Callbacks, o Options) *Call {
	k := &Call{cb: cb}
	k.s = c.Start(cluster, k, o)
	if k.s == nil {
		return nil
	}
	k.limit = int(k.s.opts.BufferLimit)
	if len(body) == 0 {
		k.s.SendHeaders(h, true)
		return k
	}
	if !h.HasID(header.ContentLength) {
		h.SetID(header.ContentLength, strconv.Itoa(len(body)))
	}
	k.s.SendHeaders(h, false)
	b := buffer.New(&c.w.Buffers)
	_, _ = b.Write(body)
	k.s.SendData(b, true)
	return k
}

// Cancel ends the call without a callback.
func (k *Call) Cancel() {
	k.s.Reset()
	k.drop()
}

func (k *Call) drop() {
	k.s.w.Headers.Put(k.r.Headers)
	k.s.w.Headers.Put(k.r.Trailers)
	k.r.Headers, k.r.Trailers = nil, nil
}

// OnHeaders implements StreamCallbacks.
func (k *Call) OnHeaders(h *header.Map, end bool) {
	k.r.Headers, k.r.Host = h, k.s.host
	k.r.Status, _ = strconv.Atoi(h.GetID(header.Status))
	if end {
		k.finish()
	}
}

// OnData implements StreamCallbacks.
func (k *Call) OnData(b *buffer.Buffer, end bool) {
	if len(k.r.Body)+b.Len() > k.limit {
		k.s.Reset()
		k.OnFailure(&Failure{Reason: stream.Overflow, Details: "response_payload_too_large", Flags: fault.UpstreamOverflow})
		return
	}
	k.r.Body = append(k.r.Body, b.Bytes()...)
	b.Drain(b.Len())
	if end {
		k.finish()
	}
}

// OnTrailers implements StreamCallbacks.
func (k *Call) OnTrailers(h *header.Map) {
	k.r.Trailers = h
	k.finish()
}

func (k *Call) finish() {
	r := k.r
	k.r = Response{}
	k.cb.OnResponse(&r)
}

// OnFailure implements StreamCallbacks.
func (k *Call) OnFailure(f *Failure) {
	k.drop()
	k.cb.OnFailure(f)
}
