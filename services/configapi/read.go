package configapi

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// api implements the gRPC services on a Server.
type api struct {
	configv1.UnimplementedConfigServiceServer
	s *Server
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// view reads one consistent state of the mesh.
func (s *Server) view(ctx context.Context, fn func(*store.Tx) error) error {
	st, err := s.openStore()
	if err != nil {
		return err
	}
	return s.asStatus(st.View(ctx, s.cfg.Mesh, fn))
}

func (s *Server) mayRead(id auth.Identity, namespace string) error {
	if !id.May(auth.Reader, namespace) {
		return s.weak(id, auth.Reader, namespace)
	}
	return nil
}

// mayReadAll is for what cannot be cut to some namespaces.
func (s *Server) mayReadAll(ctx context.Context) error {
	if id := identity(ctx); id.Role < auth.Reader || !id.Everywhere() {
		return s.weak(id, auth.Reader, "")
	}
	return nil
}

// Get implements ConfigService.
func (a *api) Get(ctx context.Context, req *configv1.GetRequest) (*configv1.Resource, error) {
	k, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	if err := a.s.mayRead(identity(ctx), k.Namespace); err != nil {
		return nil, err
	}
	var r *configv1.Resource
	err = a.s.view(ctx, func(tx *store.Tx) error {
		if req.GetRevision() != 0 {
			var err error
			r, err = tx.GetAt(k, req.GetRevision())
			return err
		}
		found, err := tx.Get(k)
		if r = found[k]; r == nil && err == nil {
			err = store.ErrNotFound
		}
		return err
	})
	if status.Code(err) == codes.NotFound {
		return nil, status.Errorf(codes.NotFound, "there is no %s", k)
	}
	if err == nil && req.GetRevision() == 0 {
		a.s.conditions(r)
	}
	return r, err
}

// List implements ConfigService.
func (a *api) List(ctx context.Context, req *configv1.ListRequest) (*configv1.ListResponse, error) {
	id := identity(ctx)
	if req.GetNamespace() != "" {
		if err := a.s.mayRead(id, req.GetNamespace()); err != nil {
			return nil, err
		}
	}
	sel, err := newSelection(id, req.GetKind(), req.GetNamespace(), req.GetLabelSelector())
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := parseListToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	answer := &configv1.ListResponse{}
	err = a.s.view(ctx, func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		answer.Revision = head.Revision
		for {
			page, err := tx.List(sel.kind, sel.namespace, after, maxPage)
			if err != nil {
				return err
			}
			for _, r := range page {
				after = resource.KeyOf(r)
				if !sel.selects(r) {
					continue
				}
				if len(answer.Resources) == size {
					answer.NextPageToken = listToken(resource.KeyOf(answer.Resources[size-1]))
					return nil
				}
				answer.Resources = append(answer.Resources, r)
			}
			if len(page) < maxPage {
				return nil
			}
		}
	})
	if err == nil {
		a.s.conditions(answer.GetResources()...)
	}
	return answer, err
}

// selection is what a read is to see: by request and by token.
type selection struct {
	id              auth.Identity
	kind, namespace string
	labels          resource.Selector
}

func newSelection(id auth.Identity, kind, namespace, labels string) (selection, error) {
	s := selection{id: id, namespace: namespace}
	if kind != "" {
		found, ok := resource.FindKind(kind)
		if !ok {
			return s, invalidField("kind", "unknown kind %q", kind)
		}
		s.kind = found
	}
	var err error
	if s.labels, err = resource.ParseSelector(labels); err != nil {
		return s, invalidField("label_selector", "%v", err)
	}
	return s, nil
}

func (s selection) selects(r *configv1.Resource) bool {
	k := resource.KeyOf(r)
	return (s.kind == "" || s.kind == k.Kind) && (s.namespace == "" || s.namespace == k.Namespace) &&
		s.id.May(auth.Reader, k.Namespace) && s.labels.Matches(r.GetMetadata().GetLabels())
}

// cut leaves in a revision what the selection sees.
func (s selection) cut(r *configv1.Revision) *configv1.Revision {
	out := proto.CloneOf(r)
	out.Changes = nil
	for _, c := range r.GetChanges() {
		if s.selects(c.GetResource()) {
			out.Changes = append(out.Changes, c)
		}
	}
	return out
}

func pageSize(n int32) (int, error) {
	switch {
	case n == 0:
		return defaultPage, nil
	case n < 0 || n > maxPage:
		return 0, invalidField("page_size", "%d is not within 1 to %d", n, maxPage)
	}
	return int(n), nil
}

func listToken(k resource.Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.Kind + "\n" + k.Namespace + "\n" + k.Name))
}

