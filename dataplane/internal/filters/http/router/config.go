package router

import (
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Decode decodes a Router at p for a connection manager with that stat_prefix.
func Decode(a *anypb.Any, statPrefix string, rt Runtime, p fieldpath.Path) (Config, error) {
	m := new(routerv3.Router)
	if err := support.Unpack(a, m, p); err != nil {
		return Config{}, err
	}
	return Config{
		StatPrefix: statPrefix, SuppressEnvoyHeaders: m.GetSuppressEnvoyHeaders(),
		RespectExpectedTimeout: m.GetRespectExpectedRqTimeout(), Runtime: rt,
	}, nil
}
