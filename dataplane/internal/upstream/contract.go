package upstream

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// Manager hands each worker its view of the clusters.
type Manager interface {
	// On returns the clusters of a worker; the result is used there only.
	On(worker int) Clusters
}

// Clusters are all clusters as one worker sees them.
type Clusters interface {
	// Get returns the cluster of that name, or nil. It costs one look-up; what
	// it returns stays valid until the end of the worker's turn.
	Get(name string) Cluster
}

// Cluster is one cluster on one worker.
type Cluster interface {
	Info() *Info
	// ChooseHost picks a host for one request or connection. It returns nil
	// when there is none to choose.
	ChooseHost(ctx Context) *Host
	// HTTPPool returns the pool for a host and the protocol that the request
	// came with (for UseDownstream). It returns nil when max_connection_pools
	// is reached.
	HTTPPool(h *Host, p config.Priority, downstream stream.Protocol, o *network.TransportOptions) HTTPPool
	// TCPPool returns the pool of TCP connections for a host.
	TCPPool(h *Host, p config.Priority, o *network.TransportOptions) TCPPool
	// Breakers returns the limits of a priority.
	Breakers(p config.Priority) Breakers
	// Drops says whether drop_overload drops this request, and the category.
	Drops() (category string, dropped bool)
}

// Info is what does not change on a cluster; shared by all workers.
type Info struct {
	Config *config.Cluster
	Stats  *stats.Group // "cluster.<name>." with ClusterSchema
	// Codes counts responses: upstream_rq_<code>, upstream_rq_<class>xx and
	// upstream_rq_completed, and the same under "internal." or "external.".
	Codes CodeStats
	// Observability is the name that statistics and logs show.
	Observability string
	// Store is where code statistics of other prefixes are made.
	Store *stats.Store
}

// CodeStats counts response codes under one prefix.
type CodeStats interface {
	// Charge counts one response of a status; it allocates only when the status
	// is seen for the first time.
	Charge(l *stats.Local, status int, internal, canary bool)
	// ChargeRetry counts a response that is tried again, under "retry.".
	ChargeRetry(l *stats.Local, status int)
}

// Context is what a balancer may look at and whom it may ask. A nil method
// result means "not given".
type Context interface {
	// Hash is the request's hash of the route's hash policies.
	Hash() (uint64, bool)
	// MetadataMatch is the route's metadata_match for subsets.
	MetadataMatch() map[string]any
	// Headers are the request's headers; nil for TCP.
	Headers() *header.Map
	// Downstream is the downstream connection; nil for callouts.
	Downstream() network.Connection
	// Reject says whether a chosen host is not wanted (a retry's host
	// predicate); the balancer tries again MaxAttempts times.
	Reject(h *Host) bool
	MaxAttempts() int
	// OverrideHost is an address that is wanted before all others, or "".
	OverrideHost() (addr string, strict bool)
}

// PoolFailure says why a pool has no stream for a request.
type PoolFailure uint8

// The failures.
const (
	PoolOverflow PoolFailure = iota
	LocalConnectFailure
	RemoteConnectFailure
	ConnectTimeout
)

// UpstreamInfo describes the connection that a request was given.
type UpstreamInfo struct {
	Connection   *network.Info
	ConnectionID uint64
	Protocol     stream.Protocol
	Host         *Host
	// Requests already sent on the connection, this one included.
	Requests uint64
	// ConnectTime is how long the connection took, 0 when it was there.
	ConnectTime time.Duration
}

// HTTPCallbacks gets the outcome of HTTPPool.NewStream, perhaps before it
// returns.
type HTTPCallbacks interface {
	OnPoolReady(e stream.RequestEncoder, u *UpstreamInfo)
	OnPoolFailure(f PoolFailure, detail string, h *Host)
}

// HTTPPool is the connections of one worker to one host for one priority,
// protocol and set of transport options.
type HTTPPool interface {
	// NewStream asks for a stream whose response goes to d. It returns nil when
	// the outcome has been told already, else what cancels the request.
	NewStream(d stream.ResponseDecoder, cb HTTPCallbacks) Cancellable
	Host() *Host
	Protocol() stream.Protocol
}

// TCPCallbacks gets the outcome of TCPPool.NewConnection.
type TCPCallbacks interface {
	// OnPoolReady hands a connection over; its owner closes it. The events and
	// read filter are set by the caller.
	OnPoolReady(c TCPConnection)
	OnPoolFailure(f PoolFailure, detail string, h *Host)
}

// TCPConnection is an upstream connection in raw bytes.
type TCPConnection interface {
	network.FilterManager
	Host() *Host
}

// TCPPool makes TCP connections to one host.
type TCPPool interface {
	NewConnection(cb TCPCallbacks) Cancellable
	Host() *Host
}

// Cancellable is a request that waits for a connection.
type Cancellable interface {
	// Cancel forgets the request: no callback comes afterwards.
	Cancel()
}

// Breakers are the circuit breakers of one cluster and priority, shared by all
// workers.
type Breakers interface {
	// Requests, Pending, Connections, Retries: TryAcquire counts one more and
	// says whether the limit allows it; Release gives it back.
	Requests() Resource
	Pending() Resource
	Connections() Resource
	Retries() Resource
	Pools() Resource
}

// Resource is one counted limit.
type Resource interface {
	TryAcquire() bool
	Release()
	Count() uint32
	Max() uint32
}

// FailureFlag is the response flag of a pool failure.
func (f PoolFailure) FailureFlag() fault.Flag {
	if f == PoolOverflow {
		return fault.UpstreamOverflow
	}
	return fault.UpstreamConnectionFailure
}
