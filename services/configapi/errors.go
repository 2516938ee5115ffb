package configapi

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// invalid tells of all that is wrong with a request, in the message for
// people and in the details for programs.
func invalid(v resource.Violations) error {
	v = v.Trim()
	noun := "problems"
	if len(v) == 1 {
		noun = "problem"
	}
	s := status.Newf(codes.InvalidArgument, "%d %s:\n%s", len(v), noun, v.Error())
	details := &errdetails.BadRequest{}
	for _, one := range v {
		details.FieldViolations = append(details.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: one.Field, Description: one.Message})
	}
	if with, err := s.WithDetails(details); err == nil {
		s = with
	}
	return s.Err()
}

func invalidField(field, format string, args ...any) error {
	return invalid(resource.Violations{{Field: field, Message: fmt.Sprintf(format, args...)}})
}

// stale refuses a write whose precondition does not hold any more.
func stale(format string, args ...any) error { return status.Errorf(codes.Aborted, format, args...) }

// asStatus turns what the layers below return into what callers get: a
// database that does not answer is UNAVAILABLE, and what it said is for the
// log only.
func (s *Server) asStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	var violations resource.Violations
	switch {
	case errors.As(err, &violations):
		return invalid(violations)
	case errors.Is(err, store.ErrNotFound):
		return status.Error(codes.NotFound, "not found")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the deadline is over")
	}
	s.log.Error("store", "error", err)
	return status.Error(codes.Unavailable, "the store does not answer; try again")
}
