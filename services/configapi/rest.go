package configapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	hawserproto "github.com/hawser-mesh/hawser/proto"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// restPeer carries the REST client's address to the gRPC side.
const restPeer = "hawser-rest-peer"

// restIfMatch carries the If-Match header there.
const restIfMatch = "hawser-rest-if-match"

func restMetadata(r *http.Request) metadata.MD {
	md := metadata.Pairs(restPeer, r.RemoteAddr)
	if etag := r.Header.Get("If-Match"); etag != "" {
		md.Set(restIfMatch, unquote(etag))
	}
	return md
}

// ifMatch is the precondition of a write: the field, or REST's header.
func ifMatch(ctx context.Context, field string) string {
	if field != "" || !fromREST(ctx) {
		return field
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if header := md.Get(restIfMatch); len(header) > 0 {
		return header[0]
	}
	return ""
}

// fromREST tells whether a call came through the gateway.
func fromREST(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	return ok && p.Addr.Network() == "bufconn"
}

// maxBody bounds a REST request: a manifest in JSON is in base64.
const maxBody = resource.MaxManifest*4/3 + 64<<10

// restHandler serves REST over the gRPC server of this process, so that both
// pass the same interceptors.
func (s *Server) restHandler(ctx context.Context, conn *grpc.ClientConn) (http.Handler, error) {
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{},
			UnmarshalOptions: protojson.UnmarshalOptions{},
		}),
		runtime.WithErrorHandler(restError),
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD {
			return restMetadata(r)
		}),
		runtime.WithForwardResponseOption(func(_ context.Context, w http.ResponseWriter, m proto.Message) error {
			if r, ok := m.(*configv1.Resource); ok {
				w.Header().Set("ETag", strconv.Quote(r.GetMetadata().GetEtag()))
			}
			return nil
		}),
		runtime.WithIncomingHeaderMatcher(func(name string) (string, bool) {
			switch name {
			case "Authorization", "Traceparent", "Tracestate":
				return strings.ToLower(name), true
			}
			return "", false
		}),
	)
	if err := configv1.RegisterConfigServiceHandler(ctx, gateway, conn); err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	client := configv1.NewConfigServiceClient(conn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(hawserproto.OpenAPI) // the client may be gone
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /v1/changesets", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if isYAML(r) {
			s.applyYAML(gateway, client, w, r)
			return
		}
		gateway.ServeHTTP(w, r)
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		gateway.ServeHTTP(w, r)
	})
	return mux, nil
}

func isYAML(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return false
	}
	switch kind {
	case "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return true
	}
	return false
}

// applyYAML takes a manifest as it stands as the body; the other fields of
// ApplyRequest are query parameters.
func (s *Server) applyYAML(gateway *runtime.ServeMux, client configv1.ConfigServiceClient, w http.ResponseWriter, r *http.Request) {
	md := restMetadata(r)
	md.Set("authorization", r.Header.Get("Authorization"))
	md.Set("traceparent", r.Header.Get("Traceparent"))
	ctx := metadata.NewOutgoingContext(r.Context(), md)
	_, marshaler := runtime.MarshalerForRequest(gateway, r)
	fail := func(err error) { restError(ctx, gateway, marshaler, w, r, err) }
	req, err := yamlRequest(r)
	if err != nil {
		fail(err)
		return
	}
	answer, err := client.Apply(ctx, req)
	if err != nil {
		fail(err)
		return
	}
	w.Header().Set("Content-Type", marshaler.ContentType(answer))
	data, err := marshaler.Marshal(answer)
	if err != nil {
		fail(err)
		return
	}
	_, _ = w.Write(data) // the client may be gone
}

func yamlRequest(r *http.Request) (*configv1.ApplyRequest, error) {
	req := &configv1.ApplyRequest{}
	for name, values := range r.URL.Query() {
		value, err := values[0], error(nil)
		switch name {
		case "dryRun":
			req.DryRun, err = strconv.ParseBool(value)
		case "ifRevision":
			req.IfRevision, err = strconv.ParseInt(value, 10, 64)
		case "managedBy":
			req.ManagedBy = value
		case "message":
			req.Message = value
		case "defaultNamespace":
			req.DefaultNamespace = value
		default:
			err = errors.New("unknown parameter")
		}
		if err != nil {
			return nil, invalidField(name, "%v", err)
		}
	}
	var err error
	req.Manifest, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, resource.MaxManifest-1))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, status.Error(codes.ResourceExhausted, resource.ErrTooLarge.Error())
	}
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "body: %v", err)
	}
	return req, nil
}

// unquote takes an entity tag as RFC 9110 section 8.8.3 writes it, or bare.
func unquote(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }

// restError maps what gRPC's codes do not say by themselves.
func restError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	if errors.As(err, &large) || strings.Contains(err.Error(), "http: request body too large") {
		err = status.Error(codes.ResourceExhausted, resource.ErrTooLarge.Error())
	}
	switch status.Code(err) {
	case codes.Aborted:
		err = &runtime.HTTPStatusError{HTTPStatus: http.StatusPreconditionFailed, Err: err}
	case codes.ResourceExhausted:
		err = &runtime.HTTPStatusError{HTTPStatus: http.StatusRequestEntityTooLarge, Err: err}
	case codes.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	runtime.DefaultHTTPErrorHandler(ctx, mux, m, w, r, err)
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if reason := s.notReady(r.Context()); reason != "" {
		http.Error(w, reason, http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
