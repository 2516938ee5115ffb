package formatter

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

type info = streaminfo.Info

// compile turns a command into its operator.
func compile(c *command, o Options) (*operator, error) {
	if op := plain(c.name, o); op != nil {
		if c.hasArg && !takesOptional[c.name] {
			return nil, fmt.Errorf("%%%s%% takes no parameters", c.name)
		}
		if !c.hasArg || !takesOptional[c.name] {
			return op, nil
		}
	}
	if op, err := withArgument(c); op != nil || err != nil {
		return op, err
	}
	return nil, fmt.Errorf("Not supported field in StreamInfo: %s", c.name)
}

// takesOptional are the commands of plain that also have a form with an
// argument.
var takesOptional = map[string]bool{
	"START_TIME": true, "RESPONSE_CODE_DETAILS": true, "GRPC_STATUS": true, "PATH": true, "QUERY_PARAMS": true,
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": true, "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": true,
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": true, "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT": true,
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": true, "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": true, "START_TIME_LOCAL": true, "EMIT_TIME": true,
	"REQUESTED_SERVER_NAME": true, "DOWNSTREAM_PEER_CERT_V_START": true, "DOWNSTREAM_PEER_CERT_V_END": true,
}

func str(f func(i *info) string) *operator {
	return &operator{append: func(b []byte, i *info) ([]byte, bool) {
		s := f(i)
		return append(b, s...), s != ""
	}}
}

// strOrEmpty has a value even when it is "".
func strOrEmpty(f func(i *info) string) *operator {
	return &operator{append: func(b []byte, i *info) ([]byte, bool) { return append(b, f(i)...), true }}
}

func num(f func(i *info) (uint64, bool)) *operator {
	return &operator{form: number, append: func(b []byte, i *info) ([]byte, bool) {
		n, ok := f(i)
		return strconv.AppendUint(b, n, 10), ok
	}}
}

func always(f func(i *info) uint64) *operator {
	return num(func(i *info) (uint64, bool) { return f(i), true })
}

func addr(f func(i *info) address.Address) *operator {
	return str(func(i *info) string {
		if a := f(i); a.IsValid() {
			return a.String()
		}
		return ""
	})
}

func host(f func(i *info) address.Address) *operator {
	return &operator{append: func(b []byte, i *info) ([]byte, bool) {
		a := f(i)
		return a.AppendIP(b), a.IsValid()
	}}
}

func port(f func(i *info) address.Address) *operator {
	return num(func(i *info) (uint64, bool) { a := f(i); return uint64(a.Port()), a.IsIP() })
}

// millis is a duration between two times; missing ends give no value.
func millis(f func(i *info) (from, to time.Time)) *operator {
	return num(func(i *info) (uint64, bool) {
		a, z := f(i)
		if a.IsZero() || z.IsZero() || z.Before(a) {
			return 0, false
		}
		return uint64(z.Sub(a).Milliseconds()), true
	})
}

func conn(i *info) *network.Info {
	if i.Conn == nil {
		return &network.Info{}
	}
	return i.Conn
}

func upConn(i *info) *network.Info {
	if i.Upstream.Conn == nil {
		return &network.Info{}
	}
	return i.Upstream.Conn
}

func remote(i *info) address.Address       { return conn(i).Remote }
func local(i *info) address.Address        { return conn(i).Local }
func directRemote(i *info) address.Address { return conn(i).DirectRemote }
func directLocal(i *info) address.Address  { return conn(i).DirectLocal }
func upRemote(i *info) address.Address {
	if h := i.Upstream.Host; h != nil {
		return h.Address
	}
	return address.Address{}
}
func upLocal(i *info) address.Address { return upConn(i).Local }

