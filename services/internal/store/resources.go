package store

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// Head is where a mesh stands.
type Head struct {
	Revision  int64
	StateHash string
}

// Head gives the last committed revision; zero for a mesh without any.
func (t *Tx) Head() (Head, error) {
	var h Head
	err := t.row("SELECT head, state_hash FROM meshes WHERE mesh = ?", t.mesh).Scan(&h.Revision, &h.StateHash)
	if err == ErrNotFound {
		err = nil
	}
	if h.StateHash == "" {
		h.StateHash = new(resource.StateHash).String()
	}
	return h, err
}

func decodeResource(body []byte) (*configv1.Resource, error) {
	r := new(configv1.Resource)
	if err := proto.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("store: a stored resource: %w", err)
	}
	return r, nil
}

// Get gives the resources of the keys that exist.
func (t *Tx) Get(keys ...resource.Key) (map[resource.Key]*configv1.Resource, error) {
	found := make(map[resource.Key]*configv1.Resource, len(keys))
	err := t.inChunks(keys, "SELECT body FROM resources WHERE mesh = ? AND (kind, namespace, name) IN", func(body []byte) error {
		r, err := decodeResource(body)
		if err == nil {
			found[resource.KeyOf(r)] = r
		}
		return err
	})
	return found, err
}

func (t *Tx) inChunks(keys []resource.Key, query string, scan func([]byte) error) error {
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		args := []any{t.mesh}
		for _, k := range keys[:n] {
			args = append(args, k.Kind, k.Namespace, k.Name)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", n), ", ")
		err := t.each(func(row func(...any) error) error {
			var body []byte
			if err := row(&body); err != nil {
				return fmt.Errorf("store: %w", err)
			}
			return scan(body)
		}, query+" (VALUES "+values+")", args...)
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// Referrers gives the resources that link to any of the keys.
func (t *Tx) Referrers(keys ...resource.Key) ([]*configv1.Resource, error) {
	var found []*configv1.Resource
	seen := map[resource.Key]bool{}
	err := t.inChunks(keys, `SELECT r.body FROM links l JOIN resources r
		ON r.mesh = l.mesh AND r.kind = l.from_kind AND r.namespace = l.from_namespace AND r.name = l.from_name
		WHERE l.mesh = ? AND (l.to_kind, l.to_namespace, l.to_name) IN`, func(body []byte) error {
		r, err := decodeResource(body)
		if err == nil && !seen[resource.KeyOf(r)] {
			seen[resource.KeyOf(r)] = true
			found = append(found, r)
		}
		return err
	})
	return found, err
}

// Claimants gives the resources that hold a claim.
func (t *Tx) Claimants(claim string) ([]*configv1.Resource, error) {
	return t.resources("SELECT body FROM resources WHERE mesh = ? AND claim = ? AND claim <> ''", t.mesh, claim)
}

// List gives up to limit resources in the order of their keys, those after
// the key; empty kind or namespace mean all. Limit 0 means all.
func (t *Tx) List(kind, namespace string, after resource.Key, limit int) ([]*configv1.Resource, error) {
	query, args := "SELECT body FROM resources WHERE mesh = ?", []any{t.mesh}
	if kind != "" {
		query, args = query+" AND kind = ?", append(args, kind)
	}
	if namespace != "" {
		query, args = query+" AND namespace = ?", append(args, namespace)
	}
	if after != (resource.Key{}) {
		query, args = query+" AND (kind, namespace, name) > (?, ?, ?)", append(args, after.Kind, after.Namespace, after.Name)
	}
	query += " ORDER BY kind, namespace, name"
	if limit > 0 {
		query, args = query+" LIMIT ?", append(args, limit)
	}
	return t.resources(query, args...)
}

func (t *Tx) resources(query string, args ...any) ([]*configv1.Resource, error) {
	var list []*configv1.Resource
	err := t.each(func(row func(...any) error) error {
		var body []byte
		if err := row(&body); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		r, err := decodeResource(body)
		list = append(list, r)
		return err
	}, query, args...)
	return list, err
}

// Commit writes a change set as the next revision. changes must not be
// empty, hold each key once, and have the resources complete but for
// metadata.revision, which it sets.
func (t *Tx) Commit(r *configv1.Revision, changes []*configv1.Change) error {
	head, err := t.Head()
	if err != nil {
		return err
	}
	hash, err := resource.ParseStateHash(head.StateHash)
	if err != nil {
		return fmt.Errorf("store: state hash of %s: %w", t.mesh, err)
	}
	keys := make([]resource.Key, len(changes))
	for i, c := range changes {
		keys[i] = resource.KeyOf(c.GetResource())
	}
	old, err := t.Get(keys...)
	if err != nil {
		return err
	}
	r.Number, r.Mesh, r.ChangeCount, r.Changes = head.Revision+1, t.mesh, int32(len(changes)), changes
	var written, links, history [][]any
	var gone []resource.Key
	for i, c := range changes {
		k := keys[i]
		if before := old[k]; before != nil {
			hash.Remove(k, before.GetMetadata().GetEtag())
			gone = append(gone, k)
		}
		if c.GetAction() != configv1.Change_ACTION_DELETED {
			c.Resource.Metadata.Revision = r.GetNumber()
		}
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.GetResource())
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		history = append(history, []any{t.mesh, k.Kind, k.Namespace, k.Name, r.GetNumber(), int64(c.GetAction()), body})
		if c.GetAction() == configv1.Change_ACTION_DELETED {
			continue
		}
		hash.Add(k, c.GetResource().GetMetadata().GetEtag())
		written = append(written, []any{t.mesh, k.Kind, k.Namespace, k.Name, r.GetNumber(),
			c.GetResource().GetMetadata().GetEtag(), resource.Claim(c.GetResource()), body})
		for _, l := range resource.Links(c.GetResource()) {
			links = append(links, []any{t.mesh, k.Kind, k.Namespace, k.Name, l.To.Kind, l.To.Namespace, l.To.Name})
		}
	}
	r.StateHash = hash.String()
	return t.write(r, gone, written, links, history)
}

func (t *Tx) write(r *configv1.Revision, gone []resource.Key, written, links, history [][]any) error {
	for part := gone; len(part) > 0; {
		n := min(len(part), chunk)
		args := []any{t.mesh}
		for _, k := range part[:n] {
			args = append(args, k.Kind, k.Namespace, k.Name)
		}
		values := "(VALUES " + strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", n), ", ") + ")"
		if _, err := t.exec("DELETE FROM resources WHERE mesh = ? AND (kind, namespace, name) IN "+values, args...); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM links WHERE mesh = ? AND (from_kind, from_namespace, from_name) IN "+values, args...); err != nil {
			return err
		}
		part = part[n:]
	}
	if err := t.insert("INSERT INTO resources (mesh, kind, namespace, name, revision, etag, claim, body)", "", written); err != nil {
		return err
	}
	if err := t.insert("INSERT INTO links (mesh, from_kind, from_namespace, from_name, to_kind, to_namespace, to_name)",
		"ON CONFLICT DO NOTHING", links); err != nil {
		return err
	}
	if err := t.insert("INSERT INTO history (mesh, kind, namespace, name, revision, action, body)", "", history); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO revisions (mesh, revision, created_us, author, managed_by, message, state_hash, changes)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, t.mesh, r.GetNumber(), r.GetCreateTime().AsTime().UnixMicro(),
		r.GetAuthor(), r.GetManagedBy(), r.GetMessage(), r.GetStateHash(), r.GetChangeCount()); err != nil {
		return err
	}
	if _, err := t.exec("INSERT INTO outbox (mesh, revision) VALUES (?, ?)", t.mesh, r.GetNumber()); err != nil {
		return err
	}
	_, err := t.exec("UPDATE meshes SET head = ?, state_hash = ? WHERE mesh = ?", r.GetNumber(), r.GetStateHash(), t.mesh)
	return err
}
