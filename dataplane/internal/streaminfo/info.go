// Package streaminfo is what is known of one request, or of one TCP connection
// as a whole: what access logs, formatters and filters read. It belongs to the
// stream's worker and is used again by the next stream.
package streaminfo

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// Info describes one stream. Zero times have not come.
type Info struct {
	Conn         *network.Info // the downstream connection; nil for callouts
	ConnectionID uint64
	StreamID     uint64 // unique on its worker; with the worker's number in the process

	Protocol    stream.Protocol
	HasProtocol bool
	Code        int // of the response; 0: none
	Details     string
	Flags       fault.Flag
	// Termination overrides the connection's termination details.
	Termination string

	// Downstream: first and last byte of the request, of the response.
	Start, RequestEnd          time.Time
	ResponseStart, ResponseEnd time.Time
	End                        time.Time

	BytesReceived, BytesSent uint64 // of bodies
	Downstream               stream.Meter
	UpstreamMeter            stream.Meter

	RouteName, VirtualHost, VirtualCluster string
	Cluster                                string // observability name
	ClusterName                            string
	RouteMetadata, VirtualHostMetadata     config.Metadata
	ClusterMetadata                        config.Metadata
	Attempts                               uint32

	Upstream Upstream

	// Request, Response and Trailers are nil until they come. After the stream
	// they are nil again.
	Request, RequestTrailers, Response, Trailers *header.Map
	// Metadata is dynamic metadata by namespace; FilterState is what filters
	// leave for each other. Both are nil until used.
	Metadata    map[string]map[string]any
	FilterState map[string]any
	// LocalReplyBody is the body of a local reply.
	LocalReplyBody string
	// LogType is %ACCESS_LOG_TYPE%.
	LogType string
	// Random decides for the whole stream where nothing better is there.
	Random uint64
}

// Upstream describes the try that gave the response, or the last one.
type Upstream struct {
	Host             *upstream.Host
	Conn             *network.Info
	ConnectionID     uint64
	Protocol         stream.Protocol
	HasProtocol      bool
	TransportFailure string
	// Times of the last try.
	ConnectStart, ConnectEnd, HandshakeEnd        time.Time
	RequestStart, RequestEnd                      time.Time
	ResponseStart, ResponseBodyStart, ResponseEnd time.Time
	PoolReady                                     time.Duration
	Attempted                                     []*upstream.Host
	AttemptedIDs                                  []uint64
}

// Reset makes the info that of a new stream.
func (i *Info) Reset() {
	hosts, ids := i.Upstream.Attempted[:0], i.Upstream.AttemptedIDs[:0]
	clear(i.Upstream.Attempted)
	*i = Info{}
	i.Upstream.Attempted, i.Upstream.AttemptedIDs = hosts, ids
}

// SetMetadata merges values into a namespace of the dynamic metadata.
func (i *Info) SetMetadata(namespace string, values map[string]any) {
	if i.Metadata == nil {
		i.Metadata = map[string]map[string]any{}
	}
	m := i.Metadata[namespace]
	if m == nil {
		m = map[string]any{}
		i.Metadata[namespace] = m
	}
	for k, v := range values {
		m[k] = v
	}
}

// Logger writes access-log entries. It is called on workers and must not keep
// the info or what it points to.
type Logger interface {
	Log(w *event.Worker, i *Info)
}

// The values of LogType.
const (
	NotSet             = "NotSet"
	DownstreamStart    = "DownstreamStart"
	DownstreamPeriodic = "DownstreamPeriodic"
	DownstreamEnd      = "DownstreamEnd"
	UpstreamPoolReady  = "UpstreamPoolReady"
	UpstreamEnd        = "UpstreamEnd"
	TCPConnectionEnd   = "TcpConnectionEnd"
	TCPConnectionStart = "TcpUpstreamConnected"
	TCPPeriodic        = "TcpPeriodic"
)

// RequestEndOrStart is when the request was complete, or began while it is not.
func (i *Info) RequestEndOrStart() time.Time {
	if !i.RequestEnd.IsZero() {
		return i.RequestEnd
	}
	return i.Start
}