// plain returns the operator of a command without an argument.
func plain(name string, o Options) *operator {
	switch name {
	case "HOSTNAME":
		return str(func(*info) string { return o.Hostname })
	case "PROTOCOL":
		return str(func(i *info) string {
			if !i.HasProtocol {
				return ""
			}
			return i.Protocol.String()
		})
	case "UPSTREAM_PROTOCOL":
		return str(func(i *info) string {
			if !i.Upstream.HasProtocol {
				return ""
			}
			return i.Upstream.Protocol.String()
		})
	case "RESPONSE_CODE":
		return always(func(i *info) uint64 { return uint64(i.Code) })
	case "RESPONSE_CODE_DETAILS":
		return str(func(i *info) string { return underscores(i.Details) })
	case "RESPONSE_FLAGS":
		return &operator{append: func(b []byte, i *info) ([]byte, bool) { return i.Flags.Append(b), true }}
	case "RESPONSE_FLAGS_LONG":
		return &operator{append: func(b []byte, i *info) ([]byte, bool) { return i.Flags.AppendLong(b), true }}
	case "CONNECTION_TERMINATION_DETAILS":
		return str(func(i *info) string {
			if i.Termination != "" {
				return i.Termination
			}
			return ""
		})
	case "BYTES_RECEIVED":
		return always(func(i *info) uint64 { return i.BytesReceived })
	case "BYTES_SENT":
		return always(func(i *info) uint64 { return i.BytesSent })
	case "LOCAL_REPLY_BODY":
		return strOrEmpty(func(i *info) string { return i.LocalReplyBody })
	case "CUSTOM_FLAGS":
		return strOrEmpty(func(*info) string { return "" })
	case "ACCESS_LOG_TYPE":
		return str(func(i *info) string {
			if i.LogType == "" {
				return streaminfo.NotSet
			}
			return i.LogType
		})
	case "ROUTE_NAME":
		return str(func(i *info) string { return i.RouteName })
	case "VIRTUAL_CLUSTER_NAME":
		return str(func(i *info) string { return i.VirtualCluster })
	case "UPSTREAM_CLUSTER":
		return str(func(i *info) string { return i.Cluster })
	case "UPSTREAM_CLUSTER_RAW":
		return str(func(i *info) string { return i.ClusterName })
	case "UPSTREAM_REQUEST_ATTEMPT_COUNT":
		return always(func(i *info) uint64 { return uint64(i.Attempts) })
	case "FILTER_CHAIN_NAME":
		return str(func(i *info) string { return conn(i).FilterChainName })
	case "CONNECTION_ID":
		return num(func(i *info) (uint64, bool) { return i.ConnectionID, i.ConnectionID != 0 })
	case "UPSTREAM_CONNECTION_ID":
		return num(func(i *info) (uint64, bool) { return i.Upstream.ConnectionID, i.Upstream.ConnectionID != 0 })
	case "STREAM_ID":
		return str(func(i *info) string {
			if i.Request != nil {
				if id := i.Request.GetID(header.XRequestID); id != "" {
					return id
				}
			}
			return strconv.FormatUint(i.StreamID, 16)
		})
	case "TRACE_ID", "SPAN_ID":
		return str(func(*info) string { return "" })
	case "UPSTREAM_TRANSPORT_FAILURE_REASON":
		return str(func(i *info) string { return underscores(i.Upstream.TransportFailure) })
	case "DOWNSTREAM_TRANSPORT_FAILURE_REASON":
		return str(func(i *info) string { return underscores(conn(i).TransportFailure) })
	case "DOWNSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_CLOSE_REASON":
		return str(func(*info) string { return "" })
	case "DOWNSTREAM_DETECTED_CLOSE_TYPE":
		return str(func(*info) string { return "Normal" })
	case "UPSTREAM_DETECTED_CLOSE_TYPE":
		return str(func(i *info) string {
			if i.Upstream.Conn == nil {
				return ""
			}
			return "Normal"
		})
	}
	if op := times(name); op != nil {
		return op
	}
	if op := addresses(name); op != nil {
		return op
	}
	if op := sizes(name); op != nil {
		return op
	}
	if op := tlsOperator(name); op != nil {
		return op
	}
	return optional(name)
}

// optional are the forms without an argument of commands that may have one.
func optional(name string) *operator {
	switch name {
	case "START_TIME":
		return &operator{append: func(b []byte, i *info) ([]byte, bool) { return appendISO(b, i.Start), true }}
	case "EMIT_TIME":
		return &operator{append: func(b []byte, i *info) ([]byte, bool) { return appendISO(b, time.Now()), true }}
	case "GRPC_STATUS":
		return grpcStatus(grpcCamel)
	case "GRPC_STATUS_NUMBER":
		return grpcNumber()
	case "PATH":
		op, _ := path("WQ")
		return op
	case "QUERY_PARAMS":
		op, _ := queryParams("")
		return op
	}
	return nil
}

func times(name string) *operator {
	switch name {
	case "DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return i.Start, i.End })
	case "REQUEST_DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return i.Start, i.RequestEnd })
	case "REQUEST_TX_DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return i.Start, i.Upstream.RequestEnd })
	case "RESPONSE_DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return i.Start, i.Upstream.ResponseStart })
	case "RESPONSE_TX_DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return i.Upstream.ResponseStart, i.ResponseEnd })
	case "ROUNDTRIP_DURATION":
		return millis(func(*info) (time.Time, time.Time) { return time.Time{}, time.Time{} })
	case "DOWNSTREAM_HANDSHAKE_DURATION":
		return millis(func(i *info) (time.Time, time.Time) { return conn(i).Start, conn(i).HandshakeDone })
	case "UPSTREAM_CONNECTION_POOL_READY_DURATION":
		return num(func(i *info) (uint64, bool) {
			return uint64(i.Upstream.PoolReady.Milliseconds()), i.Upstream.HasProtocol
		})
	}
	return nil
}