func parseListToken(token string) (resource.Key, error) {
	if token == "" {
		return resource.Key{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.Split(string(b), "\n")
	if err != nil || len(parts) != 3 {
		return resource.Key{}, invalidField("page_token", "%q is not a token of this call", token)
	}
	return resource.Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, nil
}

// numberToken reads the token of lists that go down a number.
func numberToken(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(token, 10, 64)
	if err != nil || n < 1 {
		return 0, invalidField("page_token", "%q is not a token of this call", token)
	}
	return n, nil
}

// ListRevisions implements ConfigService.
func (a *api) ListRevisions(ctx context.Context, req *configv1.ListRevisionsRequest) (*configv1.ListRevisionsResponse, error) {
	if id := identity(ctx); id.Role < auth.Reader {
		return nil, a.s.weak(id, auth.Reader, "")
	}
	size, below, err := numberPage(req)
	if err != nil {
		return nil, err
	}
	answer := &configv1.ListRevisionsResponse{}
	err = a.s.view(ctx, func(tx *store.Tx) (err error) {
		answer.Revisions, err = tx.Revisions(below, size+1)
		return err
	})
	answer.Revisions, answer.NextPageToken = nextPage(answer.Revisions, size)
	return answer, err
}

func numberPage(req interface {
	GetPageSize() int32
	GetPageToken() string
},
) (size int, below int64, err error) {
	if size, err = pageSize(req.GetPageSize()); err != nil {
		return 0, 0, err
	}
	below, err = numberToken(req.GetPageToken())
	return size, below, err
}

// nextPage cuts a list that was read one entry too long.
func nextPage(list []*configv1.Revision, size int) ([]*configv1.Revision, string) {
	if len(list) <= size {
		return list, ""
	}
	return list[:size], itoa(list[size-1].GetNumber())
}

// GetRevision implements ConfigService.
func (a *api) GetRevision(ctx context.Context, req *configv1.GetRevisionRequest) (*configv1.Revision, error) {
	id := identity(ctx)
	if id.Role < auth.Reader {
		return nil, a.s.weak(id, auth.Reader, "")
	}
	var r *configv1.Revision
	err := a.s.view(ctx, func(tx *store.Tx) (err error) {
		r, err = tx.Revision(req.GetRevision())
		return err
	})
	if status.Code(err) == codes.NotFound {
		return nil, status.Errorf(codes.NotFound, "there is no revision %d", req.GetRevision())
	}
	if err != nil {
		return nil, err
	}
	return selection{id: id}.cut(r), nil
}

// History implements ConfigService.
func (a *api) History(ctx context.Context, req *configv1.HistoryRequest) (*configv1.HistoryResponse, error) {
	k, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	if err := a.s.mayRead(identity(ctx), k.Namespace); err != nil {
		return nil, err
	}
	size, below, err := numberPage(req)
	if err != nil {
		return nil, err
	}
	answer := &configv1.HistoryResponse{}
	err = a.s.view(ctx, func(tx *store.Tx) (err error) {
		answer.Revisions, err = tx.History(k, below, size+1)
		return err
	})
	if err == nil && len(answer.GetRevisions()) == 0 && below == 0 {
		return nil, status.Errorf(codes.NotFound, "there never was a %s", k)
	}
	answer.Revisions, answer.NextPageToken = nextPage(answer.Revisions, size)
	return answer, err
}

// Diff implements ConfigService.
func (a *api) Diff(ctx context.Context, req *configv1.DiffRequest) (*configv1.DiffResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Reader {
		return nil, a.s.weak(id, auth.Reader, "")
	}
	answer := &configv1.DiffResponse{FromRevision: req.GetFromRevision(), ToRevision: req.GetToRevision()}
	err := a.s.view(ctx, func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		if answer.ToRevision == 0 {
			answer.ToRevision = head.Revision
		}
		var states [2][]*configv1.Resource
		for i, number := range []int64{answer.FromRevision, answer.ToRevision} {
			if number < 0 || number > head.Revision {
				return status.Errorf(codes.NotFound, "there is no revision %d (the last is %d)", number, head.Revision)
			}
			if states[i], _, err = tx.At(number); err != nil {
				return err
			}
		}
		answer.Diffs = diffStates(selection{id: id}, states[0], states[1])
		return nil
	})
	return answer, err
}

// diffStates merges two lists that are in the order of their keys.
func diffStates(sel selection, before, after []*configv1.Resource) []*configv1.ResourceDiff {
	var diffs []*configv1.ResourceDiff
	add := func(action configv1.Change_Action, b, a *configv1.Resource) {
		either := a
		if either == nil {
			either = b
		}
		if sel.selects(either) {
			diffs = append(diffs, &configv1.ResourceDiff{
				Ref: resource.KeyOf(either).Ref(), Action: action, Before: b, After: a, Fields: resource.DiffFields(b, a),
			})
		}
	}
	resource.Sort(before) // the database's collation may be another
	resource.Sort(after)
	for len(before) > 0 || len(after) > 0 {
		order := 1
		if len(after) == 0 {
			order = -1
		} else if len(before) > 0 {
			order = resource.KeyOf(before[0]).Compare(resource.KeyOf(after[0]))
		}
		switch {
		case order < 0:
			add(configv1.Change_ACTION_DELETED, before[0], nil)
			before = before[1:]
		case order > 0:
			add(configv1.Change_ACTION_CREATED, nil, after[0])
			after = after[1:]
		default:
			if before[0].GetMetadata().GetEtag() != after[0].GetMetadata().GetEtag() {
				add(configv1.Change_ACTION_UPDATED, before[0], after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
	return diffs
}

// StateHash implements ConfigService.
func (a *api) StateHash(ctx context.Context, req *configv1.StateHashRequest) (*configv1.StateHashResponse, error) {
	if err := a.s.mayReadAll(ctx); err != nil {
		return nil, err
	}
	answer := &configv1.StateHashResponse{Mesh: a.s.cfg.Mesh}
	err := a.s.view(ctx, func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		answer.Revision, answer.StateHash = head.Revision, head.StateHash
		if n := req.GetRevision(); n != 0 && n != head.Revision {
			r, err := tx.Revision(n)
			if errors.Is(err, store.ErrNotFound) {
				return status.Errorf(codes.NotFound, "there is no revision %d", n)
			}
			answer.Revision, answer.StateHash = n, r.GetStateHash()
			return err
		}
		return nil
	})
	return answer, err
}
