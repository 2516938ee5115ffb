package config

import "time"

// SourceKind says where dynamic configuration comes from.
type SourceKind uint8

// The kinds.
const (
	SourceADS SourceKind = iota
	SourcePath
	SourceGRPC
)

// Source is envoy.config.core.v3.ConfigSource.
type Source struct {
	Kind             SourceKind
	Path             string // path_config_source.path
	WatchedDirectory string
	GRPC             *GRPCSource
	FetchTimeout     time.Duration // initial_fetch_timeout, default 15 s; 0: none
}

// GRPCSource is envoy.config.core.v3.ApiConfigSource with a gRPC api_type. The
// bootstrap's ads_config is one too.
type GRPCSource struct {
	Delta           bool
	Service         GRPCService
	NodeOnFirstOnly bool
	RateLimit       bool // rate_limit_settings is given
	RateTokens      uint32
	RatePerSecond   float64
}

// GRPCService is envoy.config.core.v3.GrpcService.
type GRPCService struct {
	EnvoyCluster string // envoy_grpc.cluster_name; "": google_grpc
	Authority    string
	GoogleTarget string // google_grpc.target_uri
	// Credentials is a credentials.TransportCredentials of
	// channel_credentials.ssl_credentials; nil is no encryption.
	Credentials             any
	StatPrefix              string
	Timeout                 time.Duration
	Metadata                []HeaderValue // initial_metadata
	BackOffBase, BackOffMax time.Duration // retry_policy.retry_back_off; 0: the default
	Hash                    uint64        // equal hashes are equal services
}
