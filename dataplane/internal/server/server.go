package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog/file"
	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/cli"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/dns"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/listener"
	"github.com/hawser-mesh/hawser/dataplane/internal/logging"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/runtime"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/health"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream/manager"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/assemble"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode/yaml"
)

// Server is the process. Everything but what is marked otherwise belongs to
// the control loop.
type Server struct {
	opts    *cli.Options
	version string
	started time.Time
	loggers *logging.Loggers
	log     *logging.Logger
	store   *stats.Store
	group   *stats.Group
	threads *threads
	boot    *decode.Bootstrap

	runtime *runtime.Loader
	files   *file.Manager
	codecs  hcm.Codecs
	decoder *decode.Decoder
	manager *manager.Manager

	listeners  *listener.Manager
	adminPort  *listener.Manager
	drain      *network.Drain
	loop       *client.Loop
	watcher    *client.Watcher
	cache      *client.Cache
	ads        *client.Mux
	xClusters  *assemble.Clusters
	xListeners *assemble.Listeners
	routes     *assemble.Routes
	sources    *assemble.Sources

	state        atomic.Uint32 // admin.State
	healthFailed atomic.Bool
	running      bool
	code         int
}

// New builds a process from its command line: everything is decoded and bound,
// nothing runs.
func New(o *cli.Options, version string) (*Server, error) {
	s := &Server{opts: o, version: version, started: time.Now(), store: stats.NewStore()}
	s.state.Store(uint32(admin.PreInitializing))
	if err := s.openLog(); err != nil {
		return nil, err
	}
	m, unknown, err := yaml.Bootstrap(o.ConfigPath, o.ConfigYAML, yaml.Options{AllowUnknown: o.AllowUnknownStatic})
	if err != nil {
		return nil, err
	}
	s.boot, err = decode.ReadBootstrap(m, decode.Overrides{
		ServiceNode: o.ServiceNode, ServiceCluster: o.ServiceCluster, ServiceZone: o.ServiceZone,
	})
	if err != nil {
		return nil, err
	}
	for _, t := range o.StatsTags {
		s.boot.Stats.Tagger.Fixed = append(s.boot.Stats.Tagger.Fixed, stats.Tag{Name: t.Name, Value: t.Value})
	}
	s.group = s.store.Group("server.", serverSchema)
	s.group.Counter(statStaticUnknown).Add(s.store.Main(), uint64(unknown.Unknown))
	if s.runtime, err = runtime.New(s.boot.Runtime, s.store); err != nil {
		return nil, err
	}
	if s.threads, err = newThreads(o.Concurrency, s.store, s.log); err != nil {
		return nil, err
	}
	return s, s.build()
}

func (s *Server) openLog() error {
	level, ok := logging.ParseLevel(s.opts.LogLevel)
	if !ok {
		return fmt.Errorf("error: invalid log level specified '%s'", s.opts.LogLevel)
	}
	s.loggers = logging.New(os.Stderr, level)
	if s.opts.LogFormat != "" {
		s.loggers.SetFormat(s.opts.LogFormat)
	}
	for _, c := range s.opts.ComponentLevels {
		if !s.loggers.SetLevel(c.Component, c.Level) {
			return fmt.Errorf("error: invalid component '%s' or level '%s' in --component-log-level", c.Component, c.Level)
		}
	}
	if s.opts.LogPath != "" {
		if err := s.loggers.OpenFile(s.opts.LogPath); err != nil {
			return fmt.Errorf("Failed to open log-file '%s': %w", s.opts.LogPath, err) //nolint:staticcheck // Envoy's text
		}
	}
	s.log = s.loggers.Get("main")
	return nil
}

