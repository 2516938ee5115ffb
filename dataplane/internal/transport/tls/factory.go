package tls

import (
	"crypto/tls"
	"sync/atomic"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Factory makes TLS transports; it implements network.TransportFactory.
type Factory struct {
	server  bool
	cfg     atomic.Pointer[Config]
	built   atomic.Pointer[tls.Config]
	stats   *sslStats
	buffers [][]byte // by worker
}

// NewServer returns the factory of a downstream context; statistics are under
// prefix ("listener.<…>.ssl.").
func NewServer(c *Config, store *stats.Store, prefix string, workers int) *Factory {
	return newFactory(true, c, store, prefix, workers)
}

// NewClient returns the factory of an upstream context; statistics are under
// prefix ("cluster.<name>.ssl.").
func NewClient(c *Config, store *stats.Store, prefix string, workers int) *Factory {
	return newFactory(false, c, store, prefix, workers)
}

func newFactory(server bool, c *Config, store *stats.Store, prefix string, workers int) *Factory {
	f := &Factory{server: server, stats: newStats(store, prefix), buffers: make([][]byte, workers+1)}
	f.Swap(c)
	return f
}

// Swap replaces the configuration for connections made from now on.
func (f *Factory) Swap(c *Config) {
	f.cfg.Store(c)
	f.built.Store(c.build(f.server, f.stats))
}

// Secure implements network.TransportFactory.
func (f *Factory) Secure() bool { return true }

// Ready implements network.TransportFactory.
func (f *Factory) Ready() bool { return f.cfg.Load() != nil }

// scratch is a worker's space for ciphertext.
func (f *Factory) scratch(w *event.Worker) []byte {
	i := w.Index()
	if f.buffers[i] == nil {
		f.buffers[i] = make([]byte, readSize)
	}
	return f.buffers[i]
}

// NewTransport implements network.TransportFactory.
func (f *Factory) NewTransport(o *network.TransportOptions) network.Transport {
	cfg, c := f.built.Load(), f.cfg.Load()
	if !f.server {
		cfg = c.forConnection(cfg, o, f.stats)
	}
	return &socket{f: f, cfg: cfg, server: f.server}
}

// Certificates returns what is configured, for /certs.
func (f *Factory) Certificates() *Config { return f.cfg.Load() }
