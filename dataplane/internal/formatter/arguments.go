package formatter

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
)

// withArgument returns the operator of a command with an argument.
func withArgument(c *command) (*operator, error) {
	if !c.hasArg {
		return nil, needsArgument(c.name)
	}
	switch c.name {
	case "REQ", "REQUEST_HEADER":
		return headerOp(c.arg, func(i *info) *header.Map { return i.Request }), nil
	case "RESP", "RESPONSE_HEADER":
		return headerOp(c.arg, func(i *info) *header.Map { return i.Response }), nil
	case "TRAILER", "RESPONSE_TRAILER":
		return headerOp(c.arg, func(i *info) *header.Map { return i.Trailers }), nil
	case "REQ_WITHOUT_QUERY":
		return withoutQuery(c.arg), nil
	case "START_TIME", "START_TIME_LOCAL":
		f := compileTime(c.arg)
		zone := time.UTC
		if c.name == "START_TIME_LOCAL" {
			zone = time.Local
		}
		return &operator{append: func(b []byte, i *info) ([]byte, bool) { return f.append(b, i.Start.In(zone)), true }}, nil
	case "EMIT_TIME":
		f := compileTime(c.arg)
		return &operator{append: func(b []byte, _ *info) ([]byte, bool) { return f.append(b, time.Now().UTC()), true }}, nil
	case "RESPONSE_CODE_DETAILS":
		if c.arg != "ALLOW_WHITESPACES" {
			return nil, fmt.Errorf("%%RESPONSE_CODE_DETAILS%%: unknown parameter %q", c.arg)
		}
		return str(func(i *info) string { return i.Details }), nil
	case "GRPC_STATUS":
		return grpcForm(c.arg)
	case "PATH":
		return path(c.arg)
	case "QUERY_PARAM":
		return queryParam(c.arg), nil
	case "QUERY_PARAMS":
		return queryParams(c.arg)
	case "ENVIRONMENT":
		return environment(c.arg), nil
	case "COMMON_DURATION":
		return commonDuration(c.arg)
	case "DYNAMIC_METADATA":
		return metadataOp(c.arg, func(i *info) map[string]map[string]any { return i.Metadata }), nil
	case "CLUSTER_METADATA":
		return metadataOp(c.arg, func(i *info) map[string]map[string]any { return i.ClusterMetadata }), nil
	case "UPSTREAM_METADATA":
		return metadataOp(c.arg, hostMetadata), nil
	case "METADATA":
		return typedMetadata(c.arg)
	case "FILTER_STATE":
		return filterState(c.arg)
	case "REQUESTED_SERVER_NAME":
		return nil, fmt.Errorf("%%REQUESTED_SERVER_NAME(%s)%% is not supported", c.arg)
	case "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END":
		return certTime(c.name, compileTime(c.arg)), nil
	}
	if bits, err := strconv.Atoi(c.arg); err == nil {
		switch c.name {
		case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":
			return masked(remote, bits), nil
		case "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":
			return masked(local, bits), nil
		case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT":
			return masked(directRemote, bits), nil
		case "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT":
			return masked(directLocal, bits), nil
		case "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":
			return masked(upRemote, bits), nil
		case "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":
			return masked(upLocal, bits), nil
		}
	}
	return nil, nil
}

// needsArgument refuses a command that makes no sense without one.
func needsArgument(name string) error {
	switch name {
	case "REQ", "RESP", "TRAILER", "REQUEST_HEADER", "RESPONSE_HEADER", "RESPONSE_TRAILER", "ENVIRONMENT", "DYNAMIC_METADATA",
		"CLUSTER_METADATA", "UPSTREAM_METADATA", "METADATA", "FILTER_STATE", "QUERY_PARAM", "COMMON_DURATION", "REQ_WITHOUT_QUERY":
		return fmt.Errorf("%%%s%% requires parameters", name)
	}
	return nil
}

// headerOp is X or X?Y: the first line of X, or else of Y.
func headerOp(arg string, of func(i *info) *header.Map) *operator {
	main, alt, _ := strings.Cut(strings.ToLower(arg), "?")
	main, alt = name(main), name(alt)
	return &operator{append: func(b []byte, i *info) ([]byte, bool) {
		h := of(i)
		if h == nil {
			return b, false
		}
		v, ok := h.Get(main)
		if !ok && alt != "" {
			v, ok = h.Get(alt)
		}
		return append(b, v...), ok
	}}
}

// name is a header's name in the map: Host is :authority there.
func name(s string) string {
	if s == "host" {
		return ":authority"
	}
	return s
}

func withoutQuery(arg string) *operator {
	inner := headerOp(arg, func(i *info) *header.Map { return i.Request })
	return &operator{append: func(b []byte, i *info) ([]byte, bool) {
		at := len(b)
		b, ok := inner.append(b, i)
		for k := at; k < len(b); k++ {
			if b[k] == '?' {
				return b[:k], ok
			}
		}
		return b, ok
	}}
}

// path is PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH).
func path(arg string) (*operator, error) {
	query, which, _ := strings.Cut(arg, ":")
	if query != "WQ" && query != "NQ" && query != "" {
		return nil, fmt.Errorf("invalid PATH option: '%s', only 'WQ'/'NQ' are allowed", query)
	}
	switch which {
	case "", "ORIG", "PATH", "ORIG_OR_PATH":
	default:
		return nil, fmt.Errorf("invalid PATH option: '%s', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed", which)
	}
	return str(func(i *info) string {
		p := requestPath(i, which)
		if query == "NQ" {
			p, _, _ = strings.Cut(p, "?")
		}
		return p
	}), nil
}

