package header

// ID names a header that the proxy itself looks at; looking one up is a scan
// over one byte per entry. Other headers have the ID Other.
type ID uint8

// The well-known headers. String gives the lower-case name.
const (
	Other ID = iota
	Method
	Path
	Authority
	Scheme
	Status
	Protocol
	Host
	ContentLength
	ContentType
	TransferEncoding
	Connection
	KeepAlive
	ProxyConnection
	Upgrade
	TE
	Trailer
	Expect
	Date
	Server
	Via
	UserAgent
	Accept
	AcceptEncoding
	Cookie
	SetCookie
	Location
	Referer
	Authorization
	Origin
	GrpcStatus
	GrpcMessage
	GrpcTimeout
	GrpcAcceptEncoding
	HTTP2Settings
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XForwardedClientCert
	XRequestID
	XClientTraceID
	EnvoyInternal
	EnvoyExternalAddress
	EnvoyOriginalPath
	EnvoyOriginalHost
	EnvoyExpectedTimeoutMs
	EnvoyUpstreamRequestTimeoutMs
	EnvoyUpstreamPerTryTimeoutMs
	EnvoyUpstreamServiceTime
	EnvoyUpstreamHealthChecked
	EnvoyAttemptCount
	EnvoyRetryOn
	EnvoyRetryGrpcOn
	EnvoyMaxRetries
	EnvoyRetriableStatusCodes
	EnvoyRetriableHeaderNames
	EnvoyHedgeOnPerTryTimeout
	EnvoyUpstreamAltStatName
	EnvoyUpstreamCanary
	EnvoyImmediateHealthCheckFail
	EnvoyIsTimeoutRetry
	EnvoyOverloaded
	EnvoyRateLimited
	EnvoyLocalOverloaded
	EnvoyDegraded
	EnvoyDecoratorOperation
	EnvoyDownstreamServiceCluster
	EnvoyDownstreamServiceNode
	EnvoyIPTags
	EnvoyForceTrace
	numIDs
)

var names = [numIDs]string{
	Method: ":method", Path: ":path", Authority: ":authority", Scheme: ":scheme",
	Status: ":status", Protocol: ":protocol",
	Host: "host", ContentLength: "content-length", ContentType: "content-type",
	TransferEncoding: "transfer-encoding", Connection: "connection", KeepAlive: "keep-alive",
	ProxyConnection: "proxy-connection", Upgrade: "upgrade", TE: "te", Trailer: "trailer",
	Expect: "expect", Date: "date", Server: "server", Via: "via", UserAgent: "user-agent",
	Accept: "accept", AcceptEncoding: "accept-encoding", Cookie: "cookie", SetCookie: "set-cookie",
	Location: "location", Referer: "referer", Authorization: "authorization", Origin: "origin",
	GrpcStatus: "grpc-status", GrpcMessage: "grpc-message", GrpcTimeout: "grpc-timeout",
	GrpcAcceptEncoding: "grpc-accept-encoding", HTTP2Settings: "http2-settings",
	XForwardedFor: "x-forwarded-for", XForwardedProto: "x-forwarded-proto",
	XForwardedHost: "x-forwarded-host", XForwardedPort: "x-forwarded-port",
	XForwardedClientCert: "x-forwarded-client-cert", XRequestID: "x-request-id",
	XClientTraceID: "x-client-trace-id",
	EnvoyInternal:  "x-envoy-internal", EnvoyExternalAddress: "x-envoy-external-address",
	EnvoyOriginalPath: "x-envoy-original-path", EnvoyOriginalHost: "x-envoy-original-host",
	EnvoyExpectedTimeoutMs:        "x-envoy-expected-rq-timeout-ms",
	EnvoyUpstreamRequestTimeoutMs: "x-envoy-upstream-rq-timeout-ms",
	EnvoyUpstreamPerTryTimeoutMs:  "x-envoy-upstream-rq-per-try-timeout-ms",
	EnvoyUpstreamServiceTime:      "x-envoy-upstream-service-time",
	EnvoyUpstreamHealthChecked:    "x-envoy-upstream-healthchecked-cluster",
	EnvoyAttemptCount:             "x-envoy-attempt-count",
	EnvoyRetryOn:                  "x-envoy-retry-on", EnvoyRetryGrpcOn: "x-envoy-retry-grpc-on",
	EnvoyMaxRetries:               "x-envoy-max-retries",
	EnvoyRetriableStatusCodes:     "x-envoy-retriable-status-codes",
	EnvoyRetriableHeaderNames:     "x-envoy-retriable-header-names",
	EnvoyHedgeOnPerTryTimeout:     "x-envoy-hedge-on-per-try-timeout",
	EnvoyUpstreamAltStatName:      "x-envoy-upstream-alt-stat-name",
	EnvoyUpstreamCanary:           "x-envoy-upstream-canary",
	EnvoyImmediateHealthCheckFail: "x-envoy-immediate-health-check-fail",
	EnvoyIsTimeoutRetry:           "x-envoy-is-timeout-retry",
	EnvoyOverloaded:               "x-envoy-overloaded", EnvoyRateLimited: "x-envoy-ratelimited",
	EnvoyLocalOverloaded: "x-envoy-local-overloaded", EnvoyDegraded: "x-envoy-degraded",
	EnvoyDecoratorOperation:       "x-envoy-decorator-operation",
	EnvoyDownstreamServiceCluster: "x-envoy-downstream-service-cluster",
	EnvoyDownstreamServiceNode:    "x-envoy-downstream-service-node",
	EnvoyIPTags:                   "x-envoy-ip-tags", EnvoyForceTrace: "x-envoy-force-trace",
}

// single marks the headers that are kept as one line, as Envoy does with those
// that it looks at itself: a second line is appended with a comma.
var single = func() (t [256]bool) {
	for id := ID(1); id < numIDs; id++ {
		t[id] = names[id] != "" && names[id][0] != ':'
	}
	for _, id := range []ID{Host, ContentLength, TransferEncoding, Trailer, Cookie, SetCookie, TE} {
		t[id] = false
	}
	return t
}()

// String returns the header's lower-case name; "" for Other.
func (id ID) String() string { return names[id] }

// tableBits sizes the look-up table so that names seldom collide.
const tableBits = 10

var table = buildTable()

func hash(name string) uint32 {
	n := len(name)
	h := uint32(n)*0x9E3779B1 ^ uint32(name[n-1])*0x85EBCA6B ^ uint32(name[n/2])*0xC2B2AE35 ^ uint32(name[0])*0x27D4EB2F
	return (h ^ h>>15) >> 3 & (1<<tableBits - 1)
}

func buildTable() *[1 << tableBits]ID {
	t := new([1 << tableBits]ID)
	for id := ID(1); id < numIDs; id++ {
		i := hash(names[id])
		for t[i] != Other {
			i = (i + 1) & (1<<tableBits - 1)
		}
		t[i] = id
	}
	return t
}

// Lookup returns the ID of a lower-case name, or Other.
func Lookup(name string) ID {
	if name == "" {
		return Other
	}
	for i := hash(name); ; i = (i + 1) & (1<<tableBits - 1) {
		id := table[i]
		if id == Other || names[id] == name {
			return id
		}
	}
}
