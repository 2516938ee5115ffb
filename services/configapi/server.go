package configapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/rollout"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// parseBudget is how many bytes of manifests are parsed at a time.
const parseBudget = 16 << 20

// Server is the config API. New, then Run once.
type Server struct {
	// Set at construction.
	cfg    Config
	log    *slog.Logger
	tracer trace.Tracer
	// stopTracing sends the last spans.
	stopTracing func()
	bootstrap   []byte // hash of the bootstrap token; nil: none
	instance    string // tells replicas apart
	grpc        *grpc.Server
	health      *health.Server
	grpcLn      net.Listener
	httpLn      net.Listener
	local       *bufconn.Listener
	tls         *tls.Config
	metrics     *metrics
	tracker     *rollout.Tracker
	changed     *notifier
	parsing     *semaphore.Weighted
	stopping    chan struct{} // closed when streams must end

	// Shared by goroutines.
	store    atomic.Pointer[store.Store] // nil until the database answered
	conn     atomic.Pointer[bus.Conn]    // nil until Run
	draining atomic.Bool
	sessions sync.Map // of the ReportAcks streams that stand here
}

// New checks the configuration and opens the listeners; it talks to neither
// store nor bus.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, instance: uuid.NewString(),
		health: health.NewServer(), local: bufconn.Listen(256 << 10), tracker: rollout.New(), changed: newNotifier(),
		parsing: semaphore.NewWeighted(parseBudget), stopping: make(chan struct{}),
	}
	s.metrics = newMetrics(func() float64 {
		n := 0
		for _, p := range s.tracker.Proxies(s.cfg.Now()) {
			if p.GetConnected() {
				n++
			}
		}
		return float64(n)
	})
	if cfg.AdminToken != "" {
		s.bootstrap = auth.Hash(cfg.AdminToken)
	}
	var err error
	if s.tracer, s.stopTracing, err = newTracer(context.Background(), s.log); err != nil {
		return nil, err
	}
	if s.tls, err = loadTLS(cfg.TLS); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if s.grpcLn, err = net.Listen("tcp", cfg.GRPCAddress); err != nil {
		return nil, fmt.Errorf("grpcAddress: %w", err)
	}
	if s.httpLn, err = net.Listen("tcp", cfg.HTTPAddress); err != nil {
		return nil, errors.Join(fmt.Errorf("httpAddress: %w", err), s.grpcLn.Close())
	}
	s.grpc = grpc.NewServer(
		grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream),
		// A little more than a manifest, for the other fields.
		grpc.MaxRecvMsgSize(resource.MaxManifest+64<<10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	)
	configv1.RegisterConfigServiceServer(s.grpc, &api{s: s})
	rolloutv1.RegisterRolloutServiceServer(s.grpc, &rolloutAPI{s: s})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	return s, nil
}

func loadTLS(cfg TLSConfig) (*tls.Config, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		return &cert, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		// Read for each connection: renewed files count without a restart.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}
	if cfg.ClientCAFile != "" {
		pem, err := os.ReadFile(cfg.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.clientCaFile: %w", err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.clientCaFile: %s has no certificate", cfg.ClientCAFile)
		}
	}
	return c, nil
}

// GRPCAddr and HTTPAddr are where the server listens, with the real ports.
func (s *Server) GRPCAddr() string { return s.grpcLn.Addr().String() }

// HTTPAddr is the address of REST.
func (s *Server) HTTPAddr() string { return s.httpLn.Addr().String() }

// Dial connects to the server within the process, past the sockets and
// their TLS. Calls need a token all the same.
func (s *Server) Dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.local.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(2*resource.MaxManifest)),
	}, opts...)
	return grpc.NewClient("passthrough:///configapi", opts...)
}

// openStore gives the store, once there is one.
func (s *Server) openStore() (*store.Store, error) {
	if st := s.store.Load(); st != nil {
		return st, nil
	}
	return nil, status.Error(codes.Unavailable, "the store is not there yet; try again")
}

