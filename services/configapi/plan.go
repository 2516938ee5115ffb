package configapi

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// changeSet is a checked request to change the mesh: each resource passed
// resource.Check, no key is there twice.
type changeSet struct {
	resources []*configv1.Resource
	deletes   []resource.Key
	// missingOK: deleting what is not there is no error.
	missingOK bool

	ifMatch    string
	ifRevision int64
	managedBy  string
}

func (c *changeSet) keys() []resource.Key {
	keys := slices.Clone(c.deletes)
	for _, r := range c.resources {
		keys = append(keys, resource.KeyOf(r))
	}
	return keys
}

// check finds what is wrong with the set before the store is asked.
func (c *changeSet) check() resource.Violations {
	var bad resource.Violations
	if len(c.resources)+len(c.deletes) == 0 {
		return resource.Violations{{Field: "manifest", Message: "has no resources"}}
	}
	if n := len(c.resources) + len(c.deletes); n > resource.MaxResources {
		return resource.Violations{{Field: "manifest", Message: fmt.Sprintf("has %d resources, at most %d are allowed", n, resource.MaxResources)}}
	}
	for _, r := range c.resources {
		bad = append(bad, resource.Check(r)...)
	}
	seen := map[resource.Key]bool{}
	for _, k := range c.keys() {
		if seen[k] {
			bad = append(bad, resource.Violation{Field: k.String() + ": metadata.name", Message: "is there twice in the change set"})
		}
		seen[k] = true
	}
	if c.ifMatch != "" && len(c.keys()) != 1 {
		bad = append(bad, resource.Violation{Field: "if_match", Message: "needs a change set of one resource; use metadata.etag"})
	}
	return bad
}

// planner works out, within the transaction that will commit it, what a
// change set does.
type planner struct {
	tx     *store.Tx
	set    *changeSet
	server *Server

	before  map[resource.Key]*configv1.Resource
	changes []*configv1.Change
	// after overlays the store with what changes; nil where deleted.
	after map[resource.Key]*configv1.Resource
	// loaded caches what was read beside.
	loaded map[resource.Key]*configv1.Resource
	bad    resource.Violations
}

// plan gives the changes, those without effect included; they carry the
// resources as they will be, but for the revision.
func (s *Server) plan(tx *store.Tx, set *changeSet) ([]*configv1.Change, error) {
	p := &planner{tx: tx, set: set, server: s,
		after: map[resource.Key]*configv1.Resource{}, loaded: map[resource.Key]*configv1.Resource{}}
	for _, step := range []func() error{p.preconditions, p.outcome, p.links, p.gateways, p.claims} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if len(p.bad) > 0 {
		return nil, invalid(p.bad)
	}
	return p.changes, nil
}

func (p *planner) preconditions() error {
	head, err := p.tx.Head()
	if err != nil {
		return err
	}
	if p.set.ifRevision != 0 && p.set.ifRevision != head.Revision {
		return stale("the mesh is at revision %d, not %d", head.Revision, p.set.ifRevision)
	}
	if p.before, err = p.tx.Get(p.set.keys()...); err != nil {
		return err
	}
	for _, k := range p.set.keys() {
		old := p.before[k]
		switch {
		case p.set.ifMatch == "":
		case old == nil:
			return stale("%s does not exist", k)
		case p.set.ifMatch != "*" && p.set.ifMatch != old.GetMetadata().GetEtag():
			return stale("%s has etag %s, not %s: it was changed at revision %d",
				k, old.GetMetadata().GetEtag(), p.set.ifMatch, old.GetMetadata().GetRevision())
		}
	}
	for _, r := range p.set.resources {
		want, old := r.GetMetadata().GetEtag(), p.before[resource.KeyOf(r)]
		if want != "" && want != old.GetMetadata().GetEtag() {
			return stale("%s has etag %q, not %s (metadata.etag)", resource.KeyOf(r), old.GetMetadata().GetEtag(), want)
		}
	}
	return nil
}

// outcome works out the new resources and what happens to each.
func (p *planner) outcome() error {
	now := timestamppb.New(p.server.cfg.Now())
	for _, r := range p.set.resources {
		k := resource.KeyOf(r)
		old := p.before[k]
		next := proto.CloneOf(r)
		m := next.GetMetadata()
		m.Etag = resource.Etag(next)
		m.ManagedBy, m.UpdateTimestamp = p.set.managedBy, now
		change := &configv1.Change{Action: configv1.Change_ACTION_CREATED, Resource: next}
		if old == nil {
			m.Uid, m.Generation, m.CreationTimestamp = uuid.NewString(), 1, now
		} else {
			was := old.GetMetadata()
			m.Uid, m.Generation, m.CreationTimestamp, m.Revision = was.GetUid(), was.GetGeneration(), was.GetCreationTimestamp(), was.GetRevision()
			if m.ManagedBy == "" {
				m.ManagedBy = was.GetManagedBy()
			}
			change.Action = configv1.Change_ACTION_UPDATED
			if !proto.Equal(old.GetSpec(), next.GetSpec()) {
				m.Generation++
			}
			if was.GetEtag() == m.GetEtag() {
				change = &configv1.Change{Action: configv1.Change_ACTION_UNCHANGED, Resource: old}
			}
		}
		p.changes = append(p.changes, change)
		// What stays as it is counts as what the change set does not name:
		// it is checked if something that it refers to changes.
		if change.GetAction() != configv1.Change_ACTION_UNCHANGED {
			p.after[k] = change.GetResource()
		}
	}
	for _, k := range p.set.deletes {
		old := p.before[k]
		if old == nil {
			if p.set.missingOK {
				continue
			}
			return status.Errorf(codes.NotFound, "there is no %s", k)
		}
		p.changes = append(p.changes, &configv1.Change{Action: configv1.Change_ACTION_DELETED, Resource: old})
		p.after[k] = nil
	}
	return nil
}

