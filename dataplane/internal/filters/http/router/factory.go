package router

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// Config is envoy.extensions.filters.http.router.v3.Router, compiled.
type Config struct {
	StatPrefix             string // of the connection manager
	SuppressEnvoyHeaders   bool
	StartChildSpan         bool
	RespectExpectedTimeout bool
	UpstreamLogs           []streaminfo.Logger
	StrictHeaders          []string // strict_check_headers
	// Runtime answers upstream.maintenance_mode.<cluster> and the retry keys;
	// nil: none is set.
	Runtime Runtime
}

// Runtime is what the router reads of the layered runtime.
type Runtime interface {
	EnabledByKey(key string, numerator, denominator uint32, random uint64) bool
	Weight(key string, def uint64) uint64
}

// Factory makes a router for each stream.
type Factory struct {
	cfg     Config
	group   *stats.Group
	manager upstream.Manager
	workers []freeList
}

type freeList struct {
	head *Router
	n    int
}

const maxFree = 1024

// NewFactory returns the filter of a configuration for so many workers.
func NewFactory(cfg Config, store *stats.Store, m upstream.Manager, workers int) *Factory {
	return &Factory{cfg: cfg, group: store.Group("http."+cfg.StatPrefix+".", schema), manager: m, workers: make([]freeList, workers)}
}

// AddTo implements filter.Factory.
func (f *Factory) AddTo(m *filter.Manager) {
	l := &f.workers[m.Host().Worker().Index()]
	r := l.head
	if r == nil {
		r = &Router{f: f, list: l}
	} else {
		l.head = r.next
		l.n--
	}
	r.init(m.Host().Worker())
	m.AddDecoder(r)
}
