package distributor

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/compile"
	"github.com/hawser-mesh/hawser/services/internal/settings"
)

// Config configures a Server. The fields with a json name can be set by file
// and environment (EnvPrefix).
type Config struct {
	// ID is unique among distributors and the same after a restart. Default:
	// the host's name.
	ID string `json:"id"`
	// Mesh is its name. Default "default".
	Mesh string `json:"mesh"`
	// XDSAddress serves the discovery services and gRPC health. Default
	// 127.0.0.1:18000.
	XDSAddress string `json:"xdsAddress"`
	// HTTPAddress serves /livez, /readyz and /metrics. Default
	// 127.0.0.1:18001.
	HTTPAddress string          `json:"httpAddress"`
	ConfigAPI   ConfigAPIConfig `json:"configApi"`
	NATS        NATSConfig      `json:"nats"`
	// TLS of XDSAddress; empty: plaintext.
	TLS TLSConfig `json:"tls"`
	// OutboundAddress is where sidecars listen for what their application
	// sends. Default 127.0.0.1:15001.
	OutboundAddress string `json:"outboundAddress"`
	// SidecarClusters are the node.clusters of sidecars. Default "sidecar".
	SidecarClusters []string `json:"sidecarClusters"`
	// DrainDelay is how long the service says that it is not ready before it
	// ends streams. Default 0.
	DrainDelay settings.Duration `json:"drainDelay"`
	// ShutdownTimeout bounds the wait for streams to end. Default 5s.
	ShutdownTimeout settings.Duration `json:"shutdownTimeout"`
	// LogLevel is debug, info, warn or error. Default info. For the program.
	LogLevel string `json:"logLevel"`

	// Bus is the NATS server of this process; NATS is then not used.
	Bus *bus.Server `json:"-"`
	// Dial connects to the config API of this process; ConfigAPI.Address is
	// then not used.
	Dial func(...grpc.DialOption) (*grpc.ClientConn, error) `json:"-"`
	Log  *slog.Logger                                       `json:"-"`
	// Now is the clock. Default time.Now.
	Now func() time.Time `json:"-"`
}

// ConfigAPIConfig says where the config API is. The token needs the role
// reader in all namespaces.
type ConfigAPIConfig struct {
	// Address of its gRPC port. Default 127.0.0.1:9090.
	Address string `json:"address"`
	Token   string `json:"token"`
	// TokenFile is read for each call: it may come later and change.
	TokenFile string `json:"tokenFile"`
	// CAFile: speak TLS and trust these certificates; CertFile and KeyFile
	// are our own.
	CAFile   string `json:"caFile"`
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// NATSConfig says where the bus is. Without URL only the config API is asked.
type NATSConfig struct {
	URL             string `json:"url"`
	Token           string `json:"token"`
	TokenFile       string `json:"tokenFile"`
	CredentialsFile string `json:"credentialsFile"`
	CAFile          string `json:"caFile"`
	CertFile        string `json:"certFile"`
	KeyFile         string `json:"keyFile"`
}

// TLSConfig is the server's side.
type TLSConfig struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ClientCAFile: clients must have a certificate of it.
	ClientCAFile string `json:"clientCaFile"`
}

// EnvPrefix starts the names of the environment variables.
const EnvPrefix = "HAWSER_DISTRIBUTOR"

// Load reads a Config from a file (empty: none) and the environment.
func Load(path string, environ []string) (Config, error) {
	var cfg Config
	err := settings.Load(path, EnvPrefix, environ, &cfg)
	return cfg, err
}

// Check tells what is wrong with a configuration.
func (c Config) Check() error {
	_, err := c.complete()
	return err
}

// complete fills in defaults, then checks everything.
func (c *Config) complete() (compile.Options, error) {
	setDefault(&c.Mesh, "default")
	setDefault(&c.XDSAddress, "127.0.0.1:18000")
	setDefault(&c.HTTPAddress, "127.0.0.1:18001")
	setDefault(&c.ConfigAPI.Address, "127.0.0.1:9090")
	setDefault(&c.OutboundAddress, "127.0.0.1:15001")
	if c.SidecarClusters == nil {
		c.SidecarClusters = []string{"sidecar"}
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = settings.Duration(5 * time.Second)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var bad []error
	fail := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if c.ID == "" {
		var err error
		if c.ID, err = os.Hostname(); err != nil {
			fail("id: is not set, and the host has no name: %w", err)
		}
	}
	if !bus.ValidMesh(c.Mesh) {
		fail("mesh: %q is not a DNS label", c.Mesh)
	}
	if (c.ConfigAPI.Token == "") == (c.ConfigAPI.TokenFile == "") {
		fail("configApi: exactly one of token and tokenFile must be set")
	}
	pair := func(name, cert, key string) {
		if (cert == "") != (key == "") {
			fail("%s: certFile and keyFile belong together", name)
		}
	}
	pair("configApi", c.ConfigAPI.CertFile, c.ConfigAPI.KeyFile)
	pair("nats", c.NATS.CertFile, c.NATS.KeyFile)
	pair("tls", c.TLS.CertFile, c.TLS.KeyFile)
	if c.ConfigAPI.CertFile != "" && c.ConfigAPI.CAFile == "" {
		fail("configApi.certFile: needs caFile")
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		fail("tls.clientCaFile: needs certFile and keyFile")
	}
	if c.NATS.TokenFile != "" {
		if c.NATS.Token != "" {
			fail("nats: token and tokenFile are both set")
		} else if data, err := os.ReadFile(c.NATS.TokenFile); err != nil {
			fail("nats.tokenFile: %w", err)
		} else {
			c.NATS.Token, c.NATS.TokenFile = strings.TrimSpace(string(data)), ""
		}
	}
	options := compile.Options{SidecarClusters: c.SidecarClusters}
	host, text, err := net.SplitHostPort(c.OutboundAddress)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil || net.ParseIP(host) == nil || port == 0 {
		fail("outboundAddress: %q is not an IP address with a port", c.OutboundAddress)
	}
	options.OutboundHost, options.OutboundPort = host, uint32(port)
	return options, errors.Join(bad...)
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