// notReady says why the server should get no calls; empty if it should.
func (s *Server) notReady(ctx context.Context) string {
	if s.draining.Load() {
		return "shutting down"
	}
	st := s.store.Load()
	if st == nil {
		return "the store is not open yet"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := st.Ping(ctx); err != nil {
		return "the store does not answer"
	}
	return ""
}

// Run serves until ctx ends, then shuts down in order: not ready, wait
// DrainDelay, end streams and finish calls, stop the loops, close bus and
// store. It returns nil after a shutdown that ctx asked for.
func (s *Server) Run(ctx context.Context) error {
	defer s.stopTracing()
	natsServer, conn, err := s.connectBus()
	if err != nil {
		return err
	}
	s.conn.Store(conn)
	defer func() {
		conn.Close()
		if natsServer != nil {
			natsServer.Close()
		}
	}()
	local, err := s.Dial()
	if err != nil {
		return fmt.Errorf("rest: %w", err)
	}
	defer local.Close()
	handler, err := s.restHandler(ctx, local)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}

	failed := make(chan error, 4)
	serve := func(what string, run func() error) {
		go func() {
			if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		}()
	}
	grpcLn, httpLn := s.grpcLn, s.httpLn
	if s.tls != nil {
		grpcLn, httpLn = tls.NewListener(grpcLn, s.tls), tls.NewListener(httpLn, s.tls)
	}
	serve("grpc", func() error { return s.grpc.Serve(grpcLn) })
	serve("grpc in process", func() error { return s.grpc.Serve(s.local) })
	serve("http", func() error { return web.Serve(httpLn) })

	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.work(loops, conn); err != nil {
			failed <- err
		}
	})
	s.log.Info("serving", "grpc", s.GRPCAddr(), "http", s.HTTPAddr(), "mesh", s.cfg.Mesh)

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.shutdown(web)
	stopLoops()
	running.Wait()
	if st := s.store.Load(); st != nil {
		err = errors.Join(err, st.Close())
	}
	return err
}

func (s *Server) connectBus() (*bus.Server, *bus.Conn, error) {
	c := s.cfg.NATS
	embedded, own := s.cfg.Bus, (*bus.Server)(nil)
	if c.EmbeddedDir != "" {
		cfg := bus.EmbeddedConfig{StoreDir: c.EmbeddedDir, Log: s.log}
		if c.EmbeddedAddress != "" {
			host, port, err := net.SplitHostPort(c.EmbeddedAddress)
			if err != nil {
				return nil, nil, fmt.Errorf("nats.embeddedAddress: %w", err)
			}
			if cfg.Port, err = strconv.Atoi(port); err != nil {
				return nil, nil, fmt.Errorf("nats.embeddedAddress: %w", err)
			}
			cfg.Host = host
		}
		var err error
		if own, err = bus.StartEmbedded(cfg); err != nil {
			return nil, nil, err
		}
		embedded = own
	}
	conn, err := bus.Connect(bus.Config{
		Embedded: embedded, URL: c.URL, Name: "hawser-configapi " + s.instance, Token: c.Token,
		CredentialsFile: c.CredentialsFile, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile, Log: s.log,
	})
	if err != nil && own != nil {
		own.Close()
	}
	return own, conn, err
}

// work opens the store, however long that takes, and runs the loops.
func (s *Server) work(ctx context.Context, conn *bus.Conn) error {
	st, err := store.Open(ctx, store.Config{
		PostgresURL: s.cfg.Store.PostgresURL, SQLitePath: s.cfg.Store.SQLitePath, Now: s.cfg.Now, Log: s.log,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.store.Store(st)
	var loops sync.WaitGroup
	loops.Go(func() { s.relayLoop(ctx, st, conn) })
	loops.Go(func() { s.sweepLoop(ctx, st) })
	loops.Go(func() { s.shareLoop(ctx, conn) })
	loops.Go(func() { s.healthLoop(ctx) })
	loops.Wait()
	return nil
}

// healthLoop keeps the gRPC health status.
func (s *Server) healthLoop(ctx context.Context) {
	for {
		serving := healthv1.HealthCheckResponse_SERVING
		if s.notReady(ctx) != "" {
			serving = healthv1.HealthCheckResponse_NOT_SERVING
		}
		s.health.SetServingStatus("", serving)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func (s *Server) shutdown(web *http.Server) {
	s.draining.Store(true)
	s.health.Shutdown()
	time.Sleep(time.Duration(s.cfg.DrainDelay))
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.cfg.ShutdownTimeout))
	defer cancel()
	close(s.stopping)
	if err := web.Shutdown(ctx); err != nil {
		s.log.Warn("http shutdown", "error", err)
		_ = web.Close() // the time is over
	}
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
}
