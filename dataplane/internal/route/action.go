package route

import (
	"regexp"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
)

// Forward is envoy.config.route.v3.RouteAction.
type Forward struct {
	Cluster             string
	ClusterHeader       string
	Weighted            []*WeightedCluster
	TotalWeight         uint64
	RuntimeKey          string // of weighted clusters: <prefix>.<cluster>
	WeightHeader        string // header_name: its number decides instead of the random one
	NotFoundCode        int    // cluster_not_found_response_code, default 503
	MetadataMatch       map[string]any
	PrefixRewrite       string
	RegexRewrite        *Rewrite
	HostRewrite         string
	AutoHostRewrite     bool
	HostHeader          string
	HostPathRegex       *Rewrite
	AppendForwardedHost bool
	Timeout             time.Duration // default 15 s; 0: none
	IdleTimeout         *time.Duration
	FlushTimeout        *time.Duration
	MaxStream           *MaxStream
	Retry               *Retry
	Priority            config.Priority
	HashPolicies        []HashPolicy
	Mirrors             []Mirror
	InternalRedirect    *InternalRedirect
	MaxGRPCTimeout      *time.Duration
	Upgrades            map[string]bool // upgrade type -> enabled
	ConnectConfig       map[string]bool
}

// MaxStream is max_stream_duration.
type MaxStream struct {
	Duration         *time.Duration
	GRPCHeaderMax    *time.Duration
	GRPCHeaderOffset time.Duration
}

// WeightedCluster is one of weighted_clusters.
type WeightedCluster struct {
	Name          string
	Header        string // cluster_header
	Weight        uint64
	Mutation      Mutation
	MetadataMatch map[string]any
	HostRewrite   string
	FilterConfigs map[string]any
}

// Rewrite is a regex with its substitution (RE2 syntax: \1).
type Rewrite struct {
	Regex        *regexp.Regexp
	Substitution string // in Go's syntax: ${1}
}

// Apply replaces all matches.
func (r *Rewrite) Apply(s string) string { return r.Regex.ReplaceAllString(s, r.Substitution) }

// Retry is envoy.config.route.v3.RetryPolicy.
type Retry struct {
	On              RetryOn
	Max             uint32 // default 1
	PerTryTimeout   time.Duration
	PerTryIdle      time.Duration
	Statuses        []int
	Headers         []matcher.Header // retriable_headers
	RequestHeaders  []matcher.Header // retriable_request_headers
	Base, Limit     time.Duration    // back-off: default 25 ms, 10 times it
	RateLimited     *RateLimitedBackoff
	PreviousHosts   bool // a host predicate refuses hosts tried before
	OmitCanary      bool
	MaxHostAttempts int // default 1
}

// RateLimitedBackoff is rate_limited_retry_back_off.
type RateLimitedBackoff struct {
	Headers []ResetHeader
	Max     time.Duration // default 300 s
}

// ResetHeader is a header that says when to try again.
type ResetHeader struct {
	Name string
	Unix bool // a time, not seconds from now
}

// RetryOn is a set of retry conditions.
type RetryOn uint32

// The conditions of retry_on and x-envoy-retry-on, and of gRPC.
const (
	Retry5xx RetryOn = 1 << iota
	RetryGatewayError
	RetryReset
	RetryResetBeforeRequest
	RetryConnectFailure
	RetryEnvoyRateLimited
	RetryRetriable4xx
	RetryRefusedStream
	RetryRetriableStatusCodes
	RetryRetriableHeaders
	RetryHTTP3ConnectFailure
	RetryGRPCCancelled
	RetryGRPCDeadline
	RetryGRPCInternal
	RetryGRPCResourceExhausted
	RetryGRPCUnavailable
)

var retryNames = map[string]RetryOn{
	"5xx": Retry5xx, "gateway-error": RetryGatewayError, "reset": RetryReset,
	"reset-before-request": RetryResetBeforeRequest, "connect-failure": RetryConnectFailure,
	"envoy-ratelimited": RetryEnvoyRateLimited, "retriable-4xx": RetryRetriable4xx,
	"refused-stream": RetryRefusedStream, "retriable-status-codes": RetryRetriableStatusCodes,
	"retriable-headers": RetryRetriableHeaders, "http3-post-connect-failure": RetryHTTP3ConnectFailure,
	"cancelled": RetryGRPCCancelled, "deadline-exceeded": RetryGRPCDeadline, "internal": RetryGRPCInternal,
	"resource-exhausted": RetryGRPCResourceExhausted, "unavailable": RetryGRPCUnavailable,
}

const grpcConditions = RetryGRPCCancelled | RetryGRPCDeadline | RetryGRPCInternal | RetryGRPCResourceExhausted | RetryGRPCUnavailable

// ParseRetryOn reads a comma-separated list; unknown words are left out, as in
// Envoy. http and grpc say which conditions count.
func ParseRetryOn(list string, http, grpc bool) RetryOn {
	var on RetryOn
	for w := range strings.SplitSeq(list, ",") {
		c := retryNames[strings.TrimSpace(w)]
		if c&grpcConditions != 0 && grpc || c&^grpcConditions != 0 && http {
			on |= c
		}
	}
	return on
}