// build makes the parts in the order of the package comment.
func (s *Server) build() error {
	n := len(s.threads.workers)
	s.files = file.NewManager(s.opts.FileFlush, n, s.store)
	s.codecs = hcm.Codecs{H1: h1.NewStats(s.store), H2: h2.NewStats(s.store)}
	s.drain = network.NewDrain(nil, s.opts.DrainTime, !s.opts.DrainImmediate)
	s.loop = client.NewLoopOn(func(f func()) { s.threads.control.Post(f) })
	upstreamLog := s.loggers.Get("upstream")
	s.manager = manager.New(manager.Config{
		Workers: s.threads.workers, Control: s.threads.control, Stats: s.store,
		Resolve: dns.New(dns.Options{Post: func(f func()) { s.threads.control.Post(f) }, UseTCP: s.boot.UseTCPForDNS}),
		After:   s.threads.after, Random: rand.Uint64, Log: upstreamLog.Warnf,
		HealthFactory: func(c *config.Cluster, info *upstream.Info) manager.HealthChecker {
			return health.New(s.threads.control, c, info, s.store)
		},
	})
	s.listeners = listener.NewManager(s.listenerConfig(s.threads.workers, s.store))
	formats := formatter.Options{Hostname: hostname()}
	logs := accesslog.Files{Manager: s.files, Workers: n + 1, Options: formats}
	s.decoder = decode.New(decode.Deps{
		Registry: s.registry(logs), Formats: formats, Runtime: runtimeView{s.runtime}, Acquire: s.acquireRoutes,
		HasCluster: s.manager.Has, HealthFailed: s.healthFailed.Load, AdminLog: func(path string) (streaminfo.Logger, error) {
			format, err := formatter.CompileText(accesslog.DefaultFormat, formats)
			if err != nil {
				return nil, err
			}
			f, err := s.files.Open(path)
			return accesslog.NewFile(f, format, nil, n+1), err
		}, SourceAddress: s.boot.SourceAddress,
		ServiceNode: s.boot.Node.GetId(), ServiceCluster: s.boot.Node.GetCluster(), Terminal: terminal,
		Strict: s.opts.Strict, RejectUnknown: s.opts.RejectUnknownDynamic,
	})
	if s.opts.Mode == cli.Serve {
		if err := s.startAdmin(); err != nil {
			return err
		}
	} else if _, err := s.decoder.AdminLogs(s.boot); err != nil {
		return err
	}
	return s.buildXDS()
}

func (s *Server) listenerConfig(workers []*event.Worker, store *stats.Store) listener.Config {
	return listener.Config{
		Workers: workers, System: event.Sockets{}, Stats: store, Now: time.Now,
		After: func(d time.Duration, f func()) { s.threads.after(d, f) },
		Drain: s.drain, DrainTime: s.opts.DrainTime, DrainGradual: !s.opts.DrainImmediate,
		ConnectionLimit: func(l string) uint64 {
			return s.runtime.Current().Uint("envoy.resource_limits.listener."+l+".connection_limit", 0)
		},
		OnNoChain: func(w *event.Worker, l *config.Listener, info *network.Info) { logConnection(w, l, info, nil) },
		OnConnectionEnd: func(w *event.Worker, l *config.Listener, c *network.Conn) {
			logConnection(w, l, c.Info(), c)
		},
	}
}

// Run serves until the process is told to end and returns its exit code.
func (s *Server) Run() int {
	goruntime.LockOSThread()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	go func() {
		for sig := range signals {
			s.threads.control.Post(func() { s.onSignal(sig) })
		}
	}()
	s.threads.control.Post(s.subscribe)
	s.tick()
	s.threads.control.Run()
	signal.Stop(signals)
	s.threads.stop(s.running)
	s.files.Close()
	if s.cache != nil {
		s.cache.Flush()
	}
	s.log.Infof("exiting")
	return s.code
}

// onSignal: SIGTERM and SIGINT end at once, as Envoy does; who wants to drain
// first calls /drain_listeners?graceful or /healthcheck/fail.
func (s *Server) onSignal(sig os.Signal) {
	switch sig {
	case syscall.SIGUSR1:
		s.ReopenLogs()
	case syscall.SIGHUP:
		s.log.Warnf("caught and eating SIGHUP")
	default:
		s.log.Warnf("caught %s", strings.ToUpper(sig.String()))
		s.Quit()
	}
}

// tick brings gauges up to date now and then.
func (s *Server) tick() {
	if s.boot.Stats.FlushOnAdmin {
		return
	}
	every := s.boot.Stats.FlushInterval
	if every <= 0 {
		every = 5 * time.Second
	}
	s.refresh()
	s.threads.after(every, s.tick)
}

// serve is the end of initialization: listeners accept.
func (s *Server) serve() {
	if s.running {
		return
	}
	s.running = true
	s.listeners.Start()
	s.threads.start()
	s.setState(admin.Live)
	s.group.Histogram(statInitTime).Record(s.store.Main(), uint64(time.Since(s.started).Milliseconds()))
	s.log.Infof("all dependencies initialized. starting workers")
	if s.opts.Mode == cli.InitOnly {
		s.Quit()
	}
}

func (s *Server) setState(x admin.State) { s.state.Store(uint32(x)) }

// State implements admin.Server.
func (s *Server) State() admin.State {
	x := admin.State(s.state.Load())
	if x == admin.Live && s.healthFailed.Load() {
		return admin.Draining
	}
	return x
}

// runtimeView answers what compiled configuration asks of the runtime.
type runtimeView struct{ l *runtime.Loader }

// EnabledByKey decides by a key and a random number.
func (r runtimeView) EnabledByKey(key string, numerator, denominator uint32, random uint64) bool {
	return r.l.Current().Enabled(key, runtime.Fraction{Numerator: numerator, Denominator: denominator}, random)
}

// Weight returns a key's whole number.
func (r runtimeView) Weight(key string, def uint64) uint64 { return r.l.Current().Uint(key, def) }
