package formatter

import (
	"fmt"
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

var grpcCamel = []string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

var grpcSnake = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// grpcCode is the stream's gRPC status: from the trailers, or the headers of a
// trailers-only response, or else what the HTTP status stands for.
func grpcCode(i *info) (int, bool) {
	if i.Request == nil || !isGRPC(i.Request.GetID(header.ContentType)) {
		return 0, false
	}
	for _, h := range []*header.Map{i.Trailers, i.Response} {
		if h == nil {
			continue
		}
		if v := h.GetID(header.GrpcStatus); v != "" {
			n, err := strconv.Atoi(v)
			return n, err == nil
		}
	}
	if i.Code == 0 {
		return 0, false
	}
	switch i.Code {
	case 200:
		return 2, true
	case 400:
		return 13, true
	case 401:
		return 16, true
	case 403:
		return 7, true
	case 404:
		return 12, true
	case 429, 502, 503, 504:
		return 14, true
	}
	return 2, true
}

func isGRPC(ct string) bool {
	const want = "application/grpc"
	return len(ct) >= len(want) && ct[:len(want)] == want
}

func grpcStatus(names []string) *operator {
	return str(func(i *info) string {
		n, ok := grpcCode(i)
		switch {
		case !ok:
			return ""
		case n >= 0 && n < len(names):
			return names[n]
		}
		return strconv.Itoa(n)
	})
}

func grpcNumber() *operator {
	return num(func(i *info) (uint64, bool) { n, ok := grpcCode(i); return uint64(n), ok })
}

func grpcForm(arg string) (*operator, error) {
	switch arg {
	case "CAMEL_STRING", "":
		return grpcStatus(grpcCamel), nil
	case "SNAKE_STRING":
		return grpcStatus(grpcSnake), nil
	case "NUMBER":
		return grpcNumber(), nil
	}
	return nil, fmt.Errorf("GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER: %q", arg)
}
