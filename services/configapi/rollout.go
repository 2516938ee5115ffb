package configapi

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/rollout"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// rolloutAPI takes the reports of distributors.
type rolloutAPI struct {
	rolloutv1.UnimplementedRolloutServiceServer
	s *Server
}

// ReportAcks implements RolloutService.
func (r *rolloutAPI) ReportAcks(stream grpc.BidiStreamingServer[rolloutv1.ReportAcksRequest, rolloutv1.ReportAcksResponse]) error {
	if err := r.s.mayReadAll(stream.Context()); err != nil {
		return err
	}
	requests := make(chan *rolloutv1.ReportAcksRequest)
	failed := make(chan error, 1)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case requests <- req:
			case <-stream.Context().Done():
				failed <- stream.Context().Err()
				return
			}
		}
	}()
	session, id := uuid.NewString(), ""
	r.s.sessions.Store(session, struct{}{})
	defer func() {
		r.s.sessions.Delete(session)
		if id != "" {
			r.s.tracker.Ended(r.s.cfg.Now(), id, session)
			r.s.forget(session, id)
		}
	}()
	for {
		select {
		case <-r.s.stopping:
			return status.Error(codes.Unavailable, "the server is shutting down")
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case req := <-requests:
			if req.GetDistributorId() == "" || id != "" && req.GetDistributorId() != id {
				return invalidField("distributor_id", "%q must be set and stay the same on a stream", req.GetDistributorId())
			}
			if id == "" && !req.GetFull() {
				return invalidField("full", "the first report of a stream must be full")
			}
			id = req.GetDistributorId()
			r.s.tracker.Report(r.s.cfg.Now(), session, req)
			r.s.share(session, req)
			if err := stream.Send(&rolloutv1.ReportAcksResponse{Sequence: req.GetSequence()}); err != nil {
				return err
			}
		}
	}
}

// RolloutStatus implements ConfigService.
func (a *api) RolloutStatus(ctx context.Context, req *configv1.RolloutStatusRequest) (*configv1.RolloutStatusResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Reader {
		return nil, a.s.weak(id, auth.Reader, "")
	}
	kind := ""
	if req.GetKind() != "" {
		var ok bool
		if kind, ok = resource.FindKind(req.GetKind()); !ok {
			return nil, invalidField("kind", "unknown kind %q", req.GetKind())
		}
	}
	wanted := func(k resource.Key) bool {
		return id.May(auth.Reader, k.Namespace) && (kind == "" || k.Kind == kind) &&
			(req.GetNamespace() == "" || k.Namespace == req.GetNamespace()) && (req.GetName() == "" || k.Name == req.GetName())
	}
	var head store.Head
	var items []rollout.Item
	err := a.s.view(ctx, func(tx *store.Tx) (err error) {
		if head, err = tx.Head(); err != nil {
			return err
		}
		if req.GetRevision() != 0 {
			r, err := tx.Revision(req.GetRevision())
			if errors.Is(err, store.ErrNotFound) {
				return status.Errorf(codes.NotFound, "there is no revision %d", req.GetRevision())
			}
			for _, c := range r.GetChanges() {
				if k := resource.KeyOf(c.GetResource()); wanted(k) {
					items = append(items, rollout.Item{Key: k, Revision: r.GetNumber()})
				}
			}
			return err
		}
		list, err := tx.List(kind, req.GetNamespace(), resource.Key{}, 0)
		for _, r := range list {
			if k := resource.KeyOf(r); wanted(k) {
				items = append(items, rollout.Item{Key: k, Revision: r.GetMetadata().GetRevision()})
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if req.GetName() != "" && len(items) == 0 {
		return nil, status.Errorf(codes.NotFound, "there is no %s %s in namespace %s", kind, req.GetName(), req.GetNamespace())
	}
	up := head.Revision
	if req.GetRevision() != 0 {
		up = req.GetRevision()
	}
	answer := a.s.tracker.Status(a.s.cfg.Now(), up, items)
	answer.HeadRevision = head.Revision
	return answer, nil
}

// ListProxies implements ConfigService.
func (a *api) ListProxies(ctx context.Context, _ *configv1.ListProxiesRequest) (*configv1.ListProxiesResponse, error) {
	if id := identity(ctx); id.Role < auth.Reader {
		return nil, a.s.weak(id, auth.Reader, "")
	}
	return &configv1.ListProxiesResponse{Proxies: a.s.tracker.Proxies(a.s.cfg.Now())}, nil
}

// conditions fills in the status of resources as they are now. That they
// are accepted and their references are resolved was checked before they
// were committed; whether they are programmed the proxies say.
func (s *Server) conditions(rs ...*configv1.Resource) {
	items := make([]rollout.Item, len(rs))
	for i, r := range rs {
		items[i] = rollout.Item{Key: resource.KeyOf(r), Revision: r.GetMetadata().GetRevision()}
	}
	for i, state := range s.tracker.Status(s.cfg.Now(), 0, items).GetResources() {
		m := rs[i].GetMetadata()
		condition := func(kind, value, reason, message string) *configv1.Condition {
			return &configv1.Condition{Type: kind, Status: value, Reason: reason, Message: message,
				ObservedGeneration: m.GetGeneration(), LastTransitionTime: m.GetUpdateTimestamp()}
		}
		programmed := condition("Programmed", "True", "Programmed", fmt.Sprintf("acknowledged by %d proxies", state.GetAcknowledged()))
		switch total := int(state.GetAcknowledged()+state.GetPending()) + len(state.GetRejections()); {
		case len(state.GetRejections()) > 0:
			first := state.GetRejections()[0]
			programmed = condition("Programmed", "False", "Rejected", fmt.Sprintf("%s: %s", first.GetProxyId(), first.GetMessage()))
		case total == 0:
			programmed = condition("Programmed", "Unknown", "NoProxies", "no proxy is connected")
		case state.GetPending() > 0:
			programmed = condition("Programmed", "False", "Pending",
				fmt.Sprintf("acknowledged by %d of %d proxies", state.GetAcknowledged(), total))
		}
		rs[i].Status = &configv1.Status{Conditions: []*configv1.Condition{
			condition("Accepted", "True", "Accepted", ""),
			condition("ResolvedRefs", "True", "ResolvedRefs", ""),
			programmed,
		}}
	}
}
