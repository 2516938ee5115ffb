package assemble

import (
	"fmt"
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// RouteHandle is a route configuration by name; it is an hcm.RouteProvider.
// Route may be called by any goroutine, everything else belongs to the loop.
type RouteHandle struct {
	r       *Routes
	key     routeKey
	name    string
	source  *config.Source
	stats   *client.Stats
	reload  stats.Counter
	refs    int
	sub     client.Subscription
	ready   bool // an update has come, or its time is over
	waiting []func()
	value   atomic.Pointer[route.Table]
}

// Route returns the table in force; nil when none has come.
func (h *RouteHandle) Route() *route.Table { return h.value.Load() }

// Name returns the name of the route configuration.
func (h *RouteHandle) Name() string { return h.name }

type routeKey struct{ source, prefix, name string }

// RoutesConfig is what a Routes is made of.
type RoutesConfig struct {
	Sources *Sources
	Store   *stats.Store
	// Decode makes a table of a message; its Hash tells equal content.
	Decode func(a *anypb.Any, version string) (*route.Table, error)
}

// Routes gets route configurations over RDS. Those of one name, source and
// connection manager prefix are one.
type Routes struct {
	cfg    RoutesConfig
	schema *stats.Schema
	have   map[routeKey]*RouteHandle
	taken  *[]*RouteHandle // those that the listener being decoded asks for
}

// NewRoutes returns the registry.
func NewRoutes(c RoutesConfig) *Routes {
	return &Routes{
		cfg: c, have: map[routeKey]*RouteHandle{},
		schema: client.NewSchema(stats.C("config_reload"), stats.G("config_reload_time_ms"), stats.C("update_empty")),
	}
}

// Acquire returns the handle of a route configuration for an HTTP connection
// manager with that statistics prefix ("http.<stat_prefix>."). It is called
// while a listener is decoded; the subscription begins when the listener
// warms and ends with it.
func (r *Routes) Acquire(name string, src *config.Source, prefix string) (*RouteHandle, error) {
	if _, err := r.cfg.Sources.Get(client.Routes, src); err != nil {
		return nil, fmt.Errorf("rds.config_source: %w", err)
	}
	k := routeKey{fmt.Sprintf("%d %s %s %+v", src.Kind, src.Path, src.WatchedDirectory, src.GRPC), prefix, name}
	h := r.have[k]
	if h == nil {
		g := r.cfg.Store.Group(prefix+"rds."+name+".", r.schema)
		h = &RouteHandle{r: r, key: k, name: name, source: src, stats: client.NewStats(r.cfg.Store, g), reload: g.Counter(client.MoreStats)}
		r.have[k] = h
	}
	h.refs++
	if r.taken != nil {
		*r.taken = append(*r.taken, h)
	}
	return h, nil
}

// during runs a decoder and returns the handles that it acquired.
func (r *Routes) during(decode func() error) ([]*RouteHandle, error) {
	var taken []*RouteHandle
	r.taken = &taken
	err := decode()
	r.taken = nil
	if err != nil {
		release(taken)
		return nil, err
	}
	return taken, nil
}

func release(list []*RouteHandle) {
	for _, h := range list {
		h.release()
	}
}

func (h *RouteHandle) release() {
	if h.refs--; h.refs > 0 {
		return
	}
	delete(h.r.have, h.key)
	if h.sub != nil {
		h.sub.Close()
		h.sub = nil
	}
}

// wait starts the subscription and calls f once the handle is ready, at once
// if it is. The result stops that.
func (h *RouteHandle) wait(f func()) (stop func()) {
	if h.sub == nil {
		src, err := h.r.cfg.Sources.Get(client.Routes, h.source)
		if err == nil {
			h.sub, err = src.Subscribe(client.SubscriptionConfig{
				TypeURL: client.Routes, Names: []string{h.name}, Handler: h, Stats: h.stats, FetchTimeout: h.source.FetchTimeout,
			})
		}
		if err != nil { // Acquire has tried the source
			panic(fmt.Sprintf("assemble: routes %q: %v", h.name, err))
		}
	}
	if h.ready {
		f()
		return func() {}
	}
	stopped := false
	h.waiting = append(h.waiting, func() {
		if !stopped {
			f()
		}
	})
	return func() { stopped = true }
}

func (h *RouteHandle) setReady() {
	if h.ready {
		return
	}
	h.ready = true
	waiting := h.waiting
	h.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// OnFetchTimeout implements client.Handler.
func (h *RouteHandle) OnFetchTimeout() { h.setReady() }

// OnUpdate implements client.Handler. A route configuration that is removed
// stays in force, as in Envoy.
func (h *RouteHandle) OnUpdate(u *client.Update) []client.Rejected {
	if len(u.Added) == 0 {
		return nil
	}
	if i := slices.IndexFunc(u.Added, func(r client.Resource) bool { return r.Name != h.name }); i >= 0 {
		return []client.Rejected{{Name: u.Added[i].Name, Err: fmt.Errorf("unexpected RDS configuration (expecting %s)", h.name)}}
	}
	if len(u.Added) > 1 {
		return []client.Rejected{{Name: h.name, Err: fmt.Errorf("unexpected RDS resource length: %d", len(u.Added))}}
	}
	r := &u.Added[0]
	table, err := h.r.cfg.Decode(r.Message, r.Version)
	if err != nil {
		return []client.Rejected{{Name: r.Name, Err: err}}
	}
	if old := h.value.Load(); old == nil || old.Hash != table.Hash {
		h.value.Store(table)
		h.reload.Inc(h.r.cfg.Store.Main())
	}
	h.setReady()
	return nil
}

// Snapshot returns the handles that have a table (/config_dump).
func (r *Routes) Snapshot() []*RouteHandle {
	var out []*RouteHandle
	for _, h := range r.have {
		if h.Route() != nil {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *RouteHandle) int { return cmpKey(a.key, b.key) })
	return out
}
