package configapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// Apply implements ConfigService.
func (a *api) Apply(ctx context.Context, req *configv1.ApplyRequest) (*configv1.ApplyResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Editor {
		return nil, a.s.weak(id, auth.Editor, "")
	}
	if len(req.GetManifest()) >= resource.MaxManifest {
		return nil, status.Error(codes.ResourceExhausted, resource.ErrTooLarge.Error())
	}
	// Parsing takes many times a manifest's size: few large ones at a time.
	weight := min(int64(len(req.GetManifest())), parseBudget)
	if err := a.s.parsing.Acquire(ctx, weight); err != nil {
		return nil, a.s.asStatus(err)
	}
	defer a.s.parsing.Release(weight)

	if ns := req.GetDefaultNamespace(); ns != "" && !resource.ValidNamespace(ns) {
		return nil, invalidField("default_namespace", "%q is not a DNS label", ns)
	}
	parsed, bad := resource.Parse(req.GetManifest(), req.GetDefaultNamespace())
	for _, r := range req.GetResources() {
		parsed = append(parsed, resource.Normalize(r, req.GetDefaultNamespace()))
	}
	set := &changeSet{
		resources: canonical(parsed), ifMatch: ifMatch(ctx, req.GetIfMatch()), ifRevision: req.GetIfRevision(), managedBy: req.GetManagedBy(),
	}
	for _, ref := range req.GetDeletes() {
		k := resource.KeyOfRef(ref)
		if k.Namespace == "" {
			k.Namespace = orDefault(req.GetDefaultNamespace())
		}
		set.deletes = append(set.deletes, k)
	}
	noteWrite(ctx, set.keys())
	if err := a.s.mayWrite(id, set.keys()); err != nil {
		return nil, err
	}
	if len(bad) == 0 || len(set.keys()) > 0 {
		bad = append(bad, set.check()...)
	}
	if len(bad) > 0 {
		return nil, invalid(bad)
	}
	return a.s.commit(ctx, set, write{author: id.Name, message: req.GetMessage(), dryRun: req.GetDryRun()})
}

// canonical brings apiVersions that mean the same to one spelling.
func canonical(rs []*configv1.Resource) []*configv1.Resource {
	for i, r := range rs {
		rs[i] = resource.Normalize(r, "")
	}
	return rs
}

func orDefault(namespace string) string {
	if namespace == "" {
		return resource.DefaultNamespace
	}
	return namespace
}

func (s *Server) mayWrite(id auth.Identity, keys []resource.Key) error {
	for _, k := range keys {
		if !id.May(auth.Editor, k.Namespace) {
			return s.weak(id, auth.Editor, k.Namespace)
		}
	}
	return nil
}

// Delete implements ConfigService.
func (a *api) Delete(ctx context.Context, req *configv1.DeleteRequest) (*configv1.ApplyResponse, error) {
	k, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	noteWrite(ctx, []resource.Key{k})
	id := identity(ctx)
	if err := a.s.mayWrite(id, []resource.Key{k}); err != nil {
		return nil, err
	}
	set := &changeSet{deletes: []resource.Key{k}, ifMatch: ifMatch(ctx, req.GetIfMatch()), managedBy: req.GetManagedBy()}
	return a.s.commit(ctx, set, write{author: id.Name, message: req.GetMessage(), dryRun: req.GetDryRun()})
}

// keyOf reads the key of a request; the kind may be written as people do.
func keyOf(req interface {
	GetKind() string
	GetNamespace() string
	GetName() string
},
) (resource.Key, error) {
	kind, ok := resource.FindKind(req.GetKind())
	if !ok {
		return resource.Key{}, invalidField("kind", "unknown kind %q", req.GetKind())
	}
	if req.GetName() == "" {
		return resource.Key{}, invalidField("name", "is missing")
	}
	return resource.Key{Kind: kind, Namespace: orDefault(req.GetNamespace()), Name: req.GetName()}, nil
}

