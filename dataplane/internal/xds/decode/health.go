package decode

import (
	"encoding/hex"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
)

func (d *Decoder) healthChecks(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	for i, h := range m.GetHealthChecks() {
		x, err := healthCheck(h, p.Field("health_checks").Index(i))
		if err != nil {
			return err
		}
		c.HealthChecks = append(c.HealthChecks, x)
	}
	if len(c.HealthChecks) > 1 {
		return p.Field("health_checks").Errorf("Multiple health checks not supported")
	}
	return nil
}

func healthCheck(m *corev3.HealthCheck, p fieldpath.Path) (config.HealthCheck, error) {
	h := config.HealthCheck{
		Timeout: m.GetTimeout().AsDuration(), Interval: m.GetInterval().AsDuration(),
		InitialJitter: duration(m.GetInitialJitter(), 0), IntervalJitter: duration(m.GetIntervalJitter(), 0),
		IntervalJitterPercent: m.GetIntervalJitterPercent(),
		UnhealthyThreshold:    u32(m.GetUnhealthyThreshold(), 0), HealthyThreshold: u32(m.GetHealthyThreshold(), 0),
		ReuseConnection:          boolean(m.GetReuseConnection(), true),
		NoTrafficInterval:        duration(m.GetNoTrafficInterval(), defaultNoTraffic),
		NoTrafficHealthyInterval: duration(m.GetNoTrafficHealthyInterval(), 0),
		UnhealthyInterval:        duration(m.GetUnhealthyInterval(), 0), UnhealthyEdgeInterval: duration(m.GetUnhealthyEdgeInterval(), 0),
		HealthyEdgeInterval: duration(m.GetHealthyEdgeInterval(), 0),
	}
	if m.GetTransportSocketMatchCriteria() != nil {
		h.TransportMatch = m.GetTransportSocketMatchCriteria().AsMap()
	}
	var err error
	switch k := m.GetHealthChecker().(type) {
	case *corev3.HealthCheck_HttpHealthCheck_:
		h.HTTP, err = httpHealthCheck(k.HttpHealthCheck, p.Field("http_health_check"))
	case *corev3.HealthCheck_GrpcHealthCheck_:
		g := k.GrpcHealthCheck
		h.GRPC = &config.GRPCHealthCheck{Service: g.GetServiceName(), Authority: g.GetAuthority()}
		for _, o := range g.GetInitialMetadata() {
			h.GRPC.Metadata = append(h.GRPC.Metadata, config.HeaderValue{
				Name: o.GetHeader().GetKey(), Value: headerText(o.GetHeader()), Action: appendAction(o), KeepEmpty: o.GetKeepEmptyValue(),
			})
		}
	case *corev3.HealthCheck_TcpHealthCheck_:
		h.TCP = &config.TCPHealthCheck{}
		at := p.Field("tcp_health_check")
		if h.TCP.Send, err = payload(k.TcpHealthCheck.GetSend(), at.Field("send")); err == nil {
			h.TCP.Receive, err = payloads(k.TcpHealthCheck.GetReceive(), at.Field("receive"))
		}
	}
	return h, err
}

func httpHealthCheck(m *corev3.HealthCheck_HttpHealthCheck, p fieldpath.Path) (*config.HTTPHealthCheck, error) {
	h := &config.HTTPHealthCheck{
		Host: m.GetHost(), Path: m.GetPath(), Method: "GET", Remove: m.GetRequestHeadersToRemove(),
		Expected: int64Ranges(m.GetExpectedStatuses()), Retriable: int64Ranges(m.GetRetriableStatuses()),
		HTTP2: m.GetCodecClientType() == typev3.CodecClientType_HTTP2, ResponseBuffer: 1024,
	}
	if m.GetMethod() != corev3.RequestMethod_METHOD_UNSPECIFIED {
		h.Method = m.GetMethod().String()
	}
	if h.Method == "CONNECT" {
		return nil, p.Field("method").Errorf("the value CONNECT is not supported")
	}
	if len(h.Expected) == 0 {
		h.Expected = []config.Int64Range{{Start: 200, End: 201}}
	}
	for i, r := range append(m.GetExpectedStatuses(), m.GetRetriableStatuses()...) {
		if r.GetStart() < 100 || r.GetEnd() > 600 || r.GetStart() >= r.GetEnd() {
			return nil, p.Errorf("status range %d: [%d, %d) is not within [100, 600)", i, r.GetStart(), r.GetEnd())
		}
	}
	if m.GetResponseBufferSize() != nil {
		h.ResponseBuffer = m.GetResponseBufferSize().GetValue()
	}
	if s := m.GetServiceNameMatcher(); s != nil {
		v, err := matcher.DecodeString(s, p.Field("service_name_matcher"))
		if err != nil {
			return nil, err
		}
		h.ServiceName = &v
	}
	for _, o := range m.GetRequestHeadersToAdd() {
		h.Add = append(h.Add, config.HeaderValue{
			Name: o.GetHeader().GetKey(), Value: headerText(o.GetHeader()), Action: appendAction(o), KeepEmpty: o.GetKeepEmptyValue(),
		})
	}
	var err error
	if h.Send, err = payload(m.GetSend(), p.Field("send")); err != nil {
		return nil, err
	}
	h.Receive, err = payloads(m.GetReceive(), p.Field("receive"))
	return h, err
}

func int64Ranges(list []*typev3.Int64Range) []config.Int64Range {
	var out []config.Int64Range
	for _, r := range list {
		out = append(out, config.Int64Range{Start: r.GetStart(), End: r.GetEnd()})
	}
	return out
}

func payload(m *corev3.HealthCheck_Payload, p fieldpath.Path) ([]byte, error) {
	if t, ok := m.GetPayload().(*corev3.HealthCheck_Payload_Text); ok {
		b, err := hex.DecodeString(t.Text)
		if err != nil {
			return nil, p.Field("text").Errorf("invalid hex string '%s'", t.Text)
		}
		return b, nil
	}
	return m.GetBinary(), nil
}

func payloads(list []*corev3.HealthCheck_Payload, p fieldpath.Path) ([][]byte, error) {
	var out [][]byte
	for i, m := range list {
		b, err := payload(m, p.Index(i))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
