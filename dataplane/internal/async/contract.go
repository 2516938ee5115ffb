package async

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// defaultBufferLimit bounds what is kept of a request for its retries, and of
// the response of Send, in bytes.
const defaultBufferLimit = 1 << 20

// Client makes requests on one worker.
type Client struct {
	w        *event.Worker
	clusters upstream.Clusters
}

// New returns the client of a worker over its clusters.
func New(w *event.Worker, clusters upstream.Clusters) *Client {
	return &Client{w: w, clusters: clusters}
}

// Worker is where the client's callbacks come.
func (c *Client) Worker() *event.Worker { return c.w }

// Options of one request. The zero value has no timeout and no retries.
type Options struct {
	// Timeout of the whole, retries included, from the end of the request; 0:
	// none.
	Timeout time.Duration
	Retry   *Retry
	// BufferLimit bounds what is kept, in bytes; 0: 1 MiB.
	BufferLimit uint32
	Priority    config.Priority
	// Hash is for balancers that hash; HasHash says that it is given.
	Hash    uint64
	HasHash bool
	// Metadata is the match for subsets.
	Metadata map[string]any
	// LocalAddress is appended to x-forwarded-for; "": the header is left
	// alone.
	LocalAddress string
	// External leaves x-envoy-internal away.
	External bool
	// Override is the address of the host that is wanted.
	Override       string
	OverrideStrict bool
}

// Retry says when a request is tried again (core.v3.RetryPolicy of the service
// that is called).
type Retry struct {
	Max uint32
	// ConnectFailure, Reset: the connection or stream failed. On5xx,
	// GatewayError (502 to 504) and Statuses: the response has such a status.
	ConnectFailure, Reset, On5xx, GatewayError bool
	Statuses                                   []int
	PerTryTimeout                              time.Duration
	Base                                       time.Duration // of the back-off, default 25 ms
	Limit                                      time.Duration // of the back-off, default 10 × Base
}

// Failure says why there is no (whole) response.
type Failure struct {
	Reason stream.ResetReason
	// Status and Body are what the router would answer for the same failure;
	// 0 when the response had begun.
	Status  int
	Body    string
	Details string
	Flags   fault.Flag
	Timeout bool
}

// StreamCallbacks gets the response of a stream. After a call with end,
// OnTrailers or OnFailure nothing comes any more.
type StreamCallbacks interface {
	// OnHeaders hands over the response's headers; give them back to the
	// worker's pool.
	OnHeaders(h *header.Map, end bool)
	// OnData passes bytes; what is not drained is dropped.
	OnData(b *buffer.Buffer, end bool)
	OnTrailers(h *header.Map)
	// OnFailure may come before the call that caused it returns.
	OnFailure(f *Failure)
}

// Watermarks is implemented by callbacks that send more than a little: they
// stop while the upstream does not take it.
type Watermarks interface {
	OnAboveWriteBufferHighWatermark()
	OnBelowWriteBufferLowWatermark()
}

// Response is a whole response.
type Response struct {
	Status   int
	Headers  *header.Map // give it back to the worker's pool
	Trailers *header.Map // nil: none; likewise
	Body     []byte
	Host     *upstream.Host
}

// Callbacks gets the outcome of Send, perhaps before it returns.
type Callbacks interface {
	OnResponse(r *Response)
	OnFailure(f *Failure)
}
