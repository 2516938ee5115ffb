package bus

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EmbeddedConfig configures a NATS server inside the process.
type EmbeddedConfig struct {
	// StoreDir holds JetStream's files. Required.
	StoreDir string
	// MaxStoreBytes bounds them. Default 2 GiB.
	MaxStoreBytes int64
	// Address for clients of other processes ("127.0.0.1:0"); empty: only
	// this process can connect.
	Host string
	Port int
	Log  *slog.Logger
}

// Server is a running embedded NATS server.
type Server struct {
	nats *server.Server
}

// StartEmbedded starts a server and returns when clients can connect.
func StartEmbedded(cfg EmbeddedConfig) (*Server, error) {
	if cfg.StoreDir == "" {
		return nil, fmt.Errorf("embedded nats: no store directory")
	}
	if cfg.MaxStoreBytes == 0 {
		cfg.MaxStoreBytes = 2 << 30
	}
	if err := os.MkdirAll(cfg.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded nats: %w", err)
	}
	opts := &server.Options{
		ServerName:         "hawser-embedded",
		DontListen:         cfg.Host == "",
		Host:               cfg.Host,
		Port:               cfg.Port,
		JetStream:          true,
		StoreDir:           cfg.StoreDir,
		JetStreamMaxStore:  cfg.MaxStoreBytes,
		JetStreamMaxMemory: 64 << 20,
		NoSigs:             true,
		NoLog:              true,
	}
	if cfg.Host != "" && cfg.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats: %w", err)
	}
	if cfg.Log != nil {
		s.SetLoggerV2(serverLog{cfg.Log}, false, false, false)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded nats: not ready after 10s (store %s)", cfg.StoreDir)
	}
	return &Server{nats: s}, nil
}

// InProcess makes a connection go to this server without a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.nats) }

// URL is where clients of other processes connect; empty if they cannot.
func (s *Server) URL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// Close stops the server and waits until its files are written.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// serverLog passes on what an operator needs: warnings and errors.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any)  { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
