package server

import (
	"fmt"
	"path/filepath"

	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/async"
	"github.com/hawser-mesh/hawser/dataplane/internal/cli"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/assemble"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode/yaml"
)

// buildXDS puts the static configuration into force and prepares the sources
// of the rest.
func (s *Server) buildXDS() error {
	var err error
	if s.watcher, err = client.NewWatcher(); err != nil {
		return err
	}
	xlog := s.loggers.Get("config")
	warn := func(text string) { xlog.Warnf("%s", text) }
	if dir := s.opts.CacheDirectory; dir != "" {
		if s.cache, err = client.NewCache(dir, warn); err != nil {
			return err
		}
	}
	opener := &assemble.Opener{
		Loop: s.loop, Node: client.Node(s.boot.Node, s.version, nil), Cluster: s.clusterTransport, Watcher: s.watcher,
		Parse: yaml.Discovery, Cache: s.cache, Log: warn,
		Stats: client.NewControlPlaneStats(s.store, s.store.Group("control_plane.", client.NewControlPlaneSchema())),
	}
	var ads client.Source
	if s.boot.ADS != nil {
		if s.ads, err = opener.ADS(s.boot.ADS); err != nil {
			return err
		}
		ads = s.ads
	}
	s.sources = assemble.NewSources(ads, opener.Open)
	var cds client.Source
	if s.boot.CDS != nil {
		if cds, err = s.sources.Get(client.Cluster, s.boot.CDS); err != nil {
			return fmt.Errorf("dynamic_resources.cds_config: %w", err)
		}
	}
	more := stats.NewSchema(
		stats.C("update_rejected"), stats.C("init_fetch_timeout"), stats.G("update_time"),
		stats.H("update_duration", stats.UnitMilliseconds),
	)
	s.xClusters = assemble.NewClusters(assemble.ClustersConfig{
		Manager: s.manager, Sources: s.sources, Source: cds,
		DecodeCluster: s.decoder.Cluster, DecodeAssignment: s.decoder.Assignment,
		EDSStats: func(cluster string) *client.Stats {
			return s.edsStats("cluster."+cluster+".", more)
		},
		Initialized: s.subscribeListeners, Log: warn,
	})
	s.routes = assemble.NewRoutes(assemble.RoutesConfig{Sources: s.sources, Store: s.store, Decode: s.decoder.RouteConfig})
	var sink assemble.ListenerManager = s.listeners
	if s.opts.Mode == cli.Validate {
		sink = noListeners{}
	}
	s.xListeners = assemble.NewListeners(assemble.ListenersConfig{
		Manager: sink, Routes: s.routes, Decode: s.decoder.Listener, Initialized: s.serve, Log: warn,
	})
	return s.addStatic()
}

// edsStats are the statistics of a cluster's endpoint subscription, most of
// which are the cluster's own.
func (s *Server) edsStats(prefix string, more *stats.Schema) *client.Stats {
	own, g := s.store.Group(prefix, upstream.ClusterSchema), s.store.Group(prefix, more)
	return &client.Stats{
		Store: s.store, Prefix: prefix,
		Attempt: own.Counter(upstream.UpdateAttempt), Success: own.Counter(upstream.UpdateSuccess),
		Failure: own.Counter(upstream.UpdateFailure), Version: own.Gauge(upstream.Version),
		Rejected: g.Counter(0), FetchTimeout: g.Counter(1), UpdateTime: g.Gauge(2), Duration: g.Histogram(3),
	}
}

// noListeners is for --mode validate: nothing is bound.
type noListeners struct{}

// Update implements assemble.ListenerManager.
func (noListeners) Update(*config.Listener) error { return nil }

// Remove implements assemble.ListenerManager.
func (noListeners) Remove(string) bool { return true }

// addStatic adds what the bootstrap holds.
func (s *Server) addStatic() error {
	clusters, err := s.decoder.StaticClusters(s.boot)
	if err != nil {
		return err
	}
	for _, c := range clusters {
		if err := s.xClusters.AddStatic(c); err != nil {
			return err
		}
	}
	for i, a := range s.boot.Listeners {
		if err := s.xListeners.AddStatic(a); err != nil {
			return decode.Under(s.boot.ListenerPath(i), err)
		}
	}
	for _, root := range s.runtime.DiskRoots() {
		_, err := s.watcher.Watch(filepath.Dir(root), filepath.Base(root), func() { s.threads.control.Post(s.runtime.ReloadDisks) })
		if err != nil {
			s.log.Warnf("runtime directory %s is not watched: %v", root, err)
		}
	}
	return nil
}

// subscribe asks for clusters; listeners follow when they are there.
func (s *Server) subscribe() {
	s.setState(admin.Initializing)
	if s.boot.CDS != nil {
		src, err := s.sources.Get(client.Cluster, s.boot.CDS)
		if err == nil {
			_, err = src.Subscribe(client.SubscriptionConfig{
				TypeURL: client.Cluster, Handler: s.xClusters, FetchTimeout: s.boot.CDS.FetchTimeout,
				Stats: client.NewStats(s.store, s.store.Group("cluster_manager.cds.", client.NewSchema())),
			})
		}
		s.failed("CDS", err)
	}
	if s.ads != nil {
		s.ads.Start()
	}
	s.xClusters.Await(s.boot.CDS != nil)
}

func (s *Server) subscribeListeners() {
	if s.boot.LDS != nil {
		src, err := s.sources.Get(client.Listener, s.boot.LDS)
		if err == nil {
			_, err = src.Subscribe(client.SubscriptionConfig{
				TypeURL: client.Listener, Handler: s.xListeners, FetchTimeout: s.boot.LDS.FetchTimeout,
				Stats: client.NewStats(s.store, s.store.Group("listener_manager.lds.", client.NewSchema())),
			})
		}
		s.failed("LDS", err)
	}
	s.xListeners.Await(s.boot.LDS != nil)
}

// failed ends a process whose sources cannot be opened.
func (s *Server) failed(what string, err error) {
	if err == nil {
		return
	}
	s.log.Criticalf("%s: %v", what, err)
	s.code = 1
	s.Quit()
}

func (s *Server) acquireRoutes(name string, src *config.Source, prefix string) (hcm.RouteProvider, error) {
	h, err := s.routes.Acquire(name, src, prefix)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// clusterTransport makes the transport of envoy_grpc: streams on the control
// loop over the cluster manager.
func (s *Server) clusterTransport(g *config.GRPCService) (client.Transport, error) {
	known := false
	for _, c := range s.boot.Message.GetStaticResources().GetClusters() {
		known = known || c.GetName() == g.EnvoyCluster
	}
	if !known {
		return nil, fmt.Errorf("unknown gRPC cluster '%s': it must be one of static_resources.clusters", g.EnvoyCluster)
	}
	w := s.threads.control
	streams := clusterStreams{&async.GRPC{
		Client: async.New(w, s.manager.On(w.Index())), Cluster: g.EnvoyCluster, Authority: g.Authority, Metadata: g.Metadata,
	}}
	return client.NewClusterTransport(w.Post, streams), nil
}

type clusterStreams struct{ g *async.GRPC }

// StartStream implements client.ClusterStreams.
func (c clusterStreams) StartStream(method string, cb client.ClusterCallbacks) client.ClusterStream {
	if k := c.g.Start(method, cb, 0); k != nil {
		return k
	}
	return nil
}
