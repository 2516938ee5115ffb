package config

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Discovery says where the hosts of a cluster come from.
type Discovery uint8

// The discovery types.
const (
	Static Discovery = iota
	StrictDNS
	LogicalDNS
	EDS
	OriginalDst
)

// Policy is a load-balancing policy.
type Policy uint8

// The policies.
const (
	PolicyRoundRobin Policy = iota
	PolicyLeastRequest
	PolicyRandom
	PolicyRingHash
	PolicyMaglev
	PolicyClusterProvided
)

// Cluster is envoy.config.cluster.v3.Cluster with its protocol options.
type Cluster struct {
	Name                 string
	StatName             string // alt_stat_name, or Name
	Discovery            Discovery
	EDSName              string // eds_cluster_config.service_name, or Name
	EDSSource            *Source
	ConnectTimeout       time.Duration
	BufferLimit          uint32
	Assignment           *Assignment // STATIC and DNS
	LB                   LoadBalancer
	DNS                  DNS
	HealthChecks         []HealthCheck
	Breakers             [2]BreakerLimits // by Priority
	Protocol             UpstreamProtocol
	Transport            any // network.TransportFactory; nil is plaintext
	Matches              []TransportMatch
	SourceAddress        address.Address
	KeepAlive            *TCPKeepAlive
	TrackTimeouts        bool // track_cluster_stats.timeout_budgets
	CloseOnHealthFailure bool
	DrainOnRemoval       bool // ignore_health_on_host_removal
	Static               bool
	AddedViaAPI          bool
	Version              string
	Hash                 uint64
	Raw                  []byte
	Metadata             Metadata
	// Max requests for each connection; 0: no limit.
	MaxRequestsPerConnection uint32
	// PerUpstreamPreconnect is preconnect_policy's ratio; 1 is none.
	PerUpstreamPreconnect float64
	WarmingWait           bool // wait_for_warm_on_init, default true
}

// TransportMatch is one of transport_socket_matches.
type TransportMatch struct {
	Name      string
	Match     map[string]any
	Transport any
}

// TCPKeepAlive is upstream_connection_options.tcp_keepalive; 0 leaves the
// kernel's value. Times in seconds.
type TCPKeepAlive struct{ Probes, Time, Interval uint32 }

// LoadBalancer is the policy with its options.
type LoadBalancer struct {
	Policy             Policy
	ChoiceCount        uint32  // least request, default 2
	ActiveRequestBias  float64 // least request, default 1
	SlowStart          *SlowStart
	PanicThreshold     float64 // percent, default 50; 0: never panics
	FailOnPanic        bool
	UpdateMergeWindow  time.Duration // default 1 s
	LocalityWeighted   bool
	ZoneAware          *ZoneAware
	IgnoreNewUntilHC   bool // ignore_new_hosts_until_first_hc
	CloseOnHostChange  bool // close_connections_on_host_set_change
	OverrideHostStatus []Health
	RingHash           RingHash
	MaglevTableSize    uint64
}

// SlowStart is a balancer's slow_start_config.
type SlowStart struct {
	Window           time.Duration
	Aggression       float64
	MinWeightPercent float64
}

// ZoneAware is zone_aware_lb_config.
type ZoneAware struct {
	RoutingEnabled float64
	MinClusterSize uint64
	FailOnPanic    bool
}

// RingHash is ring_hash_lb_config.
type RingHash struct {
	MinSize, MaxSize uint64
	Murmur           bool
}

// DNS is how a DNS cluster resolves.
type DNS struct {
	RefreshRate    time.Duration // default 5 s
	FailureBase    time.Duration // dns_failure_refresh_rate; 0: RefreshRate
	FailureMax     time.Duration
	RespectTTL     bool
	Family         DNSFamily
	Jitter         time.Duration
	Resolvers      []address.Address
	UseTCP         bool
	NoSearchDomain bool
}

// DNSFamily is dns_lookup_family.
type DNSFamily uint8

// The families.
const (
	DNSAuto DNSFamily = iota
	DNSV4Only
	DNSV6Only
	DNSV4Preferred
	DNSAll
)

