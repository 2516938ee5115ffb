package tcpproxy

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Decode compiles a TcpProxy; logs compiles its access loggers.
func Decode(m *tcpv3.TcpProxy, p fieldpath.Path, logs func([]*accesslogv3.AccessLog, fieldpath.Path) ([]streaminfo.Logger, error)) (Config, error) {
	var c Config
	if err := support.Check(m, p); err != nil {
		return c, err
	}
	if err := m.Validate(); err != nil {
		return c, p.Wrap(err)
	}
	c.StatPrefix, c.Cluster, c.MaxAttempts = m.GetStatPrefix(), m.GetCluster(), 1
	for _, w := range m.GetWeightedClusters().GetClusters() {
		c.Weighted = append(c.Weighted, Weighted{Name: w.GetName(), Weight: uint64(w.GetWeight())})
	}
	c.Idle = time.Hour
	if m.GetIdleTimeout() != nil {
		c.Idle = m.GetIdleTimeout().AsDuration()
	}
	if m.GetMaxConnectAttempts() != nil {
		c.MaxAttempts = m.GetMaxConnectAttempts().GetValue()
	}
	c.MaxDuration = m.GetMaxDownstreamConnectionDuration().AsDuration()
	c.LogStart = m.GetAccessLogOptions().GetFlushAccessLogOnConnected()
	var err error
	c.Logs, err = logs(m.GetAccessLog(), p.Field("access_log"))
	return c, err
}
