package upstream

import (
	"reflect"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// TransportMatchKey is the namespace of endpoint metadata that selects one of a
// cluster's transport_socket_matches.
const TransportMatchKey = "envoy.transport_socket_match"

// TransportFor returns the transport of a host whose metadata has these values:
// that of the first of transport_socket_matches whose match is a part of them,
// else the cluster's. nil is plaintext.
func TransportFor(c *config.Cluster, metadata map[string]any) network.TransportFactory {
	for i := range c.Matches {
		if m := &c.Matches[i]; partOf(m.Match, metadata) {
			f, _ := m.Transport.(network.TransportFactory)
			return f
		}
	}
	f, _ := c.Transport.(network.TransportFactory)
	return f
}

func partOf(want, have map[string]any) bool {
	for k, v := range want {
		if x, ok := have[k]; !ok || !reflect.DeepEqual(x, v) {
			return false
		}
	}
	return true
}
