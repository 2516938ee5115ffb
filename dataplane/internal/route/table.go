package route

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
)

// Table is envoy.config.route.v3.RouteConfiguration.
type Table struct {
	Name     string
	Version  string
	Hash     uint64
	Raw      []byte // the message, for /config_dump
	Static   bool
	Updated  time.Time
	Hosts    []*VirtualHost
	Mutation Mutation
	// IgnorePort leaves the port out when a virtual host is looked up.
	IgnorePort bool
	// MostSpecificWins evaluates mutations from the table to the route, so that
	// the route's come last.
	MostSpecificWins bool
	InternalOnly     []string
	FilterConfigs    map[string]any
	MaxDirectBody    uint32
	ValidateClusters bool
	IgnorePathParams bool
	// Switches says that some filter is turned off somewhere (FilterDisabled).
	Switches bool

	exact    map[string]*VirtualHost
	suffixes []wildcard // "*.example.com", longest first
	prefixes []wildcard // "www.example.*", longest first
	fallback *VirtualHost
}

type wildcard struct {
	text string
	host *VirtualHost
}

// VirtualHost is envoy.config.route.v3.VirtualHost.
type VirtualHost struct {
	Table           *Table
	Name            string
	Domains         []string
	Routes          []*Route
	RequireTLS      RequireTLS
	Mutation        Mutation
	Retry           *Retry
	VirtualClusters []VirtualCluster
	Metadata        config.Metadata
	FilterConfigs   map[string]any
	// AttemptCount adds x-envoy-attempt-count to requests, AttemptCountInResponse
	// to responses.
	AttemptCount, AttemptCountInResponse bool
	IncludeTimeoutRetry                  bool
	RetryBodyLimit                       *uint32
	Mirrors                              []Mirror
}

// RequireTLS is what a virtual host wants of plaintext requests.
type RequireTLS uint8

// The requirements.
const (
	TLSNone RequireTLS = iota
	TLSExternalOnly
	TLSAll
)

// VirtualCluster counts requests that match.
type VirtualCluster struct {
	Name    string
	Headers []matcher.Header
}

// Route is envoy.config.route.v3.Route.
type Route struct {
	Host           *VirtualHost
	Name           string
	StatPrefix     string
	Path           PathMatch
	Headers        []matcher.Header
	Queries        []matcher.Query
	GRPC           bool
	Fraction       *RuntimeFraction
	TLS            *TLSMatch
	Kind           ActionKind
	Forward        *Forward
	Redirect       *Redirect
	Direct         *Direct
	Mutation       Mutation
	Metadata       config.Metadata
	Decorator      string
	FilterConfigs  map[string]any
	RetryBodyLimit *uint32
}

// ActionKind is what a route does.
type ActionKind uint8

// The kinds.
const (
	ActionForward ActionKind = iota
	ActionRedirect
	ActionDirect
	ActionNonForwarding
)

// PathMatch is the path part of a route's match.
type PathMatch struct {
	Kind       PathKind
	Text       string
	Regex      *regexp.Regexp // whole path without the query
	IgnoreCase bool
}

// PathKind is how a path is matched.
type PathKind uint8

// The kinds.
const (
	PathPrefix PathKind = iota
	PathExact
	PathRegex
	PathSeparatedPrefix
	PathConnect
	PathTemplate
)

// RuntimeFraction is a share that a runtime key may override.
type RuntimeFraction struct {
	Key                    string
	Numerator, Denominator uint32
}

// TLSMatch is match.tls_context.
type TLSMatch struct{ Presented, Validated *bool }

// Runtime answers shares by key; def is used without the key.
type Runtime interface {
	EnabledByKey(key string, numerator, denominator uint32, random uint64) bool
}

// Build prepares the table for look-ups; it is called once.
func (t *Table) Build() {
	t.exact = map[string]*VirtualHost{}
	for _, h := range t.Hosts {
		h.Table = t
		for _, r := range h.Routes {
			r.Host = h
		}
		for _, d := range h.Domains {
			d = strings.ToLower(d)
			switch {
			case d == "*":
				t.fallback = h
			case strings.HasPrefix(d, "*"):
				t.suffixes = append(t.suffixes, wildcard{d[1:], h})
			case strings.HasSuffix(d, "*"):
				t.prefixes = append(t.prefixes, wildcard{d[:len(d)-1], h})
			default:
				t.exact[d] = h
			}
		}
	}
	longest := func(a, b wildcard) int { return len(b.text) - len(a.text) }
	slices.SortStableFunc(t.suffixes, longest)
	slices.SortStableFunc(t.prefixes, longest)
}

