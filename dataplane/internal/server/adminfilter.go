package server

import (
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// adminFactory makes the last filter of the admin listener's connection
// manager: it answers instead of a router.
type adminFactory struct {
	handler *admin.Handler
	quit    func(func()) // runs a function when the answer is on its way
}

// AddTo implements filter.Factory.
func (f *adminFactory) AddTo(m *filter.Manager) { m.AddDecoder(&adminFilter{f: f}) }

// maxAdminBody bounds what a request to the admin interface may carry.
const maxAdminBody = 1 << 20

// adminFilter serves one request.
type adminFilter struct {
	f    *adminFactory
	cb   *filter.Callbacks
	h    *header.Map
	body []byte
	done bool
}

// SetDecoderCallbacks implements filter.Decoder.
func (a *adminFilter) SetDecoderCallbacks(cb *filter.Callbacks) { a.cb = cb }

// OnDestroy implements filter.Filter.
func (a *adminFilter) OnDestroy() { a.done = true }

// DecodeHeaders implements filter.Decoder.
func (a *adminFilter) DecodeHeaders(h *header.Map, end bool) filter.HeadersStatus {
	a.h = h
	if end {
		a.answer()
	}
	return filter.StopIteration
}

// DecodeData implements filter.Decoder.
func (a *adminFilter) DecodeData(b *buffer.Buffer, end bool) filter.DataStatus {
	if len(a.body)+b.Len() > maxAdminBody {
		a.cb.SendLocalReply(filter.Reply{Status: 413, Body: "Payload Too Large", Details: "request_payload_too_large"})
		return filter.StopNoBuffer
	}
	a.body = append(a.body, b.Bytes()...)
	if end {
		a.answer()
	}
	return filter.StopNoBuffer
}

// DecodeTrailers implements filter.Decoder.
func (a *adminFilter) DecodeTrailers(*header.Map) filter.TrailersStatus {
	a.answer()
	return filter.TrailersStop
}

// answer runs the handler: admin requests are served on the control loop, one
// at a time.
func (a *adminFilter) answer() {
	if a.done {
		return
	}
	a.done = true
	method := a.h.GetID(header.Method)
	r := a.f.handler.Serve(method, a.h.GetID(header.Path), a.body)
	w := a.cb.Worker()
	h := w.Headers.Get()
	h.AddID(header.Status, strconv.Itoa(r.Status))
	ct := r.ContentType
	if ct == "" {
		ct = admin.TextPlain
	}
	h.AddID(header.ContentType, ct)
	h.Add("cache-control", "no-cache, max-age=0")
	h.Add("x-content-type-options", "nosniff")
	for _, l := range r.Header {
		h.Add(l[0], l[1])
	}
	a.cb.Info().Details = "admin_filter_response"
	if method == "HEAD" {
		a.cb.EncodeHeaders(h, true)
	} else {
		a.cb.EncodeHeaders(h, false)
		b := buffer.New(&w.Buffers)
		_, _ = b.Write(r.Body)
		a.cb.EncodeData(b, true)
	}
	if r.After != nil {
		a.f.quit(r.After)
	}
}