func addresses(name string) *operator {
	for prefix, f := range map[string]func(*info) address.Address{
		"DOWNSTREAM_REMOTE": remote, "DOWNSTREAM_LOCAL": local, "DOWNSTREAM_DIRECT_REMOTE": directRemote,
		"DOWNSTREAM_DIRECT_LOCAL": directLocal, "UPSTREAM_REMOTE": upRemote, "UPSTREAM_LOCAL": upLocal,
	} {
		switch name {
		case prefix + "_ADDRESS":
			return addr(f)
		case prefix + "_ADDRESS_WITHOUT_PORT":
			return host(f)
		case prefix + "_PORT":
			return port(f)
		}
	}
	hostname := func(h *upstream.Host) string {
		if h.Hostname != "" {
			return h.Hostname
		}
		return h.Address.String()
	}
	switch name {
	case "UPSTREAM_HOST":
		return addr(upRemote)
	case "UPSTREAM_HOST_NAME":
		return str(func(i *info) string {
			if i.Upstream.Host == nil {
				return ""
			}
			return hostname(i.Upstream.Host)
		})
	case "UPSTREAM_HOST_NAME_WITHOUT_PORT":
		return str(func(i *info) string {
			if i.Upstream.Host == nil {
				return ""
			}
			return withoutPort(hostname(i.Upstream.Host))
		})
	case "UPSTREAM_HOSTS_ATTEMPTED":
		return attempted(func(h *upstream.Host) string { return h.Address.String() })
	case "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT":
		return attempted(func(h *upstream.Host) string { return h.Address.IP().String() })
	case "UPSTREAM_HOST_NAMES_ATTEMPTED":
		return attempted(hostname)
	case "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT":
		return attempted(func(h *upstream.Host) string { return withoutPort(hostname(h)) })
	case "UPSTREAM_CONNECTION_IDS_ATTEMPTED":
		return str(func(i *info) string {
			var ids []string
			for _, id := range i.Upstream.AttemptedIDs {
				ids = append(ids, strconv.FormatUint(id, 10))
			}
			return strings.Join(ids, ",")
		})
	}
	return nil
}

func attempted(f func(h *upstream.Host) string) *operator {
	return str(func(i *info) string {
		var all []string
		for _, h := range i.Upstream.Attempted {
			all = append(all, f(h))
		}
		return strings.Join(all, ",")
	})
}

func withoutPort(s string) string {
	if i := strings.LastIndexByte(s, ':'); i > 0 && !strings.HasSuffix(s, "]") {
		return s[:i]
	}
	return s
}

func sizes(name string) *operator {
	up := func(f func(i *info) uint64) *operator { return always(f) }
	switch name {
	case "REQUEST_HEADERS_BYTES":
		return always(func(i *info) uint64 { return mapSize(i.Request) })
	case "RESPONSE_HEADERS_BYTES":
		return always(func(i *info) uint64 { return mapSize(i.Response) })
	case "RESPONSE_TRAILERS_BYTES":
		return always(func(i *info) uint64 { return mapSize(i.Trailers) })
	case "DOWNSTREAM_WIRE_BYTES_RECEIVED":
		return always(func(i *info) uint64 { return i.Downstream.WireBytesReceived })
	case "DOWNSTREAM_WIRE_BYTES_SENT":
		return always(func(i *info) uint64 { return i.Downstream.WireBytesSent })
	case "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED":
		return always(func(i *info) uint64 { return i.Downstream.HeaderBytesReceived })
	case "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT":
		return always(func(i *info) uint64 { return i.Downstream.HeaderBytesSent })
	case "UPSTREAM_WIRE_BYTES_RECEIVED":
		return up(func(i *info) uint64 { return i.UpstreamMeter.WireBytesReceived })
	case "UPSTREAM_WIRE_BYTES_SENT":
		return up(func(i *info) uint64 { return i.UpstreamMeter.WireBytesSent })
	case "UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED":
		return up(func(i *info) uint64 { return i.UpstreamMeter.HeaderBytesReceived })
	case "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT":
		return up(func(i *info) uint64 { return i.UpstreamMeter.HeaderBytesSent })
	}
	return nil
}

func mapSize(h *header.Map) uint64 {
	if h == nil {
		return 0
	}
	return uint64(h.ByteSize())
}

// underscores replaces white space, as %RESPONSE_CODE_DETAILS% shows it.
func underscores(s string) string {
	if !strings.ContainsAny(s, " \t") {
		return s
	}
	return strings.NewReplacer(" ", "_", "\t", "_").Replace(s)
}

// environment is read once: it does not change.
func environment(name string) *operator {
	v, ok := os.LookupEnv(name)
	return &operator{append: func(b []byte, _ *info) ([]byte, bool) { return append(b, v...), ok }}
}

// masked is an address cut to a prefix, "10.1.0.0/16".
func masked(f func(i *info) address.Address, bits int) *operator {
	return str(func(i *info) string {
		a := f(i)
		if !a.IsIP() {
			return ""
		}
		p, err := a.IP().Prefix(bits)
		if err != nil {
			return netip.PrefixFrom(a.IP(), a.IP().BitLen()).String()
		}
		return p.String()
	})
}
