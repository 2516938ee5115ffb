package health

import (
	"encoding/binary"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// httpQuestion is HealthCheck.HttpHealthCheck.
type httpQuestion struct {
	cfg      *config.HTTPHealthCheck
	ok       bool
	degraded bool
	verified bool
	status   int
}

// authority is the host header of a check: the endpoint's own, the configured,
// or the cluster's name.
func (t *target) authority(configured string) string {
	if h := t.h.HealthCheck.Hostname; h != "" {
		return h
	}
	if configured != "" {
		return configured
	}
	return t.c.cluster.Name
}

func (q *httpQuestion) request(t *target, h *header.Map) []byte {
	method := q.cfg.Method
	if method == "" {
		method = "GET"
	}
	h.AddID(header.Method, method)
	h.AddIDRef(header.Scheme, "http")
	h.AddID(header.Path, q.cfg.Path)
	h.AddID(header.Authority, t.authority(q.cfg.Host))
	h.AddIDRef(header.UserAgent, "Envoy/HC")
	for _, a := range q.cfg.Add {
		addHeader(h, a)
	}
	for _, r := range q.cfg.Remove {
		h.Remove(r)
	}
	if len(q.cfg.Send) == 0 {
		return nil
	}
	h.SetID(header.ContentLength, strconv.Itoa(len(q.cfg.Send)))
	return q.cfg.Send
}

func addHeader(h *header.Map, a config.HeaderValue) {
	there := h.Has(a.Name)
	switch a.Action {
	case config.AddIfAbsent:
		if there {
			return
		}
	case config.OverwriteIfExists:
		if there {
			h.Set(a.Name, a.Value)
		}
		return
	case config.OverwriteIfExistsOrAdd:
		h.Set(a.Name, a.Value)
		return
	}
	h.Add(a.Name, a.Value)
}

func (q *httpQuestion) headers(t *target, h *header.Map) int {
	q.status = atoi(h.GetID(header.Status))
	q.ok = statusIn(q.status, q.cfg.Expected)
	q.degraded = h.HasID(header.EnvoyDegraded)
	if h.HasID(header.EnvoyImmediateHealthCheckFail) {
		t.h.SetFlag(upstream.ExcludedByHC)
	}
	q.verified = true
	if m, is := q.cfg.ServiceName.(*matcher.String); is {
		q.verified = m.Match(h.GetID(header.EnvoyUpstreamHealthChecked))
	}
	if len(q.cfg.Receive) == 0 {
		return 0
	}
	if q.cfg.ResponseBuffer == 0 {
		return 1 << 30 // response_buffer_size 0: no limit
	}
	return int(q.cfg.ResponseBuffer)
}

func (q *httpQuestion) judge(t *target, body []byte, _ *header.Map) outcome {
	o := outcome{status: q.status}
	switch {
	case !q.ok:
		o.retriable = statusIn(q.status, q.cfg.Retriable)
		return o
	case len(q.cfg.Receive) > 0 && !matches(body, q.cfg.Receive):
		return o
	}
	if _, is := q.cfg.ServiceName.(*matcher.String); is {
		t.c.count(statVerify)
	}
	o.ok, o.degraded = q.verified, q.verified && q.degraded
	return o
}

// serving is grpc.health.v1.HealthCheckResponse.SERVING.
const serving = 1

// maxHealthResponse bounds the one small message that is expected, in bytes.
const maxHealthResponse = 4096

// grpcQuestion asks grpc.health.v1.Health (HealthCheck.GrpcHealthCheck).
type grpcQuestion struct {
	cfg    *config.GRPCHealthCheck
	http   int
	status string // grpc-status of a response without a body
}

func (q *grpcQuestion) request(t *target, h *header.Map) []byte {
	h.AddIDRef(header.Method, "POST")
	h.AddIDRef(header.Scheme, "http")
	h.AddIDRef(header.Path, "/grpc.health.v1.Health/Check")
	h.AddID(header.Authority, t.authority(q.cfg.Authority))
	h.AddIDRef(header.TE, "trailers")
	h.AddIDRef(header.ContentType, "application/grpc")
	h.AddIDRef(header.UserAgent, "Envoy/HC")
	for _, m := range q.cfg.Metadata {
		addHeader(h, m)
	}
	var message []byte
	if q.cfg.Service != "" {
		message = protowire.AppendTag(message, 1, protowire.BytesType)
		message = protowire.AppendString(message, q.cfg.Service)
	}
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message)))
	return append(framed, message...)
}

func (q *grpcQuestion) headers(_ *target, h *header.Map) int {
	q.http = atoi(h.GetID(header.Status))
	q.status = string([]byte(h.GetID(header.GrpcStatus))) // the map is used again
	return maxHealthResponse
}

func (q *grpcQuestion) judge(_ *target, body []byte, trailers *header.Map) outcome {
	status := q.status
	if trailers != nil {
		status = trailers.GetID(header.GrpcStatus)
	}
	return outcome{ok: q.http == 200 && status == "0" && isServing(body), status: q.http}
}

// isServing reads the status (field 1) of a framed HealthCheckResponse.
func isServing(body []byte) bool {
	if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:5])) != len(body)-5 {
		return false
	}
	status := uint64(0)
	for m := body[5:]; len(m) > 0; {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return false
		}
		m = m[n:]
		if number == 1 && kind == protowire.VarintType {
			status, n = protowire.ConsumeVarint(m)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, m)
		}
		if n < 0 {
			return false
		}
		m = m[n:]
	}
	return status == serving
}