// write says who writes and why.
type write struct {
	author, message string
	dryRun          bool
	// extra completes the change set under the mesh's lock.
	extra func(*store.Tx, *changeSet) error
}

// errDryRun rolls back what was only tried.
var errDryRun = errors.New("dry run")

// commit plans and commits a change set. It is the only way into the store.
func (s *Server) commit(ctx context.Context, set *changeSet, w write) (*configv1.ApplyResponse, error) {
	st, err := s.openStore()
	if err != nil {
		return nil, err
	}
	answer := &configv1.ApplyResponse{DryRun: w.dryRun}
	err = st.Update(ctx, s.cfg.Mesh, func(tx *store.Tx) error {
		if w.extra != nil {
			if err := w.extra(tx, set); err != nil {
				return err
			}
		}
		changes, err := s.plan(tx, set)
		if err != nil {
			return err
		}
		head, err := tx.Head()
		if err != nil {
			return err
		}
		answer.Revision, answer.StateHash, answer.Changes = head.Revision, head.StateHash, changes
		if w.dryRun {
			return errDryRun
		}
		if err := s.writeLeases(tx, changes); err != nil {
			return err
		}
		effective := effective(changes)
		if len(effective) > 0 {
			r := &configv1.Revision{
				CreateTime: timestamppb.New(s.cfg.Now()), Author: w.author, ManagedBy: set.managedBy, Message: w.message,
			}
			if err := tx.Commit(r, effective); err != nil {
				return err
			}
			answer.Revision, answer.StateHash = r.GetNumber(), r.GetStateHash()
		}
		return tx.Audit(s.auditRecord(ctx, w.author, codes.OK, "", answer.GetRevision(), set.keys()))
	})
	if errors.Is(err, errDryRun) {
		err = nil
	} else if err == nil {
		noteAudited(ctx)
		s.changed.signal()
	}
	return answer, s.asStatus(err)
}

