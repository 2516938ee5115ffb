package admin

import (
	"regexp"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// Sources is what the endpoints read and change.
type Sources struct {
	Stats     *stats.Store
	Tagger    *stats.Tagger
	Buckets   func(name string) []float64 // histogram buckets of a statistic
	Interval  func(stats.Sample) stats.Snapshot
	Flush     func() // brings gauges such as server.uptime up to date
	Server    Server
	Clusters  func() []ClusterStatus
	Listeners func() []ListenerStatus
	Runtime   Runtime
	Logging   Logging
	Certs     func() []Certificate
	Dump      func(DumpOptions) ([]byte, error)
}

// State is the server's state as /ready shows it.
type State uint8

// The states, with Envoy's numbers (server.state).
const (
	Live State = iota
	Draining
	PreInitializing
	Initializing
)

func (s State) String() string {
	return [...]string{"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"}[s]
}

// Server is the process.
type Server interface {
	State() State
	// Info is what /server_info shows; it is marshalled to JSON as it is.
	Info() any
	// FailHealthChecks makes the health check filter fail (true) or pass.
	FailHealthChecks(fail bool)
	DrainListeners(o DrainOptions)
	ReopenLogs()
	Quit()
	HotRestartVersion() string
	// Unready lists the init targets that are not ready, for /init_dump.
	Unready() []string
}

// DrainOptions are the parameters of /drain_listeners.
type DrainOptions struct {
	Graceful, SkipExit, InboundOnly bool
}

// ClusterStatus is one cluster for /clusters.
type ClusterStatus struct {
	Name, ObservabilityName, EDSName string
	AddedViaAPI                      bool
	Breakers                         [2]config.BreakerLimits
	Hosts                            []*upstream.Host
}

// ListenerStatus is one listener for /listeners.
type ListenerStatus struct {
	Name      string
	Addresses []address.Address // bound
}

// Runtime is the layered runtime.
type Runtime interface {
	Layers() []string
	// Entries returns for each key the value in each layer, "" where absent.
	Entries() map[string][]string
	HasAdminLayer() bool
	// Modify sets keys in the admin layer; "" removes.
	Modify(values map[string]string) error
}

// Logging is the loggers' levels.
type Logging interface {
	Names() []string // in the order in which they are shown
	Level(name string) string
	SetLevel(name, level string) bool // false: unknown name
	SetAll(level string)
}

// Certificate is one entry of /certs: a leaf chain with its CA.
type Certificate struct {
	CA, Chain []CertificateDetails
}

// CertificateDetails describes one certificate.
type CertificateDetails struct {
	Path, Serial        string
	SANs                []SAN
	NotBefore, NotAfter time.Time
}

// SAN is a subject alternative name; Kind is "dns", "uri" or "ip_address".
type SAN struct{ Kind, Value string }

// DumpOptions are the parameters of /config_dump.
type DumpOptions struct {
	Resource, Mask string
	NameRegex      *regexp.Regexp
	IncludeEDS     bool
}
