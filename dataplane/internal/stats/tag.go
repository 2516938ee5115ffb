package stats

import (
	"regexp"
	"slices"
	"strings"
)

// Tag is one label of a statistic.
type Tag struct{ Name, Value string }

// Extractor finds one tag in a full name. Group 1 of Pattern is what is taken
// out of the name, group 2 (or else group 1) the tag's value. Prefix and
// Contains, where set, spare the look at names that cannot match.
type Extractor struct {
	Tag              string
	Prefix, Contains string
	// Except is a prefix of names that the extractor leaves alone.
	Except  string
	Pattern *regexp.Regexp
}

// Tagger splits names into a name without tags, and tags.
type Tagger struct {
	Fixed      []Tag
	Extractors []Extractor
}

// Split returns the name without what the extractors found, and the tags: the
// extracted ones in order, then the fixed ones.
func (t *Tagger) Split(name string) (string, []Tag) {
	type span struct{ from, to int }
	var cut []span
	var tags []Tag
	for i := range t.Extractors {
		x := &t.Extractors[i]
		if !strings.HasPrefix(name, x.Prefix) || !strings.Contains(name, x.Contains) ||
			x.Except != "" && strings.HasPrefix(name, x.Except) {
			continue
		}
		m := x.Pattern.FindStringSubmatchIndex(name)
		if m == nil || len(m) < 4 || m[2] < 0 {
			continue
		}
		value := name[m[2]:m[3]]
		if len(m) >= 6 && m[4] >= 0 {
			value = name[m[4]:m[5]]
		}
		tags = append(tags, Tag{x.Tag, value})
		cut = append(cut, span{m[2], m[3]})
	}
	slices.SortFunc(cut, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, c := range cut {
		if c.from >= at {
			b.WriteString(name[at:c.from])
		}
		at = max(at, c.to)
	}
	b.WriteString(name[at:])
	return b.String(), append(tags, t.Fixed...)
}

// token turns Envoy's token patterns into an Extractor: parts separated by
// dots, "*" any token, "$" the tag, "**" the rest.
func token(tag, pattern string) Extractor {
	x := Extractor{Tag: tag}
	parts := strings.Split(pattern, ".")
	re := "^"
	plain := true
	for i, p := range parts {
		switch p {
		case "$":
			re += `(([^.]+)(?:\.|$))`
			plain = false
			continue
		case "*":
			re += `[^.]+`
			plain = false
		case "**":
			re += `.+`
		default:
			re += regexp.QuoteMeta(p)
			if plain {
				x.Prefix += p
				if i < len(parts)-1 {
					x.Prefix += "."
				}
			}
		}
		if i < len(parts)-1 {
			re += `\.`
		}
	}
	x.Pattern = regexp.MustCompile(re + "$")
	return x
}

func pattern(tag, prefix, contains, re string) Extractor {
	return Extractor{Tag: tag, Prefix: prefix, Contains: contains, Pattern: regexp.MustCompile(re)}
}

func notFor(except string, x Extractor) Extractor {
	x.Except = except
	return x
}

// DefaultExtractors returns the extractors of Envoy's well-known tags, in the
// order in which they run.
func DefaultExtractors() []Extractor {
	return []Extractor{
		pattern("envoy.response_code", "", "_rq_", `_rq(_(\d{3}))$`),
		pattern("envoy.response_code_class", "", "_rq_", `_rq_((\d))xx$`),
		token("envoy.mongo_callsite", "mongo.*.collection.*.callsite.$.query.**"),
		token("envoy.mongo_collection", "mongo.*.collection.$.**"),
		token("envoy.mongo_cmd", "mongo.*.cmd.$.**"),
		token("envoy.grpc_bridge_method", "cluster.*.grpc.*.$.**"),
		token("envoy.grpc_bridge_service", "cluster.*.grpc.$.**"),
		token("envoy.http_user_agent", "http.*.user_agent.$.**"),
		token("envoy.virtual_cluster", "vhost.*.vcluster.$.**"),
		token("envoy.fault_downstream_cluster", "http.*.fault.$.**"),
		pattern("envoy.ssl_cipher", "listener.", ".ssl.ciphers.", `^listener\..*?\.ssl\.ciphers(\.(.*?))$`),
		pattern("envoy.ssl_curve", "listener.", ".ssl.curves.", `^listener\..*?\.ssl\.curves(\.(.*?))$`),
		pattern("envoy.ssl_sigalg", "listener.", ".ssl.sigalgs.", `^listener\..*?\.ssl\.sigalgs(\.(.*?))$`),
		pattern("envoy.ssl_version", "listener.", ".ssl.versions.", `^listener\..*?\.ssl\.versions(\.(.*?))$`),
		pattern("envoy.ssl_cipher_suite", "cluster.", ".ssl.ciphers.", `^cluster\..*?\.ssl\.ciphers(\.(.*?))$`),
		token("envoy.tcp_prefix", "tcp.$.**"),
		token("envoy.udp_prefix", "udp.$.**"),
		token("envoy.clientssl_prefix", "auth.clientssl.$.**"),
		token("envoy.ratelimit_prefix", "ratelimit.$.**"),
		token("envoy.cluster_name", "cluster.$.**"),
		pattern("envoy.http_conn_manager_prefix", "listener.", ".http.", `^listener\..*?\.http\.((.*?)\.)`),
		token("envoy.http_conn_manager_prefix", "http.$.**"),
		pattern("envoy.worker_id", "", "worker_", `\.worker_((\d+)\.)`),
		notFor("listener.admin.", pattern("envoy.listener_address", "listener.", "", `^listener\.(([_.\d]+|[_\[\]a-fA-F\d]+|[^.]+)\.)`)),
		token("envoy.virtual_host", "vhost.$.**"),
		token("envoy.mongo_prefix", "mongo.$.**"),
		pattern("envoy.rds_route_config", "http.", ".rds.", `^http\..*?\.rds\.((.*?)\.)\w+?$`),
		pattern("envoy.scoped_rds_config", "http.", ".scoped_rds.", `^http\..*?\.scoped_rds\.((.*?)\.)\w+?$`),
		token("envoy.route", "vhost.*.route.$.**"),
		token("envoy.thrift_prefix", "thrift.$.**"),
		token("envoy.redis_prefix", "redis.$.**"),
		pattern("envoy.local_http_ratelimit_prefix", "", ".http_local_rate_limit.", `^((.*?)\.)http_local_rate_limit\.`),
		token("envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"),
		token("envoy.local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"),
		token("envoy.dns_filter_prefix", "dns_filter.$.**"),
		token("envoy.connection_limit_prefix", "connection_limit.$.**"),
		pattern("envoy.rbac_policy_name", "", "rbac.policy.", `rbac\.policy\.((.*?)\.)`),
		token("envoy.rbac_http_prefix", "http.*.rbac.$.**"),
		token("envoy.proxy_protocol_prefix", "proxy_proto.$.**"),
		pattern("envoy.proxy_protocol_version", "proxy_proto.", ".versions.v", `\.versions\.(v(\d)\.)`),
		token("envoy.google_grpc_client_prefix", "grpc.$.**"),
		pattern("envoy.xds_resource_name", "sds.", "", `^sds\.((.*?)\.)\w+$`),
	}
}
