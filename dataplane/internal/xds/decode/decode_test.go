package decode

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/decode/yaml"
)

const staticHosts = `load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}}]}]}`

func pack(t testing.TB, m proto.Message, text string) *anypb.Any {
	t.Helper()
	if _, err := yaml.Decode("x.yaml", []byte(text), m, yaml.Options{}); err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func decodeCluster(t testing.TB, text string) (*config.Cluster, error) {
	t.Helper()
	return New(Deps{Registry: &Registry{}}).Cluster(pack(t, new(clusterv3.Cluster), text), "7")
}

func TestClusterDefaults(t *testing.T) {
	c, err := decodeCluster(t, "name: a\n"+staticHosts)
	if err != nil {
		t.Fatal(err)
	}
	b := config.BreakerLimits{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, MaxPools: 1<<32 - 1}
	for name, ok := range map[string]bool{
		"names":    c.Name == "a" && c.StatName == "a" && c.Version == "7" && c.AddedViaAPI && !c.Static,
		"limits":   c.ConnectTimeout == 5*time.Second && c.BufferLimit == 1<<20,
		"balancer": c.LB.Policy == config.PolicyRoundRobin && c.LB.PanicThreshold == 50 && c.LB.UpdateMergeWindow == time.Second,
		"breakers": c.Breakers == [2]config.BreakerLimits{b, b},
		"protocol": c.Protocol.Mode == config.ExplicitHTTP1 && c.Protocol.IdleTimeout == time.Hour && c.Protocol.MaxHeaders == 100 && c.Protocol.MaxHeadersKiB == 60,
		"http1":    c.Protocol.HTTP1.AllowAbsoluteURL && c.Protocol.HTTP1.MaxHeadersKiB == 60,
		"http2":    c.Protocol.HTTP2.InitialStreamWindow == 16<<20 && c.Protocol.HTTP2.InitialConnWindow == 24<<20 && c.Protocol.HTTP2.MaxConcurrentStreams == 1024,
		"endpoint": len(c.Assignment.Localities) == 1 && c.Assignment.Localities[0].Endpoints[0].Address.String() == "127.0.0.1:80" && c.Assignment.Localities[0].Endpoints[0].Weight == 1,
		"policy":   c.Assignment.Policy.Overprovisioning == 140,
		"hash":     c.Hash != 0 && len(c.Raw) > 0,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestClusterForms(t *testing.T) {
	for name, x := range map[string]struct {
		text string
		ok   func(c *config.Cluster) bool
	}{
		"legacy DNS": {"name: a\ntype: strict_dns\ndns_lookup_family: V4_ONLY\ndns_failure_refresh_rate: {base_interval: 2s}\nload_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: some.host, port_value: 81}}}}]}], cluster_name: a}",
			func(c *config.Cluster) bool {
				e := c.Assignment.Localities[0].Endpoints[0]
				return c.Discovery == config.StrictDNS && c.DNS.RefreshRate == 5*time.Second && c.DNS.Family == config.DNSV4Only &&
					c.DNS.FailureBase == 2*time.Second && c.DNS.FailureMax == 20*time.Second && e.Host == "some.host" && e.Port == 81 && !e.Address.IsValid()
			}},
		"DNS extension": {"name: a\ncluster_type: {name: envoy.clusters.dns, typed_config: {'@type': type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, all_addresses_in_single_endpoint: true, dns_lookup_family: ALL, dns_refresh_rate: 3s}}\n" + staticHosts,
			func(c *config.Cluster) bool {
				return c.Discovery == config.LogicalDNS && c.DNS.Family == config.DNSAll && c.DNS.RefreshRate == 3*time.Second
			}},
		"EDS": {"name: a\ntype: EDS\neds_cluster_config: {service_name: b, eds_config: {ads: {}, initial_fetch_timeout: 0s}}",
			func(c *config.Cluster) bool {
				return c.Discovery == config.EDS && c.EDSName == "b" && c.EDSSource.Kind == config.SourceADS && c.EDSSource.FetchTimeout == 0
			}},
		"EDS of its own": {"name: a\ntype: EDS\neds_cluster_config: {eds_config: {api_config_source: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: {envoy_grpc: {cluster_name: xds}}}}}",
			func(c *config.Cluster) bool {
				g := c.EDSSource.GRPC
				return c.EDSName == "a" && c.EDSSource.FetchTimeout == 15*time.Second && g.Delta && g.Service.EnvoyCluster == "xds" && g.Service.Hash != 0
			}},
		"policy extension": {"name: a\nload_balancing_policy: {policies: [{typed_extension_config: {name: x, typed_config: {'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/a.B}}}, {typed_extension_config: {name: l, typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest, choice_count: 3}}}]}\n" + staticHosts,
			func(c *config.Cluster) bool {
				return c.LB.Policy == config.PolicyLeastRequest && c.LB.ChoiceCount == 3
			}},
		"HTTP/2": {"name: a\nlb_policy: random\ntyped_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 5}}, common_http_protocol_options: {idle_timeout: 0s}}}\n" + staticHosts,
			func(c *config.Cluster) bool {
				return c.LB.Policy == config.PolicyRandom && c.Protocol.Mode == config.ExplicitHTTP2 && c.Protocol.HTTP2.MaxConcurrentStreams == 5 && c.Protocol.IdleTimeout == 0
			}},
		"legacy HTTP/2": {"name: a\nhttp2_protocol_options: {}\ncircuit_breakers: {thresholds: [{priority: HIGH, max_requests: 9, retry_budget: {}}]}\n" + staticHosts,
			func(c *config.Cluster) bool {
				return c.Protocol.Mode == config.ExplicitHTTP2 && c.Breakers[0].MaxRequests == 1024 && c.Breakers[1].MaxRequests == 9 && *c.Breakers[1].RetryBudget == config.RetryBudget{Percent: 20, MinConcurrency: 3}
			}},
		"health check": {"name: a\nhealth_checks: {timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 1, http_health_check: {path: /h, service_name_matcher: {prefix: x}, receive: [{text: '6f6b'}]}}\n" + staticHosts,
			func(c *config.Cluster) bool {
				h := c.HealthChecks[0]
				_, name := h.HTTP.ServiceName.(*matcher.String)
				return h.Interval == 2*time.Second && h.NoTrafficInterval == time.Minute && h.ReuseConnection && h.HTTP.Method == "GET" && name &&
					h.HTTP.Expected[0] == config.Int64Range{Start: 200, End: 201} && string(h.HTTP.Receive[0]) == "ok"
			}},
	} {
		c, err := decodeCluster(t, x.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !x.ok(c) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestClusterErrors(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\noutlier_detection: {consecutive_5xx: 3}\n" + staticHosts:      `outlier_detection: is not supported: {"consecutive_5xx":3}`,
		"name: a\nlb_policy: MAGLEV\n" + staticHosts:                            "lb_policy: the value MAGLEV is not supported",
		"name: a\nconnect_timeout: 0s\n" + staticHosts:                          "connect_timeout: value must be greater than 0s",
		"name: ''\n" + staticHosts:                                              "name: value length must be at least 1 runes",
		"name: a":                                                               "load_assignment: is required in a STATIC",
		"name: a\n" + strings.Replace(staticHosts, "127.0.0.1", "some.host", 1): "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: malformed IP address: some.host",
		"name: a\ntype: EDS":                                                    "eds_cluster_config: cannot create an EDS cluster without an EDS config",
		"name: a\ncluster_type: {name: envoy.clusters.x}\n" + staticHosts:       "cluster_type: Didn't find a registered cluster factory implementation for name: 'envoy.clusters.x'",
		"name: a\ntransport_socket: {name: t, typed_config: {'@type': type.googleapis.com/envoy.config.core.v3.Pipe}}\n" + staticHosts: "transport_socket.typed_config: Didn't find a registered implementation for 't' with type URL: 'envoy.config.core.v3.Pipe'",
	} {
		if _, err := decodeCluster(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestAssignment(t *testing.T) {
	d := New(Deps{})
	a, err := d.Assignment(pack(t, new(endpointv3.ClusterLoadAssignment), `
cluster_name: a
policy: {overprovisioning_factor: 150, drop_overloads: [{category: x, drop_percentage: {numerator: 5}}]}
endpoints:
- locality: {region: r, zone: z}
  priority: 1
  load_balancing_weight: 3
  lb_endpoints: [{health_status: draining, load_balancing_weight: 2, endpoint: {hostname: h, address: {pipe: {path: /x}}}}]`), "3")
	if err != nil {
		t.Fatal(err)
	}
	l := a.Localities[0]
	if a.Version != "3" || a.Policy.Overprovisioning != 150 || a.Policy.Drops[0] != (config.Drop{Category: "x", Share: 0.05}) ||
		l.Locality != (config.Locality{Region: "r", Zone: "z"}) || l.Priority != 1 || l.Weight != 3 || l.Endpoints[0].Health != config.HealthDraining ||
		l.Endpoints[0].Address.Path() != "/x" || l.Endpoints[0].Weight != 2 {
		t.Errorf("%+v", a)
	}
}

// The hash must not depend on the order in which a control plane writes maps.
func TestHashIsOfTheContent(t *testing.T) {
	text := "name: a\nmetadata: {filter_metadata: {a: {x: 1}, b: {x: 2}, c: {x: 3}, d: {x: 4}}}\n" + staticHosts
	first, err := decodeCluster(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if c, _ := decodeCluster(t, text); c.Hash != first.Hash {
			t.Fatal("equal messages, different hashes")
		}
	}
	if c, _ := decodeCluster(t, strings.Replace(text, "x: 4", "x: 5", 1)); c.Hash == first.Hash {
		t.Error("different messages, equal hashes")
	}
}

func decodeRoutes(t testing.TB, text string) (*route.Table, error) {
	t.Helper()
	return New(Deps{Registry: &Registry{}, HasCluster: func(n string) bool { return n == "a" }}).RouteConfig(pack(t, new(routev3.RouteConfiguration), text), "1")
}

func TestRoutes(t *testing.T) {
	tab, err := decodeRoutes(t, `
name: r
virtual_hosts:
- name: v
  domains: ["*.test", x.test]
  retry_policy: {retry_on: "5xx,cancelled", num_retries: 2}
  routes:
  - match: {path: /exact, headers: [{name: X-A, exact_match: b}], query_parameters: [{name: q, present_match: true}]}
    direct_response: {status: 201, body: {inline_string: hi}}
  - match: {safe_regex: {regex: "/r/[a-z]+"}}
    redirect: {path_redirect: /n, response_code: SEE_OTHER}
  - match: {prefix: /w}
    route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 3}]}, regex_rewrite: {pattern: {regex: "/w/(.*)"}, substitution: '/$\1'}, timeout: 0s}
  - match: {prefix: /}
    route: {cluster: a, priority: HIGH, idle_timeout: 3s, host_rewrite_literal: h}
    request_headers_to_add: [{header: {key: X-P, value: "%PROTOCOL%"}}, {header: {key: x-q, value: "100%%"}, append: false}]
`)
	if err != nil {
		t.Fatal(err)
	}
	find := func(path string, more ...string) *route.Route {
		h := new(header.Pool).Get()
		h.SetID(header.Authority, "x.test")
		h.SetID(header.Method, "GET")
		h.SetID(header.Path, path)
		for i := 0; i < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		var m route.Match
		tab.Find(&m, &route.Request{Headers: h})
		return m.Route
	}
	exact, reg, weighted, last := find("/exact?q=1", "x-a", "b"), find("/r/abc"), find("/w/1"), find("/exact")
	for name, ok := range map[string]bool{
		"direct":   exact.Kind == route.ActionDirect && exact.Direct.Status == 201 && exact.Direct.Body == "hi",
		"redirect": reg.Kind == route.ActionRedirect && reg.Redirect.Code == 303,
		"weights":  weighted.Forward.TotalWeight == 4 && weighted.Forward.Timeout == 0,
		"rewrite":  weighted.Forward.RegexRewrite.Apply("/w/1") == "/$1",
		"forward":  last.Forward.Priority == config.PriorityHigh && last.Forward.Timeout == 15*time.Second && *last.Forward.IdleTimeout == 3*time.Second && last.Forward.HostRewrite == "h",
		"retry":    last.Forward.Retry.Max == 2 && last.Forward.Retry.On == route.Retry5xx|route.RetryGRPCCancelled && last.Forward.Retry.Base == 25*time.Millisecond,
		"headers":  last.Mutation.RequestAdd[0].Name == "x-p" && last.Mutation.RequestAdd[0].Value != nil && last.Mutation.RequestAdd[1].Text == "100%" && last.Mutation.RequestAdd[1].Action == config.OverwriteIfExistsOrAdd,
	} {
		if !ok {
			t.Errorf("%s: %+v %+v", name, last, last.Forward)
		}
	}
}

func TestRouteErrors(t *testing.T) {
	one := func(s string) string { return "virtual_hosts: {name: v, domains: ['*'], routes: {" + s + "}}" }
	const at = "virtual_hosts[0].routes[0]."
	for text, want := range map[string]string{
		one("match: {prefix: /}, route: {cluster: b}") + "\nvalidate_clusters: true":                                          at + "route.cluster: route: unknown cluster 'b'",
		one("match: {safe_regex: {regex: '('}}, route: {cluster: a}"):                                                         at + `match.safe_regex.regex: "(": error parsing regexp`,
		one("match: {prefix: /}, route: {cluster: a, request_mirror_policies: {cluster: b}}"):                                 at + "route.request_mirror_policies: is not supported: 1 entries",
		one("match: {prefix: /}, route: {cluster: a, prefix_rewrite: /x, regex_rewrite: {pattern: {regex: a}}}"):              at + "route: Specify only one of prefix_rewrite",
		one("match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}"):                             at + "route.weighted_clusters: Sum of weights",
		one("match: {prefix: /}, route: {cluster: a}, request_headers_to_remove: [Host]"):                                     at + "request_headers_to_remove[0]: :-prefixed or host headers may not be removed",
		one("match: {prefix: /}, route: {cluster: a}, request_headers_to_add: {header: {key: x, value: '%NO%'}}"):             at + "request_headers_to_add[0].header.value: Not supported field in StreamInfo: NO",
		one("match: {prefix: /}, route: {cluster: a, regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}}"):             at + `route.regex_rewrite.substitution: "\\1" names group 1, the expression has 0`,
		one("match: {prefix: /}, direct_response: {status: 200, body: {inline_string: '" + strings.Repeat("x", 4097) + "'}}"): at + "direct_response.body: response body size is 4097 bytes; maximum is 4096",
		"virtual_hosts: [{name: a, domains: [X.test]}, {name: b, domains: [x.test]}]":                                         "virtual_hosts[1].domains[0]: Only unique values for domains are permitted",
	} {
		if _, err := decodeRoutes(t, text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

const bootstrap = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}, allow_paths: [{prefix: /stats}]}
node: {id: me, cluster: c}
layered_runtime: {layers: [{name: s, static_layer: {a: {b: 1}}}, {name: adm, admin_layer: {}}]}
stats_config: {stats_tags: [{tag_name: env, fixed_value: prod}], histogram_bucket_settings: [{match: {prefix: x}, buckets: [5, 1]}]}
dynamic_resources:
  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: {google_grpc: {target_uri: "127.0.0.1:1", stat_prefix: x}}}
  cds_config: {ads: {}}
static_resources:
  clusters: {name: a, LOAD}
  listeners:
    name: l
    traffic_direction: INBOUND
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filter_chain_match: {destination_port: 80, server_names: ["*.Example.com"], source_prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 8}]}
      filters:
        name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          use_remote_address: true
          http2_protocol_options: {max_concurrent_streams: 9}
          access_log: {name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null}}
          route_config: {virtual_hosts: {name: v, domains: ["*"], routes: {match: {prefix: /}, route: {cluster: a}}}}
          local_reply_config: {mappers: [{filter: {status_code_filter: {comparison: {value: {default_value: 404, runtime_key: k}}}}, status_code: 410, body: {inline_string: gone}}]}
          http_filters: {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
`

func TestBootstrap(t *testing.T) {
	w, err := decodeText(t, strings.Replace(bootstrap, "LOAD", staticHosts, 1))
	if err != nil {
		t.Fatal(err)
	}
	o, l, b := w.managers[0], w.listeners[0], w.boot
	m := l.FilterChains[0].Match
	for name, ok := range map[string]bool{
		"admin":    b.Admin.Address.String() == "127.0.0.1:9901" && b.Admin.AllowPaths[0].Match("/stats/x"),
		"dynamic":  b.ADS.Delta && b.ADS.Service.GoogleTarget == "127.0.0.1:1" && b.CDS.Kind == config.SourceADS && b.LDS == nil,
		"runtime":  len(b.Runtime) == 2 && b.Runtime[1].Admin,
		"stats":    b.Stats.Buckets("xy")[0] == 1 && b.Stats.Buckets("y") == nil && b.Stats.Tagger.Fixed[0].Value == "prod" && len(b.Stats.Tagger.Extractors) > 10,
		"listener": l.Name == "l" && l.Direction == "inbound" && l.BufferLimit == 1<<20 && l.InspectTimeout == 15*time.Second && l.Static && l.ReusePort,
		"match":    m.DestinationPort == 80 && m.ServerNames[0] == "*.example.com" && m.Source[0].String() == "10.0.0.0/8",
		"hcm": o.StatPrefix == "main" && o.Listener == "127.0.0.1_8080" && o.UseRemoteAddress && o.GenerateRequestID && !o.NormalizePath &&
			o.ServerName == "envoy" && o.HTTP2.MaxConcurrentStreams == 9 && len(o.AccessLogs) == 1 && len(o.Filters) == 1 && o.Codec == hcm.CodecAuto,
		"timeouts": o.IdleTimeout == time.Hour && o.StreamIdle == 5*time.Minute && o.DrainTimeout == 5*time.Second && o.DelayedClose == time.Second && o.RequestTimeout == 0,
		"routes":   o.Routes.Route().Static && o.Routes.Route().ValidateClusters,
		"replies":  o.LocalReply != nil,
		"clusters": len(w.clusters) == 1 && w.clusters[0].Static,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestBootstrapErrors(t *testing.T) {
	base := strings.Replace(bootstrap, "LOAD", staticHosts, 1)
	for _, c := range []struct{ old, new, want string }{
		{"cluster: a}}}", "cluster: b}}}", "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: route: unknown cluster 'b'"},
		{"node: {id: me, cluster: c}", "node: {id: me}", "node 'id' and 'cluster' are required"},
		{"use_remote_address: true", "tracing: {}", "filter_chains[0].filters[0].typed_config.tracing: "},
		{"name: a, load", "name: a, lrs_server: {self: {}}, load", "static_resources.clusters[0].lrs_server: "},
		{"http_filters: {", "http_filters: {disabled: true, ", "http_filters[0].disabled: the terminal filter"},
		{"cds_config: {ads: {}}", "cds_config: {api_config_source: {api_type: REST, cluster_names: [x]}}", "dynamic_resources.cds_config.api_config_source.api_type: the value REST is not supported"},
		{"  ads_config", "  lds_config: {ads: {}}\n#", "dynamic_resources.cds_config: ads is named as a source, but there is no ads_config"},
	} {
		if !strings.Contains(base, c.old) {
			t.Fatalf("the bootstrap has no %q", c.old)
		}
		if _, err := decodeText(t, strings.Replace(base, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.new, err, c.want)
		}
	}
}

func TestOverlappingChains(t *testing.T) {
	chain := func(match string) string {
		return "{filter_chain_match: {" + match + "}, filters: [{name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}"
	}
	for _, c := range []struct {
		a, b string
		bad  bool
	}{
		{"source_ports: [1, 2]", "source_ports: [2, 3]", true},
		{"source_ports: [1, 2]", "source_ports: [3]", false},
		{"server_names: [a], application_protocols: [h2]", "server_names: [a]", false},
		{"", "", true},
	} {
		text := "static_resources: {listeners: {name: l, address: {socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: [" + chain(c.a) + "," + chain(c.b) + "]}}"
		_, err := decodeText(t, text)
		if (err != nil) != c.bad || err != nil && !strings.Contains(err.Error(), "overlapping matching rules") {
			t.Errorf("%s | %s: %v", c.a, c.b, err)
		}
	}
}

func TestUnknownDynamicFields(t *testing.T) {
	a := pack(t, new(clusterv3.Cluster), "name: a\n"+staticHosts)
	a.Value = append(a.Value, 0xf8, 0xff, 0xff, 0xff, 0x0f, 1) // field 536870911
	if _, err := New(Deps{Registry: &Registry{}}).Cluster(a, "1"); err != nil {
		t.Error(err)
	}
	if _, err := New(Deps{Registry: &Registry{}, RejectUnknown: true}).Cluster(a, "1"); err == nil || !strings.Contains(err.Error(), "no field with number 536870911") {
		t.Error(err)
	}
}
