package stream

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// Protocol is a version of HTTP.
type Protocol uint8

// The versions.
const (
	HTTP10 Protocol = iota
	HTTP11
	HTTP2
	HTTP3
)

// String returns the version as %PROTOCOL% shows it.
func (p Protocol) String() string {
	return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"}[p]
}

// ResetReason says why a stream ended early. The texts of String are those of
// Envoy's response code details.
type ResetReason uint8

// The reasons.
const (
	LocalReset ResetReason = iota
	LocalRefused
	RemoteReset
	RemoteRefused // REFUSED_STREAM: the peer did nothing with the request
	LocalConnectionFailure
	RemoteConnectionFailure
	ConnectionTimeout
	ConnectionTermination
	Overflow
	ConnectError
	ProtocolError
	OverloadManager
	HTTP1PrematureResponse
)

func (r ResetReason) String() string {
	return [...]string{
		"local reset", "local refused stream reset", "remote reset", "remote refused stream reset",
		"local connection failure", "remote connection failure", "connection timeout",
		"connection termination", "overflow", "remote error with CONNECT request",
		"protocol error", "overload manager reset", "http1 upstream premature response",
	}[r]
}

// Callbacks gets what happens to a stream as a whole.
type Callbacks interface {
	// OnReset: the stream is over; nothing else is called for it afterwards.
	OnReset(reason ResetReason, detail string)
	// OnAboveWriteBufferHighWatermark: what was encoded waits; stop producing.
	// It may be called several times (stream and connection); each has its
	// OnBelowWriteBufferLowWatermark.
	OnAboveWriteBufferHighWatermark()
	OnBelowWriteBufferLowWatermark()
}

// Stream is one request and its response on a connection.
type Stream interface {
	AddCallbacks(cb Callbacks)
	RemoveCallbacks(cb Callbacks)
	// Reset ends the stream at once; the callbacks hear of it.
	Reset(reason ResetReason)
	// ReadDisable stops (true) or resumes the flow of data from the peer;
	// it counts.
	ReadDisable(disable bool)
	// BufferLimit is how many bytes may wait for this stream; 0 is no limit.
	BufferLimit() uint32
	// SetFlushTimeout limits how long an ended stream waits for its peer to
	// take the rest (HTTP/2, 3).
	SetFlushTimeout(d time.Duration)
	// Meter counts the stream's bytes on the wire.
	Meter() *Meter
	// ID is the codec's number of the stream; 0 in HTTP/1.
	ID() uint32
	// Detail is the codec's word on why the stream failed, such as
	// "http1.codec_error"; "" when it did not.
	Detail() string
}

// Releaser is implemented by streams whose memory is used again. Release says
// that the caller and everything above it has no reference to the stream or
// its encoder any more; it is called at most once, when the stream is over.
// Not calling it is correct, and costs an allocation.
type Releaser interface {
	Release()
}

// Meter counts bytes of one stream.
type Meter struct {
	HeaderBytesSent, HeaderBytesReceived uint64
	WireBytesSent, WireBytesReceived     uint64
}

// Encoder is what sending a message has in common.
type Encoder interface {
	EncodeData(b *buffer.Buffer, end bool)
	// EncodeTrailers ends the message.
	EncodeTrailers(h *header.Map)
	Stream() Stream
}

// RequestEncoder sends a request to an upstream.
type RequestEncoder interface {
	Encoder
	// EncodeHeaders begins the request. An error means that the headers cannot
	// be sent in this protocol; nothing was sent.
	EncodeHeaders(h *header.Map, end bool) error
}

// ResponseEncoder sends a response to a downstream.
type ResponseEncoder interface {
	Encoder
	// Encode1xx sends an interim response (100 to 199 but 101).
	Encode1xx(h *header.Map)
	EncodeHeaders(h *header.Map, end bool)
}

// RequestDecoder gets a request from a server codec.
type RequestDecoder interface {
	DecodeHeaders(h *header.Map, end bool)
	DecodeData(b *buffer.Buffer, end bool)
	DecodeTrailers(h *header.Map)
	// LocalReply answers a request that the codec refuses: status, body text
	// and response code details. The codec closes or resets afterwards.
	LocalReply(status int, body, detail string)
}

// ResponseDecoder gets a response from a client codec.
type ResponseDecoder interface {
	Decode1xx(h *header.Map)
	DecodeHeaders(h *header.Map, end bool)
	DecodeData(b *buffer.Buffer, end bool)
	DecodeTrailers(h *header.Map)
}

// Codec is one connection's HTTP state machine.
type Codec interface {
	// Dispatch consumes bytes from the peer. An error is a violation of the
	// protocol (or Err values below); the caller closes the connection after
	// flushing what the codec wrote.
	Dispatch(b *buffer.Buffer, end bool) error
	Protocol() Protocol
	// GoAway tells the peer that no new streams are taken (HTTP/2, 3), or
	// makes the next response carry "connection: close" (HTTP/1).
	GoAway()
	// ShutdownNotice announces a GoAway soon (HTTP/2, 3).
	ShutdownNotice()
	// WantsToWrite says whether encoded bytes wait inside of the codec.
	WantsToWrite() bool
	// OnAboveWriteBufferHighWatermark and OnBelowWriteBufferLowWatermark pass
	// on what the connection says.
	OnAboveWriteBufferHighWatermark()
	OnBelowWriteBufferLowWatermark()
	// OnConnectionClosed: the connection is gone; streams that are open are
	// reset. pool or manager calls it before it lets the codec go.
	OnConnectionClosed(reason ResetReason, detail string)
}

// ServerCallbacks is what a server codec calls.
type ServerCallbacks interface {
	// NewStream is called when a request begins; the encoder answers it.
	NewStream(e ResponseEncoder) RequestDecoder
	// OnGoAway: the peer will open no more streams.
	OnGoAway(graceful bool)
}

// ServerCodec serves requests.
type ServerCodec interface {
	Codec
}

// ClientCallbacks is what a client codec calls.
type ClientCallbacks interface {
	OnGoAway(graceful bool)
	// OnMaxConcurrentStreams: the peer's limit of streams changed.
	OnMaxConcurrentStreams(n uint32)
}

// ClientCodec sends requests.
type ClientCodec interface {
	Codec
	// NewStream begins a request whose response goes to d.
	NewStream(d ResponseDecoder) RequestEncoder
}
