package xdsserver

import (
	"time"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Type URLs of the resources that the order of updates is defined for.
const (
	TypeCluster  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeEndpoint = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeListener = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeRoute    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	TypeSecret   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Bounds of a stream.
const (
	maxInFlight = 8
	maxTypes    = 32
	maxNames    = 100_000
	// maxResponse is where a delta response is cut. Clients refuse messages
	// of more than 4 MiB by default (gRPC).
	maxResponse = 2 << 20
)

// GateTimeout is how long updates wait for the answer to what they depend on.
const GateTimeout = 5 * time.Second

// awaitTimeout is how long a client counts as not settled because it has not
// asked for what a resource that it got refers to.
const awaitTimeout = 10 * time.Second

// rank is the place of a type in the order of updates. Those of a rank below
// firstGated go at once; later ones wait for the answers to them.
func rank(typeURL string) int {
	switch typeURL {
	case TypeCluster:
		return 0
	case TypeEndpoint:
		return 1
	case TypeListener:
		return firstGated
	case TypeRoute:
		return firstGated + 1
	}
	return 1
}

const firstGated = 2

// wholeState: of these types a state-of-the-world response holds everything,
// and what it lacks is gone. Of others it holds what the server likes to say.
func wholeState(typeURL string) bool { return typeURL == TypeCluster || typeURL == TypeListener }

// Mode is the variant of the protocol.
type Mode int

// The variants.
const (
	Delta Mode = iota
	StateOfTheWorld
)

// Request is what a client says, in either variant.
type Request struct {
	TypeURL string
	// Nonce of the response that is answered; empty: none is.
	Nonce string
	// Rejected says that the response was refused, with these words.
	Rejected bool
	Message  string

	// Delta.
	Subscribe, Unsubscribe []string
	Initial                map[string]string // name to version

	// State of the world: all that is wanted, and the version that the
	// client has.
	Names   []string
	Version string
}

// Response is what is to be sent.
type Response struct {
	TypeURL, Nonce string
	// Version of all that the client has afterwards of this type.
	Version   string
	Revision  int64
	Resources []*Resource
	Removed   []string // delta only
}

// Rejection stands from a refusal until the resource is accepted, replaced or
// gone.
type Rejection struct {
	TypeURL string
	// Resource is empty if the client named none.
	Resource string
	Message  string
	Revision int64
	Sources  []*configv1.ResourceRef
	Time     time.Time
}

// Status is what is known of a client.
type Status struct {
	// Settled: all up to this revision was accepted or refused.
	Settled    int64
	Rejections []Rejection
}
