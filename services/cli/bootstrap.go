package cli

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// proxyBootstrap is the configuration of a proxy that gets everything else
// from the distributor.
const proxyBootstrap = `# Written by "hawser up" at each start.
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: %d}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services:
    - envoy_grpc: {cluster_name: hawser-distributor}
  cds_config: {resource_api_version: V3, ads: {}}
  lds_config: {resource_api_version: V3, ads: {}}
static_resources:
  clusters:
  - name: hawser-distributor
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options:
            connection_keepalive: {interval: 10s, timeout: 5s}
    load_assignment:
      cluster_name: hawser-distributor
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: "%s", port_value: %s}}}
`

// writeBootstrap writes a proxy's file.
func writeBootstrap(path string, adminPort int, xds string) error {
	host, port, err := net.SplitHostPort(xds)
	if err != nil {
		return err
	}
	return os.WriteFile(path, fmt.Appendf(nil, proxyBootstrap, adminPort, host, port), 0o600)
}

// indent puts two spaces before each line.
func indent(lines ...string) string { return "  " + strings.Join(lines, "\n  ") + "\n" }