// BreakerLimits are the thresholds of one priority. Retries may instead be a
// share of the active requests (RetryBudget).
type BreakerLimits struct {
	MaxConnections, MaxPending, MaxRequests, MaxRetries, MaxPools uint32
	RetryBudget                                                   *RetryBudget
	TrackRemaining                                                bool
	MaxConnectionsPerHost                                         uint32 // per_host_thresholds; 0: none
}

// RetryBudget is thresholds.retry_budget.
type RetryBudget struct {
	Percent        float64 // default 20
	MinConcurrency uint32  // default 3
}

// Priority is a route's priority, the index of a cluster's breakers.
type Priority uint8

// The priorities.
const (
	PriorityDefault Priority = iota
	PriorityHigh
)

// UpstreamProtocol is HttpProtocolOptions of a cluster.
type UpstreamProtocol struct {
	Mode              ProtocolMode
	IdleTimeout       time.Duration // default 1 h; 0: none
	MaxDuration       time.Duration // max_connection_duration
	MaxHeaders        uint32        // default 100
	MaxHeadersKiB     uint32        // max_response_headers_kb, default 60
	MaxStreamTime     time.Duration // max_stream_duration
	HTTP1             HTTP1Options
	HTTP2             HTTP2Options
	AutoSNI           bool
	AutoSANVerify     bool
	OverrideSNIHeader string
	UpstreamFilters   []any // filter.Factory
}

// ProtocolMode says which version of HTTP a cluster speaks.
type ProtocolMode uint8

// The modes.
const (
	ExplicitHTTP1 ProtocolMode = iota
	ExplicitHTTP2
	AutoALPN
	UseDownstream
)

// UnderscoreAction is headers_with_underscores_action.
type UnderscoreAction uint8

// The actions.
const (
	AllowUnderscore UnderscoreAction = iota
	RejectUnderscore
	DropUnderscore
)

// HTTP1Options is envoy.config.core.v3.Http1ProtocolOptions with what else the
// HTTP/1 codec needs to know.
type HTTP1Options struct {
	AllowAbsoluteURL    bool // default true
	AcceptHTTP10        bool
	DefaultHost10       string
	EnableTrailers      bool
	AllowChunkedLength  bool
	OverrideStreamError bool
	AllowCustomMethods  bool
	FullyQualifiedURL   bool
	ProperCase          bool // header_key_format.proper_case_words
	PreserveCase        bool // the preserve_case formatter
	MaxHeaders          uint32
	MaxHeadersKiB       uint32
	Underscores         UnderscoreAction
	Strict              bool // our switch: RFC 9112 where Envoy is lenient
}

// HTTP2Options is envoy.config.core.v3.Http2ProtocolOptions.
type HTTP2Options struct {
	HPACKTableSize       uint32 // default 4096
	MaxConcurrentStreams uint32 // default 1024 (Envoy 1.36 and later)
	InitialStreamWindow  uint32 // default 16 MiB
	InitialConnWindow    uint32 // default 24 MiB
	AllowConnect         bool
	AllowMetadata        bool
	MaxOutboundFrames    uint32 // default 10000
	MaxOutboundControl   uint32 // default 1000
	MaxEmptyInbound      uint32 // max_consecutive_inbound_frames_with_empty_payload, default 1
	MaxPriorityPerStream uint32 // default 100
	MaxWindowUpdates     uint32 // max_inbound_window_update_frames_per_data_frame_sent, default 10
	StreamResetBurst     uint64 // default 1000
	StreamResetRate      uint64 // resets a second, default 33
	OverrideStreamError  bool
	PingInterval         time.Duration // connection_keepalive.interval; 0: none
	PingTimeout          time.Duration
	PingJitter           float64 // percent
	PingIdle             time.Duration
	MaxHeaders           uint32
	MaxHeadersKiB        uint32
	MaxMetadataSize      uint64
	Underscores          UnderscoreAction
	CustomSettings       map[uint16]uint32
	Strict               bool // our switch: RFC 9113 where Envoy is lenient, and no close without GOAWAY
}