func requestPath(i *info, which string) string {
	if i.Request == nil {
		return ""
	}
	orig := i.Request.GetID(header.EnvoyOriginalPath)
	switch which {
	case "ORIG":
		return orig
	case "PATH":
		return i.Request.GetID(header.Path)
	}
	if orig != "" {
		return orig
	}
	return i.Request.GetID(header.Path)
}

func queryParam(key string) *operator {
	return str(func(i *info) string {
		v, _ := matcher.QueryValue(requestPath(i, ""), key)
		if d, err := url.PathUnescape(v); err == nil {
			return d
		}
		return v
	})
}

func queryParams(arg string) (*operator, error) {
	if arg != "" && arg != "ORIG" && arg != "DECODED" {
		return nil, fmt.Errorf("invalid QUERY_PARAMS option: '%s'", arg)
	}
	return str(func(i *info) string {
		_, q, _ := strings.Cut(requestPath(i, ""), "?")
		if arg == "DECODED" {
			if d, err := url.PathUnescape(q); err == nil {
				return d
			}
		}
		return q
	}), nil
}

// points are the moments of COMMON_DURATION.
var points = map[string]func(i *info) time.Time{
	"DS_RX_BEG": func(i *info) time.Time { return i.Start }, "DS_RX_END": func(i *info) time.Time { return i.RequestEnd },
	"DS_TX_BEG": func(i *info) time.Time { return i.ResponseStart }, "DS_TX_END": func(i *info) time.Time { return i.ResponseEnd },
	"US_CX_BEG":      func(i *info) time.Time { return i.Upstream.ConnectStart },
	"US_CX_END":      func(i *info) time.Time { return i.Upstream.ConnectEnd },
	"US_HS_END":      func(i *info) time.Time { return i.Upstream.HandshakeEnd },
	"US_TX_BEG":      func(i *info) time.Time { return i.Upstream.RequestStart },
	"US_TX_END":      func(i *info) time.Time { return i.Upstream.RequestEnd },
	"US_RX_BEG":      func(i *info) time.Time { return i.Upstream.ResponseStart },
	"US_RX_BODY_BEG": func(i *info) time.Time { return i.Upstream.ResponseBodyStart },
	"US_RX_END":      func(i *info) time.Time { return i.Upstream.ResponseEnd },
}

func commonDuration(arg string) (*operator, error) {
	parts := strings.Split(arg, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("invalid COMMON_DURATION: %q, want START:END:UNIT", arg)
	}
	from, to := points[parts[0]], points[parts[1]]
	unit, ok := map[string]time.Duration{"ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}[parts[2]]
	if from == nil || to == nil || !ok {
		return nil, fmt.Errorf("invalid COMMON_DURATION: %q", arg)
	}
	return num(func(i *info) (uint64, bool) {
		a, z := from(i), to(i)
		if a.IsZero() || z.IsZero() || z.Before(a) {
			return 0, false
		}
		return uint64(z.Sub(a) / unit), true
	}), nil
}

func hostMetadata(i *info) map[string]map[string]any {
	if i.Upstream.Host == nil {
		return nil
	}
	return i.Upstream.Host.Metadata()
}

// metadataOp is NAMESPACE:KEY:KEY…: the value as it is in JSON, strings without
// quotes in text.
func metadataOp(arg string, of func(i *info) map[string]map[string]any) *operator {
	keys := strings.Split(arg, ":")
	value := func(i *info) any {
		ns, ok := of(i)[keys[0]]
		if !ok {
			return nil
		}
		var v any = ns
		for _, k := range keys[1:] {
			m, isMap := v.(map[string]any)
			if !isMap {
				return nil
			}
			if v, ok = m[k]; !ok {
				return nil
			}
		}
		return v
	}
	return anyOp(value)
}

func anyOp(value func(i *info) any) *operator {
	return &operator{form: any_, value: value, append: func(b []byte, i *info) ([]byte, bool) {
		switch v := value(i).(type) {
		case nil:
			return b, false
		case string:
			return append(b, v...), true
		default:
			return appendValue(b, v), true
		}
	}}
}

func typedMetadata(arg string) (*operator, error) {
	kind, rest, _ := strings.Cut(arg, ":")
	switch kind {
	case "DYNAMIC":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return i.Metadata }), nil
	case "CLUSTER":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return i.ClusterMetadata }), nil
	case "ROUTE":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return i.RouteMetadata }), nil
	case "VIRTUAL_HOST":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return i.VirtualHostMetadata }), nil
	case "UPSTREAM_HOST":
		return metadataOp(rest, hostMetadata), nil
	case "LISTENER":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return conn(i).ListenerMetadata }), nil
	case "LISTENER_FILTER_CHAIN":
		return metadataOp(rest, func(i *info) map[string]map[string]any { return conn(i).ChainMetadata }), nil
	}
	return nil, fmt.Errorf("%s is not supported type of metadata", kind)
}

// filterState is KEY, KEY:PLAIN or KEY:TYPED.
func filterState(arg string) (*operator, error) {
	key, form, _ := strings.Cut(arg, ":")
	if form != "" && form != "PLAIN" && form != "TYPED" {
		return nil, fmt.Errorf("Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.")
	}
	return anyOp(func(i *info) any {
		if v, ok := i.FilterState[key]; ok {
			return v
		}
		return conn(i).FilterState[key]
	}), nil
}