// HashPolicy is one of hash_policy; one of the sources is set.
type HashPolicy struct {
	Header   string
	Rewrite  *Rewrite
	Cookie   string
	TTL      *time.Duration
	Path     string
	SourceIP bool
	Query    string
	Terminal bool
}

// Mirror is one of request_mirror_policies.
type Mirror struct {
	Cluster, Header string
	Fraction        *RuntimeFraction
	DisableSuffix   bool
}

// InternalRedirect is internal_redirect_policy.
type InternalRedirect struct {
	Max         uint32 // default 1
	Codes       []int  // default 302
	CrossScheme bool
	CopyHeaders []string
}

// Redirect is envoy.config.route.v3.RedirectAction.
type Redirect struct {
	HTTPS         bool
	Scheme        string
	Host          string
	Port          uint32
	Path          string
	PrefixRewrite string
	RegexRewrite  *Rewrite
	Code          int // default 301
	StripQuery    bool
}

// Direct is envoy.config.route.v3.DirectResponseAction.
type Direct struct {
	Status      int
	Body        string
	Format      Value // body_format; nil: Body
	ContentType string
}

// pick chooses the cluster of a matched route.
func (x *Route) pick(m *Match, r *Request) {
	f := x.Forward
	if f == nil {
		return
	}
	switch {
	case f.Cluster != "":
		m.ClusterName = f.Cluster
	case f.ClusterHeader != "":
		m.ClusterName, _ = r.Headers.Get(f.ClusterHeader)
	case len(f.Weighted) > 0:
		m.Cluster = f.choose(r)
		if m.Cluster != nil {
			m.ClusterName = m.Cluster.Name
			if m.Cluster.Header != "" {
				m.ClusterName, _ = r.Headers.Get(m.Cluster.Header)
			}
		}
	}
}

// WeightOf lets a runtime override weights; it may be nil.
type WeightOf interface {
	Weight(key string, def uint64) uint64
}

func (f *Forward) choose(r *Request) *WeightedCluster {
	if f.TotalWeight == 0 {
		return nil
	}
	weight := func(c *WeightedCluster) uint64 { return c.Weight }
	total := f.TotalWeight
	if w, ok := r.Runtime.(WeightOf); ok && f.RuntimeKey != "" {
		weight = func(c *WeightedCluster) uint64 { return w.Weight(f.RuntimeKey+"."+c.Name, c.Weight) }
		total = 0
		for _, c := range f.Weighted {
			total += weight(c)
		}
		if total == 0 {
			return nil
		}
	}
	random := r.Random
	if f.WeightHeader != "" {
		if v, ok := r.Headers.Get(f.WeightHeader); ok {
			n := uint64(0)
			for i := range len(v) {
				if v[i] < '0' || v[i] > '9' {
					return nil
				}
				n = n*10 + uint64(v[i]-'0')
			}
			random = n
		}
	}
	at := random % total
	for _, c := range f.Weighted {
		w := weight(c)
		if at < w {
			return c
		}
		at -= w
	}
	return nil
}

// NewPath returns the path with the prefix, or what else matched, replaced; ok
// is false when the route rewrites nothing. The query is kept.
func (x *Route) NewPath(path, prefixRewrite string, regex *Rewrite) (string, bool) {
	plain, query := path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		plain, query = path[:i], path[i:]
	}
	switch {
	case regex != nil:
		return regex.Apply(plain) + query, true
	case prefixRewrite == "":
		return "", false
	}
	switch x.Path.Kind {
	case PathPrefix, PathExact, PathSeparatedPrefix:
		return prefixRewrite + plain[min(len(x.Path.Text), len(plain)):] + query, true
	default: // a regex matches the whole path
		return prefixRewrite + query, true
	}
}

// NewURL returns where a redirect sends a request to.
func (x *Route) NewURL(h *header.Map, d *Redirect) string {
	scheme := h.GetID(header.Scheme)
	oldScheme := scheme
	switch {
	case d.Scheme != "":
		scheme = d.Scheme
	case d.HTTPS:
		scheme = "https"
	}
	authority := h.GetID(header.Authority)
	host, port := splitPort(authority)
	switch {
	case d.Port > 0:
		port = ":" + utoa(d.Port)
	case scheme != oldScheme && (oldScheme == "http" && port == ":80" || oldScheme == "https" && port == ":443"):
		port = "" // the old scheme's default makes no sense any more
	}
	if d.Host != "" {
		host = d.Host
		if d.Port == 0 {
			port = ""
		}
	}
	path := h.GetID(header.Path)
	if d.StripQuery {
		if i := strings.IndexByte(path, '?'); i >= 0 {
			path = path[:i]
		}
	}
	switch {
	case d.Path != "":
		query := ""
		if i := strings.IndexByte(path, '?'); i >= 0 && !strings.Contains(d.Path, "?") {
			query = path[i:]
		}
		path = d.Path + query
	default:
		if p, ok := x.NewPath(path, d.PrefixRewrite, d.RegexRewrite); ok {
			path = p
		}
	}
	return scheme + "://" + host + port + path
}

func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i:]
}

func utoa(n uint32) string {
	var b [10]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