// host finds the virtual host of an authority (Envoy: exact, then suffix
// wildcards, then prefix wildcards, longest first, then "*").
func (t *Table) host(authority string) *VirtualHost {
	if len(t.exact) == 0 && len(t.suffixes) == 0 && len(t.prefixes) == 0 {
		return t.fallback
	}
	name := authority
	if t.IgnorePort {
		if i := strings.LastIndexByte(name, ':'); i > 0 && !strings.HasSuffix(name, "]") {
			name = name[:i]
		}
	}
	if h := t.exact[name]; h != nil {
		return h
	}
	if hasUpper(name) {
		name = strings.ToLower(name)
		if h := t.exact[name]; h != nil {
			return h
		}
	}
	for _, w := range t.suffixes {
		if len(name) > len(w.text) && strings.HasSuffix(name, w.text) {
			return w.host
		}
	}
	for _, w := range t.prefixes {
		if len(name) > len(w.text) && strings.HasPrefix(name, w.text) {
			return w.host
		}
	}
	return t.fallback
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// Match is the outcome of a look-up. It belongs to the stream.
type Match struct {
	Table   *Table
	Host    *VirtualHost
	Route   *Route
	Cluster *WeightedCluster // the chosen one of several, or nil
	// ClusterName is where the request goes; "" if none is named.
	ClusterName string
}

// FilterConfig returns the most specific per-route configuration of a filter.
func (m *Match) FilterConfig(name string) any {
	if m.Cluster != nil {
		if c, ok := m.Cluster.FilterConfigs[name]; ok {
			return c
		}
	}
	if m.Route != nil {
		if c, ok := m.Route.FilterConfigs[name]; ok {
			return c
		}
	}
	if m.Host != nil {
		if c, ok := m.Host.FilterConfigs[name]; ok {
			return c
		}
	}
	if m.Table != nil {
		if c, ok := m.Table.FilterConfigs[name]; ok {
			return c
		}
	}
	return nil
}

// Request is what a look-up depends on.
type Request struct {
	Headers *header.Map
	Random  uint64
	Runtime Runtime // nil: shares by their default
	// Peer certificate of the downstream connection.
	Presented, Validated bool
	TLS                  bool
	Internal             bool
}

// Find fills m and says whether a route matches. m.Host is set when only a
// virtual host does.
func (t *Table) Find(m *Match, r *Request) bool {
	*m = Match{Table: t}
	authority := r.Headers.GetID(header.Authority)
	if m.Host = t.host(authority); m.Host == nil {
		return false
	}
	path := r.Headers.GetID(header.Path)
	plain := path
	if i := strings.IndexByte(plain, '?'); i >= 0 {
		plain = plain[:i]
	}
	connect := r.Headers.GetID(header.Method) == "CONNECT"
	for _, x := range m.Host.Routes {
		if !x.matches(r, path, plain, connect) {
			continue
		}
		m.Route = x
		x.pick(m, r)
		return true
	}
	return false
}

func (x *Route) matches(r *Request, path, plain string, connect bool) bool {
	if connect != (x.Path.Kind == PathConnect) && (connect || x.Path.Kind == PathConnect) {
		return false
	}
	if !x.Path.Match(plain) {
		return false
	}
	if len(x.Headers) > 0 && !matcher.Headers(x.Headers, r.Headers) {
		return false
	}
	for i := range x.Queries {
		if !x.Queries[i].Match(path) {
			return false
		}
	}
	if x.GRPC && !strings.HasPrefix(r.Headers.GetID(header.ContentType), "application/grpc") {
		return false
	}
	if t := x.TLS; t != nil {
		if t.Presented != nil && *t.Presented != r.Presented || t.Validated != nil && *t.Validated != r.Validated {
			return false
		}
	}
	if f := x.Fraction; f != nil && !f.hit(r) {
		return false
	}
	return true
}

func (f *RuntimeFraction) hit(r *Request) bool {
	if f.Key != "" && r.Runtime != nil {
		return r.Runtime.EnabledByKey(f.Key, f.Numerator, f.Denominator, r.Random)
	}
	return r.Random%uint64(max(f.Denominator, 1)) < uint64(f.Numerator)
}

// Match says whether a path without its query matches.
func (p *PathMatch) Match(path string) bool {
	switch p.Kind {
	case PathPrefix:
		return len(path) >= len(p.Text) && p.equal(path[:len(p.Text)], p.Text)
	case PathExact:
		return len(path) == len(p.Text) && p.equal(path, p.Text)
	case PathSeparatedPrefix:
		return len(path) >= len(p.Text) && p.equal(path[:len(p.Text)], p.Text) && (len(path) == len(p.Text) || path[len(p.Text)] == '/')
	case PathRegex, PathTemplate:
		return p.Regex.MatchString(path)
	case PathConnect:
		return true
	}
	return false
}

func (p *PathMatch) equal(a, b string) bool {
	if p.IgnoreCase {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// FilterSwitch is a per-route configuration that only turns a filter on or off
// (envoy.config.route.v3.FilterConfig without config).
type FilterSwitch uint8

// The switches.
const (
	FilterEnabled FilterSwitch = iota + 1
	FilterDisabled
)
