package distributor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/compile"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// Server is the distributor. New, then Run once.
type Server struct {
	// Set at construction.
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	grpc     *grpc.Server
	health   *health.Server
	xdsLn    net.Listener
	httpLn   net.Listener
	api      *grpc.ClientConn
	xds      *xdsserver.Server
	reporter *reporter
	consumer *consumer

	// Shared by goroutines.
	draining atomic.Bool
}

// New checks the configuration and opens the listeners; it talks to neither
// the config API nor the bus.
func New(cfg Config) (*Server, error) {
	options, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	own, err := serverTLS(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Log, metrics: newMetrics(), health: health.NewServer()}
	if s.api, err = cfg.dial(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	pub := compile.NewPublisher(options, func(err error) {
		s.metrics.failures.WithLabelValues("compile").Inc()
		s.log.Error("cannot compile", "error", err)
	})
	s.reporter = newReporter(cfg.ID, rolloutv1.NewRolloutServiceClient(s.api), s.log, s.metrics)
	s.consumer = &consumer{mesh: cfg.Mesh, api: configv1.NewConfigServiceClient(s.api), pub: pub, log: s.log, m: s.metrics, stands: make(chan struct{}, 1)}
	s.xds = xdsserver.New(xdsserver.Config{Source: pub, Observer: s.reporter, Identifier: "hawser-distributor " + cfg.ID, Now: cfg.Now})
	s.metrics.serving(s.xds.Stats(), s.reporter.count)
	grpcOptions := append(xdsserver.ServerOptions(),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}))
	if own != nil {
		grpcOptions = append(grpcOptions, grpc.Creds(credentials.NewTLS(withHTTP2(own))))
	}
	s.grpc = grpc.NewServer(grpcOptions...)
	s.xds.Register(s.grpc)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	if s.xdsLn, err = net.Listen("tcp", cfg.XDSAddress); err != nil {
		return nil, errors.Join(fmt.Errorf("xdsAddress: %w", err), s.api.Close())
	}
	if s.httpLn, err = net.Listen("tcp", cfg.HTTPAddress); err != nil {
		return nil, errors.Join(fmt.Errorf("httpAddress: %w", err), s.xdsLn.Close(), s.api.Close())
	}
	return s, nil
}

func withHTTP2(c *tls.Config) *tls.Config {
	c.NextProtos = []string{"h2"}
	return c
}

// XDSAddr is where proxies connect, with the real port.
func (s *Server) XDSAddr() string { return s.xdsLn.Addr().String() }

// HTTPAddr serves health and metrics.
func (s *Server) HTTPAddr() string { return s.httpLn.Addr().String() }

// Revision is the mesh's revision that is served; zero before there is one.
func (s *Server) Revision() int64 { return s.consumer.have.Load() }

// notReady says why the server should get no clients; empty if it should.
func (s *Server) notReady() string {
	switch {
	case s.draining.Load():
		return "shutting down"
	case !s.consumer.loaded.Load():
		return "the mesh has not been read yet"
	}
	return ""
}

// Run serves until ctx ends, then shuts down in order: not ready, wait
// DrainDelay, end streams, tell the config API the last of it, close. It
// returns nil after a shutdown that ctx asked for.
func (s *Server) Run(ctx context.Context) error {
	defer s.api.Close()
	n := s.cfg.NATS
	if s.cfg.Bus != nil || n.URL != "" {
		conn, err := bus.Connect(bus.Config{Embedded: s.cfg.Bus, URL: n.URL, Name: "hawser-distributor " + s.cfg.ID, Token: n.Token,
			CredentialsFile: n.CredentialsFile, CAFile: n.CAFile, CertFile: n.CertFile, KeyFile: n.KeyFile, Log: s.log})
		if err != nil {
			return errors.Join(err, s.xdsLn.Close(), s.httpLn.Close())
		}
		defer conn.Close()
		s.consumer.bus = conn
	}
	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 2)
	go func() {
		if err := s.grpc.Serve(s.xdsLn); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			failed <- fmt.Errorf("xds: %w", err)
		}
	}()
	go func() {
		if err := web.Serve(s.httpLn); err != nil && !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("http: %w", err)
		}
	}()
	loops, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { s.consumer.run(loops) })
	running.Go(func() { s.reporter.run(loops) })
	running.Go(func() { s.healthLoop(loops) })
	s.log.Info("serving", "xds", s.XDSAddr(), "http", s.HTTPAddr(), "mesh", s.cfg.Mesh, "id", s.cfg.ID)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.shutdown(web)
	stop()
	running.Wait()
	return err
}

// reconnectSpacing is how far apart streams end at a shutdown, on average: a
// replica takes over a thousand clients in two seconds, not all at once.
const reconnectSpacing = 2 * time.Millisecond

func (s *Server) shutdown(web *http.Server) {
	s.draining.Store(true)
	s.health.Shutdown()
	time.Sleep(time.Duration(s.cfg.DrainDelay))
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.cfg.ShutdownTimeout))
	defer cancel()
	// The timeout is for the last of them too.
	s.xds.StopWithin(min(time.Duration(s.xds.Stats().Streams.Load())*reconnectSpacing, time.Duration(s.cfg.ShutdownTimeout)/2))
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
	if err := web.Shutdown(ctx); err != nil {
		_ = web.Close() // the time is over
	}
}

// healthLoop keeps the gRPC health status.
func (s *Server) healthLoop(ctx context.Context) {
	for {
		serving := healthv1.HealthCheckResponse_SERVING
		if s.notReady() != "" {
			serving = healthv1.HealthCheckResponse_NOT_SERVING
		}
		s.health.SetServingStatus("", serving)
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := s.notReady(); reason != "" {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// Probe asks the server that runs with a configuration whether it is ready.
func Probe(cfg Config) error {
	if _, err := cfg.complete(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddress)
	if err != nil {
		return fmt.Errorf("httpAddress: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", text)
	}
	return nil
}
