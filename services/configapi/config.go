package configapi

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/settings"
)

// Config configures a Server. The fields with a json name can be set by file
// and environment (EnvPrefix).
type Config struct {
	// Mesh is its name. Default "default".
	Mesh string `json:"mesh"`
	// GRPCAddress and HTTPAddress to listen on. Defaults 127.0.0.1:9090 and
	// 127.0.0.1:9091. The second serves REST, /openapi.json, /livez, /readyz
	// and /metrics.
	GRPCAddress string `json:"grpcAddress"`
	HTTPAddress string `json:"httpAddress"`
	// Store: one of the two.
	Store StoreConfig `json:"store"`
	NATS  NATSConfig  `json:"nats"`
	TLS   TLSConfig   `json:"tls"`
	// AdminToken is the bootstrap token: role admin, all namespaces, name
	// "bootstrap". It is not stored. AdminTokenFile holds it in a file.
	AdminToken     string `json:"adminToken"`
	AdminTokenFile string `json:"adminTokenFile"`
	// DrainDelay is how long the service says that it is not ready before it
	// stops taking calls. Default 0.
	DrainDelay settings.Duration `json:"drainDelay"`
	// ShutdownTimeout bounds the wait for calls in flight. Default 10s.
	ShutdownTimeout settings.Duration `json:"shutdownTimeout"`
	// LogLevel is debug, info, warn or error. Default info. For the program.
	LogLevel string `json:"logLevel"`

	// Bus is the NATS server of this process; NATS is then not used.
	Bus *bus.Server  `json:"-"`
	Log *slog.Logger `json:"-"`
	// Now is the clock. Default time.Now.
	Now func() time.Time `json:"-"`
}

// StoreConfig says where the truth is.
type StoreConfig struct {
	PostgresURL string `json:"postgresUrl"`
	// PostgresURLFile holds the URL, with its password.
	PostgresURLFile string `json:"postgresUrlFile"`
	SQLitePath      string `json:"sqlitePath"`
}

// NATSConfig says which NATS to use: URL, or EmbeddedDir for a server in
// this process that keeps its files there and, with EmbeddedAddress
// ("127.0.0.1:4222"), serves other processes.
type NATSConfig struct {
	URL             string `json:"url"`
	Token           string `json:"token"`
	TokenFile       string `json:"tokenFile"`
	CredentialsFile string `json:"credentialsFile"`
	CAFile          string `json:"caFile"`
	CertFile        string `json:"certFile"`
	KeyFile         string `json:"keyFile"`
	EmbeddedDir     string `json:"embeddedDir"`
	EmbeddedAddress string `json:"embeddedAddress"`
}

// TLSConfig is for both listeners; empty: plaintext.
type TLSConfig struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ClientCAFile: clients must have a certificate of it.
	ClientCAFile string `json:"clientCaFile"`
}

// EnvPrefix starts the names of the environment variables.
const EnvPrefix = "HAWSER_CONFIGAPI"

// Load reads a Config from a file (empty: none) and the environment.
func Load(path string, environ []string) (Config, error) {
	var cfg Config
	err := settings.Load(path, EnvPrefix, environ, &cfg)
	return cfg, err
}

// complete fills in defaults and reads the files, then checks everything.
func (c *Config) complete() error {
	setDefault(&c.Mesh, "default")
	setDefault(&c.GRPCAddress, "127.0.0.1:9090")
	setDefault(&c.HTTPAddress, "127.0.0.1:9091")
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = settings.Duration(10 * time.Second)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var bad []error
	fail := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	for _, secret := range []struct {
		name, file string
		value      *string
	}{
		{"adminToken", c.AdminTokenFile, &c.AdminToken},
		{"store.postgresUrl", c.Store.PostgresURLFile, &c.Store.PostgresURL},
		{"nats.token", c.NATS.TokenFile, &c.NATS.Token},
	} {
		if secret.file == "" {
			continue
		}
		if *secret.value != "" {
			fail("%s and %sFile are both set", secret.name, secret.name)
			continue
		}
		data, err := os.ReadFile(secret.file)
		if err != nil {
			fail("%sFile: %w", secret.name, err)
		}
		*secret.value = strings.TrimSpace(string(data))
	}
	if !bus.ValidMesh(c.Mesh) {
		fail("mesh: %q is not a DNS label", c.Mesh)
	}
	if (c.Store.PostgresURL == "") == (c.Store.SQLitePath == "") {
		fail("store: exactly one of postgresUrl and sqlitePath must be set")
	}
	buses := 0
	for _, set := range []bool{c.Bus != nil, c.NATS.URL != "", c.NATS.EmbeddedDir != ""} {
		if set {
			buses++
		}
	}
	if buses != 1 {
		fail("nats: exactly one of url and embeddedDir must be set")
	}
	if c.AdminToken != "" && len(c.AdminToken) < auth.MinSecret {
		fail("adminToken: must have at least %d characters", auth.MinSecret)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fail("tls: certFile and keyFile belong together")
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		fail("tls.clientCaFile: needs certFile and keyFile")
	}
	return errors.Join(bad...)
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Check tells what is wrong with a configuration.
func (c Config) Check() error { return c.complete() }
