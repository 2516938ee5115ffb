package router

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Logs builds access loggers of a list at p.
type Logs func(list []*accesslogv3.AccessLog, p fieldpath.Path) ([]streaminfo.Logger, error)

// Decode decodes a Router at p for a connection manager with that stat_prefix.
func Decode(a *anypb.Any, statPrefix string, rt Runtime, logs Logs, p fieldpath.Path) (Config, error) {
	m := new(routerv3.Router)
	if err := support.Unpack(a, m, p); err != nil {
		return Config{}, err
	}
	l, err := logs(m.GetUpstreamLog(), p.Field("upstream_log"))
	return Config{StatPrefix: statPrefix, SuppressEnvoyHeaders: m.GetSuppressEnvoyHeaders(), UpstreamLogs: l, Runtime: rt}, err
}
