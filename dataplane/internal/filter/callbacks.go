package filter

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Callbacks is what a filter may do, from a call that it gets or later on the
// same worker, until OnDestroy.
type Callbacks struct {
	m     *Manager
	node  *node
	index int
}

// Worker returns the stream's worker.
func (c *Callbacks) Worker() *event.Worker { return c.m.host.Worker() }

// Connection returns the downstream connection; nil for callouts.
func (c *Callbacks) Connection() network.Connection { return c.m.host.Connection() }

// Info returns the stream's description.
func (c *Callbacks) Info() *streaminfo.Info { return c.m.host.Info() }

// Route returns the matched route, or nil.
func (c *Callbacks) Route() *route.Match { return c.m.host.Route() }

// ClearRoute makes the route be looked up again, after headers were changed.
func (c *Callbacks) ClearRoute() { c.m.host.ClearRoute() }

// ContinueDecoding goes on with the filters after this one.
func (c *Callbacks) ContinueDecoding() { c.m.continueDecoding(c.node) }

// ContinueEncoding goes on with the filters before this one.
func (c *Callbacks) ContinueEncoding() { c.m.continueEncoding(c.node) }

// RequestHeaders returns the request's headers.
func (c *Callbacks) RequestHeaders() *header.Map { return c.m.req.h }

// ResponseHeaders returns the response's headers, or nil.
func (c *Callbacks) ResponseHeaders() *header.Map { return c.m.resp.h }

// DecodingBuffer returns the request data that is held back; a filter may
// change it.
func (c *Callbacks) DecodingBuffer() *buffer.Buffer { return &c.m.req.data }

// EncodingBuffer returns the response data that is held back.
func (c *Callbacks) EncodingBuffer() *buffer.Buffer { return &c.m.resp.data }

// AddDecodedData adds request data at this filter: held back while this filter
// is stopped, else passed to the filters after it.
func (c *Callbacks) AddDecodedData(b *buffer.Buffer) {
	if c.node.decode.pause != going || !c.node.decode.headers {
		b.MoveTo(&c.m.req.data, b.Len())
		return
	}
	c.m.decodeData(c.index+1, b, false)
	b.Drain(b.Len())
}

// AddEncodedData is AddDecodedData for the response.
func (c *Callbacks) AddEncodedData(b *buffer.Buffer) {
	if c.node.encode.pause != going || !c.node.encode.headers {
		b.MoveTo(&c.m.resp.data, b.Len())
		return
	}
	c.m.encodeData(c.index-1, b, false)
	b.Drain(b.Len())
}

// InjectDecodedData passes data to the filters after this one, whatever it
// returned.
func (c *Callbacks) InjectDecodedData(b *buffer.Buffer, end bool) {
	c.m.decodeData(c.index+1, b, end)
	b.Drain(b.Len())
}

// InjectEncodedData passes data to the filters before this one.
func (c *Callbacks) InjectEncodedData(b *buffer.Buffer, end bool) {
	c.m.encodeData(c.index-1, b, end)
	b.Drain(b.Len())
}

// AddDecodedTrailers adds trailers to a request that had none; the map is the
// worker's.
func (c *Callbacks) AddDecodedTrailers() *header.Map {
	if c.m.req.trailers == nil {
		c.m.req.trailers = c.Worker().Headers.Get()
	}
	return c.m.req.trailers
}

// AddEncodedTrailers adds trailers to a response that had none.
func (c *Callbacks) AddEncodedTrailers() *header.Map {
	if c.m.resp.trailers == nil {
		c.m.resp.trailers = c.Worker().Headers.Get()
	}
	return c.m.resp.trailers
}

// SendLocalReply answers the request; no later decoder filter is called.
func (c *Callbacks) SendLocalReply(r Reply) { c.m.SendLocalReply(r) }

// ResetStream ends the stream.
func (c *Callbacks) ResetStream(reason stream.ResetReason) { c.m.host.ResetStream(reason) }

// ReadDisable stops (true) or resumes the request's data; it counts.
func (c *Callbacks) ReadDisable(disable bool) { c.m.host.ReadDisable(disable) }

// DownstreamAbove says whether the client's side is above its watermark.
func (c *Callbacks) DownstreamAbove() bool { return c.m.above > 0 }

// BufferLimit is how many bytes may be held back; 0: no limit.
func (c *Callbacks) BufferLimit() uint32 { return c.m.host.BufferLimit() }

// Encode1xx, EncodeHeaders, EncodeData and EncodeTrailers send the response:
// for the last filter, the router.
func (c *Callbacks) Encode1xx(h *header.Map) { c.m.Encode1xx(h) }

// EncodeHeaders begins the response.
func (c *Callbacks) EncodeHeaders(h *header.Map, end bool) { c.m.EncodeHeaders(h, end) }

// EncodeData sends response data.
func (c *Callbacks) EncodeData(b *buffer.Buffer, end bool) { c.m.EncodeData(b, end) }

// EncodeTrailers ends the response.
func (c *Callbacks) EncodeTrailers(h *header.Map) { c.m.EncodeTrailers(h) }

// PerRoute returns the most specific configuration of this filter for the
// matched route: weighted cluster, route, virtual host, route configuration;
// nil when there is none.
func (c *Callbacks) PerRoute() any {
	if r := c.Route(); r != nil {
		return switchless(r.FilterConfig(c.node.name))
	}
	return nil
}

// switchless leaves out what only turns a filter on or off.
func switchless(v any) any {
	if _, is := v.(route.FilterSwitch); is {
		return nil
	}
	return v
}
