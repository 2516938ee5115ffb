package configapi

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// snapshotBatch bounds a message of a stream, in bytes.
const snapshotBatch = 256 << 10

// ReadSnapshot implements ConfigService.
func (a *api) ReadSnapshot(req *configv1.ReadSnapshotRequest, stream grpc.ServerStreamingServer[configv1.ReadSnapshotResponse]) error {
	if err := a.s.mayReadAll(stream.Context()); err != nil {
		return err
	}
	first := &configv1.ReadSnapshotResponse{Mesh: a.s.cfg.Mesh}
	var list []*configv1.Resource
	err := a.s.view(stream.Context(), func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		first.Revision = head.Revision
		if req.GetRevision() != 0 {
			first.Revision = req.GetRevision()
		}
		list, first.StateHash, err = tx.At(first.Revision)
		return err
	})
	if err != nil {
		return err
	}
	if err := stream.Send(first); err != nil {
		return err
	}
	for len(list) > 0 {
		batch := &configv1.ReadSnapshotResponse{}
		for size := 0; len(list) > 0 && size < snapshotBatch; list = list[1:] {
			size += proto.Size(list[0])
			batch.Resources = append(batch.Resources, list[0])
		}
		if err := stream.Send(batch); err != nil {
			return err
		}
	}
	return nil
}

// ReadRange implements ConfigService.
func (a *api) ReadRange(req *configv1.ReadRangeRequest, stream grpc.ServerStreamingServer[configv1.Revision]) error {
	if err := a.s.mayReadAll(stream.Context()); err != nil {
		return err
	}
	from, to := req.GetFromRevision(), req.GetToRevision()
	if from < 1 {
		return invalidField("from_revision", "%d is not a revision", from)
	}
	head, err := a.s.head(stream.Context())
	if err != nil {
		return err
	}
	if to == 0 {
		to = head.Revision
	}
	if to > head.Revision || from > to+1 {
		return status.Errorf(codes.OutOfRange, "revisions %d to %d: the last is %d", from, to, head.Revision)
	}
	return a.s.sendRange(stream.Context(), from, to, stream.Send)
}

func (s *Server) head(ctx context.Context) (head store.Head, err error) {
	err = s.view(ctx, func(tx *store.Tx) (err error) {
		head, err = tx.Head()
		return err
	})
	return head, err
}

// sendRange reads revisions one at a time: a slow receiver holds no
// transaction, and revisions never change.
func (s *Server) sendRange(ctx context.Context, from, to int64, send func(*configv1.Revision) error) error {
	for n := from; n <= to; n++ {
		var r *configv1.Revision
		err := s.view(ctx, func(tx *store.Tx) (err error) {
			r, err = tx.Revision(n)
			return err
		})
		if err != nil {
			return err
		}
		if err := send(r); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements ConfigService.
func (a *api) Watch(req *configv1.WatchRequest, stream grpc.ServerStreamingServer[configv1.WatchResponse]) error {
	ctx := stream.Context()
	id := identity(ctx)
	if id.Role < auth.Reader {
		return a.s.weak(id, auth.Reader, "")
	}
	if req.GetNamespace() != "" {
		if err := a.s.mayRead(id, req.GetNamespace()); err != nil {
			return err
		}
	}
	sel, err := newSelection(id, req.GetKind(), req.GetNamespace(), req.GetLabelSelector())
	if err != nil {
		return err
	}
	wake := a.s.changed.subscribe()
	defer a.s.changed.unsubscribe(wake)
	head, err := a.s.head(ctx)
	if err != nil {
		return err
	}
	at := req.GetFromRevision()
	if at == 0 {
		at = head.Revision
	}
	if at < 0 || at > head.Revision {
		return status.Errorf(codes.OutOfRange, "revision %d: the last is %d", at, head.Revision)
	}
	// Headers now, so that the caller knows the watch stands.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		if head, err = a.s.head(ctx); err != nil {
			return err
		}
		err := a.s.sendRange(ctx, at+1, head.Revision, func(r *configv1.Revision) error {
			return stream.Send(&configv1.WatchResponse{Revision: sel.cut(r)})
		})
		if err != nil {
			return err
		}
		at = head.Revision
		select {
		case <-wake:
		case <-a.s.poll():
			// Another replica may have committed.
		case <-a.s.stopping:
			return status.Error(codes.Unavailable, "the server is shutting down")
		case <-ctx.Done():
			return nil
		}
	}
}