// writeLeases starts, renews and ends the leases of the workloads in a
// change set. Applying counts as a heartbeat.
func (s *Server) writeLeases(tx *store.Tx, changes []*configv1.Change) error {
	for _, c := range changes {
		if c.GetResource().GetKind() != resource.Workload {
			continue
		}
		k, ttl := resource.KeyOf(c.GetResource()), ttlOf(c.GetResource())
		var err error
		switch {
		case c.GetAction() == configv1.Change_ACTION_DELETED || ttl == 0 && c.GetAction() == configv1.Change_ACTION_UPDATED:
			err = tx.DropLease(k)
		case ttl > 0:
			err = tx.PutLease(k, ttl)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ttlOf gives the ttl of an accepted Workload; zero: it stays.
func ttlOf(r *configv1.Resource) time.Duration {
	text := r.GetSpec().GetFields()["ttl"].GetStringValue()
	if r.GetKind() != resource.Workload || text == "" {
		return 0
	}
	ttl, err := resource.ParseDuration(text)
	if err != nil {
		return 0
	}
	return ttl
}

// Revert implements ConfigService.
func (a *api) Revert(ctx context.Context, req *configv1.RevertRequest) (*configv1.ApplyResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Editor {
		return nil, a.s.weak(id, auth.Editor, "")
	}
	message := req.GetMessage()
	if message == "" {
		message = "revert to revision " + itoa(req.GetRevision())
	}
	set := &changeSet{ifRevision: req.GetIfRevision(), managedBy: req.GetManagedBy()}
	return a.s.commit(ctx, set, write{author: id.Name, message: message, dryRun: req.GetDryRun(),
		// What to do depends on the state under the lock.
		extra: func(tx *store.Tx, set *changeSet) error {
			if err := revertTo(tx, req.GetRevision(), set); err != nil {
				return err
			}
			noteWrite(ctx, set.keys())
			if err := a.s.mayWrite(id, set.keys()); err != nil {
				return err
			}
			if len(set.keys()) == 0 {
				return nil
			}
			// Rules may have become stricter since.
			if bad := set.check(); len(bad) > 0 {
				return invalid(bad)
			}
			return nil
		}})
}

// revertTo fills in what makes the mesh as it was at a revision.
func revertTo(tx *store.Tx, number int64, set *changeSet) error {
	head, err := tx.Head()
	if err != nil {
		return err
	}
	if number < 0 || number > head.Revision {
		return status.Errorf(codes.NotFound, "there is no revision %d", number)
	}
	then, _, err := tx.At(number)
	if err != nil {
		return err
	}
	now, err := tx.List("", "", resource.Key{}, 0)
	if err != nil {
		return err
	}
	current := map[resource.Key]*configv1.Resource{}
	for _, r := range now {
		current[resource.KeyOf(r)] = r
	}
	for _, r := range then {
		k := resource.KeyOf(r)
		live := current[k]
		delete(current, k)
		if ttlOf(r) > 0 || ttlOf(live) > 0 || live.GetMetadata().GetEtag() == r.GetMetadata().GetEtag() {
			continue
		}
		set.resources = append(set.resources, resource.Normalize(r, ""))
		set.resources[len(set.resources)-1].Metadata.Etag = ""
	}
	for k, r := range current {
		if ttlOf(r) == 0 {
			set.deletes = append(set.deletes, k)
		}
	}
	return nil
}

// Heartbeat implements ConfigService.
func (a *api) Heartbeat(ctx context.Context, req *configv1.HeartbeatRequest) (*configv1.HeartbeatResponse, error) {
	k := resource.Key{Kind: resource.Workload, Namespace: orDefault(req.GetNamespace()), Name: req.GetName()}
	noteWrite(ctx, []resource.Key{k})
	id := identity(ctx)
	if err := a.s.mayWrite(id, []resource.Key{k}); err != nil {
		return nil, err
	}
	st, err := a.s.openStore()
	if err != nil {
		return nil, err
	}
	answer := &configv1.HeartbeatResponse{}
	var same bool
	if w := req.GetWorkload(); w != nil {
		r := resource.Normalize(w, k.Namespace)
		if r.GetMetadata().GetName() == "" {
			r.Metadata.Name = k.Name
		}
		if resource.KeyOf(r) != k {
			return nil, invalidField("workload.metadata", "%s is not %s", resource.KeyOf(r), k)
		}
		set := &changeSet{resources: []*configv1.Resource{r}, managedBy: "heartbeat"}
		bad := set.check()
		if len(bad) == 0 && ttlOf(r) == 0 {
			bad = append(bad, resource.Violation{Field: k.String() + ": spec.ttl", Message: "is missing; a workload without one needs no heartbeat"})
		}
		if len(bad) > 0 {
			return nil, invalid(bad)
		}
		// Most heartbeats change nothing: they do not take the mesh's lock.
		if same, err = a.s.isStored(ctx, st, r); err != nil {
			return nil, a.s.asStatus(err)
		}
		if !same {
			applied, err := a.s.commit(ctx, set, write{author: id.Name, message: "heartbeat"})
			if err != nil {
				return nil, err
			}
			answer.Revision = applied.GetRevision()
		}
	}
	lease, err := st.Heartbeat(ctx, a.s.cfg.Mesh, k)
	if errors.Is(err, store.ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "there is no %s with a ttl", k)
	}
	if err != nil {
		return nil, a.s.asStatus(err)
	}
	noteAudited(ctx)
	answer.ExpireTime, answer.Interval = timestamppb.New(lease.Expires), durationpb.New(lease.TTL/3)
	return answer, nil
}

func (s *Server) isStored(ctx context.Context, st *store.Store, r *configv1.Resource) (same bool, err error) {
	err = st.View(ctx, s.cfg.Mesh, func(tx *store.Tx) error {
		found, err := tx.Get(resource.KeyOf(r))
		same = found[resource.KeyOf(r)].GetMetadata().GetEtag() == resource.Etag(r)
		return err
	})
	return same, err
}
