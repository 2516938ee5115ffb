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

// HeadersStatus is what a filter returns for headers.
type HeadersStatus uint8

// The statuses of headers.
const (
	// Continue passes the headers to the next filter.
	Continue HeadersStatus = iota
	// StopIteration holds the headers back. This filter still gets the data
	// and trailers; returning Continue for one of them, or calling Continue,
	// lets everything go on.
	StopIteration
	// ContinueAndDontEndStream passes headers that ended the message on as if
	// a body followed: the filter will add one, or end the message later with
	// AddTrailers or an empty InjectData.
	ContinueAndDontEndStream
	// StopAllAndBuffer holds everything back, from this filter too; data is
	// buffered, and over the buffer limit the message fails (413 or 500).
	StopAllAndBuffer
	// StopAllAndWatermark is StopAllAndBuffer, but over the limit the sender is
	// asked to stop.
	StopAllAndWatermark
)

// DataStatus is what a filter returns for data.
type DataStatus uint8

// The statuses of data.
const (
	// DataContinue passes the data on, after headers that were held back.
	DataContinue DataStatus = iota
	// StopAndBuffer keeps the data in the stream's buffer; over the limit the
	// message fails (413 or 500).
	StopAndBuffer
	// StopAndWatermark keeps the data; over the limit the sender is asked to
	// stop.
	StopAndWatermark
	// StopNoBuffer drops what the filter left of the data: it has taken what it
	// needs.
	StopNoBuffer
)

// TrailersStatus is what a filter returns for trailers.
type TrailersStatus uint8

// The statuses of trailers.
const (
	TrailersContinue TrailersStatus = iota
	TrailersStop
)

// Filter is what every HTTP filter has. One instance serves one stream.
type Filter interface {
	// OnDestroy is the last call: timers stop and callouts are cancelled here.
	OnDestroy()
}

// Decoder sees requests.
type Decoder interface {
	Filter
	SetDecoderCallbacks(cb *Callbacks)
	DecodeHeaders(h *header.Map, end bool) HeadersStatus
	DecodeData(b *buffer.Buffer, end bool) DataStatus
	DecodeTrailers(h *header.Map) TrailersStatus
}

// Encoder sees responses.
type Encoder interface {
	Filter
	SetEncoderCallbacks(cb *Callbacks)
	Encode1xx(h *header.Map)
	EncodeHeaders(h *header.Map, end bool) HeadersStatus
	EncodeData(b *buffer.Buffer, end bool) DataStatus
	EncodeTrailers(h *header.Map) TrailersStatus
}

// Completer is implemented by filters that want to hear when the stream is
// over, before access logs are written.
type Completer interface {
	OnStreamComplete()
}

// Watermarks is implemented by filters (the router) that produce response data
// and must hear when the client does not take it.
type Watermarks interface {
	OnAboveWriteBufferHighWatermark()
	OnBelowWriteBufferLowWatermark()
}

// Factory makes a configured filter for each stream; it is built once, is
// immutable, and is called on any worker.
type Factory interface {
	AddTo(m *Manager)
}

// Host is the connection manager's side of a stream.
type Host interface {
	Worker() *event.Worker
	Connection() network.Connection
	Info() *streaminfo.Info
	// Route is the route that the request's headers match, or nil; it is looked
	// up once, and again after ClearRoute.
	Route() *route.Match
	ClearRoute()
	// EncodeToCodec and its siblings send what has passed all encoder filters.
	Encode1xxToCodec(h *header.Map)
	EncodeHeadersToCodec(h *header.Map, end bool)
	EncodeDataToCodec(b *buffer.Buffer, end bool)
	EncodeTrailersToCodec(h *header.Map)
	// ResetStream ends the stream without, or in the middle of, a response.
	ResetStream(reason stream.ResetReason)
	// ReadDisable stops the downstream's data.
	ReadDisable(disable bool)
	// PrepareLocalReply may change a local reply (mappers, formats); body is
	// returned as it is to be sent.
	PrepareLocalReply(h *header.Map, body string) string
	// BufferLimit is how many bytes a filter may hold back; 0: no limit.
	BufferLimit() uint32
	// OnBufferOverflow counts a message that failed by its size.
	OnBufferOverflow(request bool)
}