func (p *planner) changed() []*configv1.Change { return effective(p.changes) }

// effective leaves out what does not change anything.
func effective(changes []*configv1.Change) []*configv1.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c *configv1.Change) bool {
		return c.GetAction() == configv1.Change_ACTION_UNCHANGED
	})
}

// lookup is the mesh as it will be.
func (p *planner) lookup(k resource.Key) (*configv1.Resource, bool, error) {
	if r, ok := p.after[k]; ok {
		return r, r != nil, nil
	}
	r, ok := p.loaded[k]
	if !ok {
		found, err := p.tx.Get(k)
		if err != nil {
			return nil, false, err
		}
		r = found[k]
		p.loaded[k] = r
	}
	return r, r != nil, nil
}

// links checks the references of what changes, and of all that refers to it.
func (p *planner) links() error {
	var check []*configv1.Resource
	var targets []resource.Key
	for _, c := range p.changed() {
		targets = append(targets, resource.KeyOf(c.GetResource()))
		if c.GetAction() != configv1.Change_ACTION_DELETED {
			check = append(check, c.GetResource())
		}
	}
	referrers, err := p.tx.Referrers(targets...)
	if err != nil {
		return err
	}
	for _, r := range referrers {
		if _, changes := p.after[resource.KeyOf(r)]; !changes {
			check = append(check, r)
		}
	}
	if err := p.prefetch(check); err != nil {
		return err
	}
	for _, r := range check {
		bad, err := resource.CheckLinks(r, p.lookup)
		if err != nil {
			return err
		}
		p.bad = append(p.bad, bad...)
	}
	return nil
}

// prefetch loads all that resources link to in a few statements.
func (p *planner) prefetch(rs []*configv1.Resource) error {
	var keys []resource.Key
	for _, r := range rs {
		for _, l := range resource.Links(r) {
			_, changes := p.after[l.To]
			if _, known := p.loaded[l.To]; !changes && !known {
				p.loaded[l.To] = nil
				keys = append(keys, l.To)
			}
		}
	}
	found, err := p.tx.Get(keys...)
	for k, r := range found {
		p.loaded[k] = r
	}
	return err
}

// gateways checks that no proxy would need two listeners in one place.
func (p *planner) gateways() error {
	var changed []*configv1.Resource
	for _, c := range p.changed() {
		if c.GetResource().GetKind() == resource.Gateway && c.GetAction() != configv1.Change_ACTION_DELETED {
			changed = append(changed, c.GetResource())
		}
	}
	if len(changed) == 0 || len(p.bad) > 0 {
		return nil
	}
	all, err := p.tx.List(resource.Gateway, "", resource.Key{}, 0)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r *configv1.Resource) bool {
		_, changes := p.after[resource.KeyOf(r)]
		return changes
	})
	for i, r := range changed {
		for _, other := range append(all, changed[:i]...) {
			p.bad = append(p.bad, resource.GatewayConflicts(r, other)...)
		}
	}
	return nil
}

// claims checks that no proxy would get two raw resources of one name.
func (p *planner) claims() error {
	holders := map[string][]*configv1.Resource{}
	for _, c := range p.changed() {
		r := c.GetResource()
		claim := resource.Claim(r)
		if claim == "" || c.GetAction() == configv1.Change_ACTION_DELETED {
			continue
		}
		if _, loaded := holders[claim]; !loaded {
			stored, err := p.tx.Claimants(claim)
			if err != nil {
				return err
			}
			holders[claim] = slices.DeleteFunc(stored, func(o *configv1.Resource) bool {
				_, changes := p.after[resource.KeyOf(o)]
				return changes
			})
		}
		for _, other := range holders[claim] {
			if resource.Overlap(r, other) {
				p.bad = append(p.bad, resource.Violation{
					Field:   resource.KeyOf(r).String() + ": spec.resource",
					Message: fmt.Sprintf("%s has the same Envoy resource %s for the same proxies", resource.KeyOf(other), claim),
				})
			}
		}
		holders[claim] = append(holders[claim], r)
	}
	return nil
}
