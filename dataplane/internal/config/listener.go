package config

import (
	"net/netip"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Listener is envoy.config.listener.v3.Listener.
type Listener struct {
	Name              string
	StatPrefix        string // "" is the address
	Address           address.Address
	MoreAddresses     []address.Address
	ReusePort         bool
	BindToPort        bool
	UseOriginalDst    bool
	Transparent       bool
	FreeBind          bool
	SocketOptions     []SocketOption
	SocketMode        uint32 // of a unix socket
	Backlog           int
	BufferLimit       uint32 // bytes, default 1 MiB
	MaxConnections    uint64 // runtime envoy.resource_limits.listener.<name>.connection_limit; 0: none
	AcceptsPerEvent   int    // max_connections_to_accept_per_socket_event; 0: no limit
	IgnoreGlobal      bool   // ignore_global_conn_limit
	DrainModifyOnly   bool   // drain_type: MODIFY_ONLY
	ExactBalance      bool
	InspectTimeout    time.Duration // listener_filters_timeout, default 15 s; 0: none
	ContinueOnTimeout bool
	ListenerFilters   []ListenerFilter
	FilterChains      []*FilterChain
	DefaultChain      *FilterChain
	AccessLogs        []any  // accesslog.Logger
	Direction         string // traffic_direction: "inbound", "outbound" or ""
	Metadata          Metadata
	Static            bool
	Version           string // of the update that brought it
	Hash              uint64 // of the message; equal hashes are equal listeners
	Raw               []byte // the message as bytes of an Any's value, for /config_dump
	// RouteNames are the RDS route configurations that the listener needs
	// before it is warm.
	RouteNames []string
}

// SocketOption is a raw socket option.
type SocketOption struct {
	Level, Name int
	Value       []byte
	State       SocketState
}

// SocketState is when a socket option is set.
type SocketState uint8

// The states.
const (
	StatePrebind SocketState = iota
	StateBound
	StateListening
)

// ListenerFilter is one configured listener filter.
type ListenerFilter struct {
	Name     string
	Disabled any // a match predicate, or nil
	Factory  any // listener.FilterFactory
}

// FilterChain is envoy.config.listener.v3.FilterChain.
type FilterChain struct {
	Name             string
	Match            FilterChainMatch
	Transport        any           // network.TransportFactory; nil is plaintext
	TransportTimeout time.Duration // transport_socket_connect_timeout; 0: none
	Filters          []NetworkFilter
	Metadata         Metadata
	Hash             uint64
}

// NetworkFilter is one configured network filter.
type NetworkFilter struct {
	Name    string
	Factory any // network.FilterFactory
}

// FilterChainMatch is envoy.config.listener.v3.FilterChainMatch.
type FilterChainMatch struct {
	DestinationPort     uint32 // 0: any
	Destination         []netip.Prefix
	ServerNames         []string // exact or "*.example.com"
	TransportProtocol   string
	ApplicationProtocol []string
	DirectSource        []netip.Prefix
	SourceType          SourceType
	Source              []netip.Prefix
	SourcePorts         []uint32
}

// SourceType limits a chain to local or external clients.
type SourceType uint8

// The source types.
const (
	SourceAny SourceType = iota
	SourceSameIPOrLoopback
	SourceExternal
)

// Metadata is filter_metadata by namespace, as plain values.
type Metadata map[string]map[string]any
