package config

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Health is a host's health as configuration or EDS gives it.
type Health uint8

// The health states of envoy.config.core.v3.HealthStatus.
const (
	HealthUnknown Health = iota // healthy, unless checks say otherwise
	HealthHealthy
	HealthUnhealthy
	HealthDraining
	HealthTimeout
	HealthDegraded
)

// Assignment is envoy.config.endpoint.v3.ClusterLoadAssignment.
type Assignment struct {
	ClusterName string
	Localities  []LocalityEndpoints
	Policy      AssignmentPolicy
	Hash        uint64
	Version     string
	Raw         []byte
}

// AssignmentPolicy is ClusterLoadAssignment.Policy.
type AssignmentPolicy struct {
	Overprovisioning uint32        // percent, default 140
	StaleAfter       time.Duration // endpoint_stale_after; 0: never
	WeightedPriority bool          // weighted_priority_health
	Drops            []Drop
}

// Drop is one drop_overload category; Share is 0 to 1.
type Drop struct {
	Category string
	Share    float64
}

// Locality is envoy.config.core.v3.Locality.
type Locality struct{ Region, Zone, SubZone string }

// LocalityEndpoints are the endpoints of one locality at one priority.
type LocalityEndpoints struct {
	Locality  Locality
	Weight    uint32 // 0: not given
	Priority  uint32
	Endpoints []Endpoint
	Metadata  Metadata
}

// Endpoint is one host. Host and Port are set instead of Address where a name
// is still to be resolved.
type Endpoint struct {
	Address     address.Address
	More        []address.Address // additional_addresses
	Host        string            // DNS name
	Port        uint16
	Hostname    string // for auto_host_rewrite and health checks
	Weight      uint32 // default 1
	Health      Health
	Metadata    Metadata
	HealthCheck EndpointHealthCheck
}

// EndpointHealthCheck is endpoint.health_check_config.
type EndpointHealthCheck struct {
	Port     uint16
	Hostname string
	Address  address.Address
	Disabled bool
}

// HealthCheck is envoy.config.core.v3.HealthCheck.
type HealthCheck struct {
	Timeout, Interval                   time.Duration
	InitialJitter, IntervalJitter       time.Duration
	IntervalJitterPercent               uint32
	UnhealthyThreshold                  uint32
	HealthyThreshold                    uint32
	ReuseConnection                     bool          // default true
	NoTrafficInterval                   time.Duration // default 60 s
	NoTrafficHealthyInterval            time.Duration // 0: NoTrafficInterval
	UnhealthyInterval                   time.Duration // 0: Interval
	UnhealthyEdgeInterval               time.Duration // 0: UnhealthyInterval
	HealthyEdgeInterval                 time.Duration // 0: Interval
	AlwaysLogFailures, AlwaysLogSuccess bool
	EventLogPath                        string
	TLSALPN                             []string
	TransportMatch                      map[string]any
	HTTP                                *HTTPHealthCheck
	TCP                                 *TCPHealthCheck
	GRPC                                *GRPCHealthCheck
}

// HTTPHealthCheck is HealthCheck.HttpHealthCheck. Status ranges are half open.
type HTTPHealthCheck struct {
	Host, Path     string
	Method         string // default GET
	ServiceName    any    // a string matcher, or nil
	Add            []HeaderValue
	Remove         []string
	Expected       []Int64Range
	Retriable      []Int64Range
	HTTP2          bool
	Send           []byte
	Receive        [][]byte
	ResponseBuffer uint64 // default 1024
}

// TCPHealthCheck is HealthCheck.TcpHealthCheck; empty Send only connects.
type TCPHealthCheck struct {
	Send    []byte
	Receive [][]byte
}

// GRPCHealthCheck is HealthCheck.GrpcHealthCheck.
type GRPCHealthCheck struct {
	Service, Authority string
	Metadata           []HeaderValue
}

// HeaderValue is a header with its append action.
type HeaderValue struct {
	Name, Value string
	Action      AppendAction
	KeepEmpty   bool
}

// AppendAction is HeaderValueOption.HeaderAppendAction.
type AppendAction uint8

// The actions.
const (
	AppendIfExistsOrAdd AppendAction = iota
	AddIfAbsent
	OverwriteIfExistsOrAdd
	OverwriteIfExists
)

// Int64Range is [Start, End).
type Int64Range struct{ Start, End int64 }
