package hcm

import (
	"net/netip"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// CodecType is codec_type.
type CodecType uint8

// The codec types.
const (
	CodecAuto CodecType = iota
	CodecHTTP1
	CodecHTTP2
)

// ServerTransform is server_header_transformation.
type ServerTransform uint8

// The transformations.
const (
	ServerOverwrite ServerTransform = iota
	ServerAppendIfAbsent
	ServerPassThrough
)

// EscapedSlashes is path_with_escaped_slashes_action.
type EscapedSlashes uint8

// The actions.
const (
	SlashesKeep EscapedSlashes = iota
	SlashesReject
	SlashesRedirect
	SlashesForward
)

// RouteProvider gives the route table in force; nil while there is none.
type RouteProvider interface {
	Route() *route.Table
}

// FixedRoutes is a table that never changes.
type FixedRoutes struct{ Table *route.Table }

// Route implements RouteProvider.
func (f FixedRoutes) Route() *route.Table { return f.Table }

// NamedFilter is one configured HTTP filter.
type NamedFilter struct {
	Name     string
	Factory  filter.Factory
	Disabled bool // unless a route enables it
}

// Options is HttpConnectionManager, compiled. Durations of 0 are "none".
type Options struct {
	StatPrefix string
	Listener   string // middle of the listener's statistics names
	Codec      CodecType
	Routes     RouteProvider
	Filters    []NamedFilter
	AccessLogs []streaminfo.Logger
	LogStart   bool // flush_access_log_on_new_request
	LogPeriod  time.Duration

	ServerName      string // default "envoy"
	ServerTransform ServerTransform
	Via             string
	HTTP1           config.HTTP1Options
	HTTP2           config.HTTP2Options
	MaxHeadersKiB   uint32

	UseRemoteAddress      bool
	TrustedHops           uint32
	SkipXFFAppend         bool
	RepresentIPv4AsV6     bool
	InternalRanges        []netip.Prefix // nil: RFC 1918 and loopback are not internal unless Default
	DefaultInternal       bool
	GenerateRequestID     bool
	PreserveRequestID     bool
	RequestIDResponse     bool
	AddUserAgent          bool
	NodeID, Cluster       string
	SchemeOverwrite       string
	MatchUpstream         bool
	NormalizePath         bool
	MergeSlashes          bool
	EscapedSlashes        EscapedSlashes
	StripMatchingPort     bool
	StripAnyPort          bool
	StripTrailingDot      bool
	Proxy100              bool // proxy_100_continue
	AppendProtoForPort    bool
	AppendLocalOverloaded bool
	ForwardedPort         bool // append_x_forwarded_port

	IdleTimeout          time.Duration // default 1 h
	StreamIdle           time.Duration // default 5 min
	RequestTimeout       time.Duration
	HeadersTimeout       time.Duration
	MaxDuration          time.Duration // of a connection
	MaxStream            time.Duration
	DrainTimeout         time.Duration // default 5 s
	DelayedClose         time.Duration // default 1 s
	MaxRequests          uint32        // for each connection
	StreamErrorOnInvalid bool

	// LocalReply changes local replies; nil leaves them.
	LocalReply LocalReply
	Runtime    route.Runtime
	// HealthFailed says whether health checks are made to fail, which drains.
	HealthFailed func() bool
	// Upgrades lists the upgrades that are on by default.
	Upgrades map[string]bool
}

// LocalReply is local_reply_config.
type LocalReply interface {
	// Rewrite changes a local reply's headers, the stream's status and the body.
	Rewrite(w *event.Worker, i *streaminfo.Info, h *header.Map, body string) string
}
