package configapi

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// call is what one request carries along.
type call struct {
	id auth.Identity
	// method is the short name: Apply.
	method string
	// keys that the call would write, for the audit record.
	keys []resource.Key
	// audited: the record was written with the commit.
	audited bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

func identity(ctx context.Context) auth.Identity { return callOf(ctx).id }

func noteWrite(ctx context.Context, keys []resource.Key) { callOf(ctx).keys = keys }

func noteAudited(ctx context.Context) { callOf(ctx).audited = true }

// writes are the methods of which every call is in the audit record.
func writes(method string) bool {
	switch method {
	case "Apply", "Delete", "Revert", "Heartbeat", "CreateToken", "RevokeToken":
		return true
	}
	return false
}

// open methods need no token.
func open(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/grpc.health.v1.Health/") }

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	err = s.around(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		answer, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return s.around(stream.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &contextStream{stream, ctx})
	})
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (c *contextStream) Context() context.Context { return c.ctx }

// around is what every call passes: trace, token, handler, metrics, audit.
func (s *Server) around(ctx context.Context, fullMethod string, handle func(context.Context) error) (err error) {
	start := time.Now()
	method := fullMethod[strings.LastIndexByte(fullMethod, '/')+1:]
	md, _ := metadata.FromIncomingContext(ctx)
	ctx = propagation.TraceContext{}.Extract(ctx, carrier(md))
	ctx, span := s.tracer.Start(ctx, strings.TrimPrefix(fullMethod, "/"), trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	c := &call{method: method}
	ctx = context.WithValue(ctx, callKey{}, c)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "method", method, "panic", p, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal error")
		}
		code := status.Code(err)
		s.metrics.calls.WithLabelValues(method, code.String()).Inc()
		s.metrics.seconds.WithLabelValues(method).Observe(time.Since(start).Seconds())
		span.SetAttributes(attribute.String("rpc.grpc.status_code", code.String()), attribute.String("hawser.actor", c.id.Name))
		if err != nil {
			span.SetStatus(otelcodes.Error, status.Convert(err).Message())
		}
		s.finish(ctx, c, err)
	}()
	if open(fullMethod) {
		return handle(ctx)
	}
	if c.id, err = s.authenticate(ctx, bearer(md)); err != nil {
		return err
	}
	if err = handle(ctx); err != nil {
		err = s.asStatus(err)
	}
	return err
}

// finish logs a call and writes the audit record of a write that was
// refused or changed nothing.
func (s *Server) finish(ctx context.Context, c *call, err error) {
	code := status.Code(err)
	if !writes(c.method) {
		return
	}
	s.log.Info("write", "method", c.method, "actor", c.id.Name, "code", code.String(), "peer", peerOf(ctx), "resources", len(c.keys))
	if c.audited || err == nil {
		return
	}
	st, storeErr := s.openStore()
	if storeErr != nil {
		return // there is nowhere to write it but the log
	}
	// The caller may be gone; the record is written all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	record := s.auditRecord(ctx, c.id.Name, code, status.Convert(err).Message(), 0, c.keys)
	if err := st.RecordRefusal(ctx, s.cfg.Mesh, record); err != nil {
		s.log.Error("audit", "error", err)
	}
}

// maxAuditRefs bounds the resources named in a record.
const maxAuditRefs = 100

func (s *Server) auditRecord(ctx context.Context, actor string, code codes.Code, message string, revision int64, keys []resource.Key) *configv1.AuditRecord {
	if len(message) > 2000 {
		message = message[:2000] + "..."
	}
	r := &configv1.AuditRecord{
		Time: timestamppb.New(s.cfg.Now()), Actor: actor, Method: callOf(ctx).method, Code: code.String(),
		Message: message, Revision: revision, Peer: peerOf(ctx),
	}
	for _, k := range keys[:min(len(keys), maxAuditRefs)] {
		r.Resources = append(r.Resources, k.Ref())
	}
	return r
}

// peerOf gives the caller's address; for REST that which the gateway saw.
func peerOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	if forwarded := md.Get(restPeer); len(forwarded) > 0 && fromREST(ctx) {
		return forwarded[0]
	}
	return p.Addr.String()
}

func bearer(md metadata.MD) string {
	for _, value := range md.Get("authorization") {
		scheme, secret, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "bearer") {
			return strings.TrimSpace(secret)
		}
	}
	return ""
}

// carrier lets the trace context be read from gRPC metadata.
type carrier metadata.MD

func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
