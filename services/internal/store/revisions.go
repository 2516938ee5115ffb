package store

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

const revisionColumns = "revision, created_us, author, managed_by, message, state_hash, changes"

func (t *Tx) scanRevision(row func(...any) error) (*configv1.Revision, error) {
	r := &configv1.Revision{Mesh: t.mesh}
	var created int64
	if err := row(&r.Number, &created, &r.Author, &r.ManagedBy, &r.Message, &r.StateHash, &r.ChangeCount); err != nil {
		return nil, err
	}
	r.CreateTime = timestamppb.New(time.UnixMicro(created))
	return r, nil
}

// Revision gives one revision with its changes.
func (t *Tx) Revision(number int64) (*configv1.Revision, error) {
	r, err := t.scanRevision(t.row("SELECT "+revisionColumns+" FROM revisions WHERE mesh = ? AND revision = ?", t.mesh, number).Scan)
	if err != nil {
		return nil, err
	}
	err = t.each(func(row func(...any) error) error {
		c, err := scanChange(row)
		r.Changes = append(r.Changes, c)
		return err
	}, "SELECT action, body FROM history WHERE mesh = ? AND revision = ? ORDER BY kind, namespace, name", t.mesh, number)
	return r, err
}

func scanChange(row func(...any) error) (*configv1.Change, error) {
	var action int64
	var body []byte
	if err := row(&action, &body); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	r, err := decodeResource(body)
	return &configv1.Change{Action: configv1.Change_Action(action), Resource: r}, err
}

// Revisions lists up to limit revisions below the number (0: from the head),
// newest first, without changes.
func (t *Tx) Revisions(below int64, limit int) ([]*configv1.Revision, error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	var list []*configv1.Revision
	err := t.each(func(row func(...any) error) error {
		r, err := t.scanRevision(row)
		list = append(list, r)
		return err
	}, "SELECT "+revisionColumns+" FROM revisions WHERE mesh = ? AND revision < ? ORDER BY revision DESC LIMIT ?", t.mesh, below, limit)
	return list, err
}

// History lists up to limit changes of one resource below the revision (0:
// from the head), newest first, as revisions with that one change.
func (t *Tx) History(k resource.Key, below int64, limit int) ([]*configv1.Revision, error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	var list []*configv1.Revision
	err := t.each(func(row func(...any) error) error {
		var c *configv1.Change
		var err error
		r, scanErr := t.scanRevision(func(to ...any) error {
			var action int64
			var body []byte
			if err := row(append(to, &action, &body)...); err != nil {
				return err
			}
			c = &configv1.Change{Action: configv1.Change_Action(action)}
			c.Resource, err = decodeResource(body)
			return err
		})
		if scanErr != nil {
			return scanErr
		}
		r.Changes = []*configv1.Change{c}
		list = append(list, r)
		return err
	}, `SELECT r.revision, r.created_us, r.author, r.managed_by, r.message, r.state_hash, r.changes, h.action, h.body
		FROM history h JOIN revisions r ON r.mesh = h.mesh AND r.revision = h.revision
		WHERE h.mesh = ? AND h.kind = ? AND h.namespace = ? AND h.name = ? AND h.revision < ?
		ORDER BY h.revision DESC LIMIT ?`, t.mesh, k.Kind, k.Namespace, k.Name, below, limit)
	return list, err
}

// At gives all resources as they were after a revision, in the order of
// their keys. It is ErrNotFound if there is no such revision yet.
func (t *Tx) At(number int64) ([]*configv1.Resource, string, error) {
	head, err := t.Head()
	if err != nil {
		return nil, "", err
	}
	if number == head.Revision {
		list, err := t.List("", "", resource.Key{}, 0)
		return list, head.StateHash, err
	}
	if number == 0 {
		return nil, new(resource.StateHash).String(), nil
	}
	var hash string
	if err := t.row("SELECT state_hash FROM revisions WHERE mesh = ? AND revision = ?", t.mesh, number).Scan(&hash); err != nil {
		return nil, "", err
	}
	list, err := t.resources(`SELECT h.body FROM history h
		JOIN (SELECT kind, namespace, name, MAX(revision) AS revision FROM history
			WHERE mesh = ? AND revision <= ? GROUP BY kind, namespace, name) last
		ON h.kind = last.kind AND h.namespace = last.namespace AND h.name = last.name AND h.revision = last.revision
		WHERE h.mesh = ? AND h.action <> ? ORDER BY h.kind, h.namespace, h.name`,
		t.mesh, number, t.mesh, int64(configv1.Change_ACTION_DELETED))
	return list, hash, err
}

// GetAt gives one resource as it was after a revision.
func (t *Tx) GetAt(k resource.Key, number int64) (*configv1.Resource, error) {
	var action int64
	var body []byte
	err := t.row(`SELECT action, body FROM history WHERE mesh = ? AND kind = ? AND namespace = ? AND name = ? AND revision <= ?
		ORDER BY revision DESC LIMIT 1`, t.mesh, k.Kind, k.Namespace, k.Name, number).Scan(&action, &body)
	if err != nil {
		return nil, err
	}
	if configv1.Change_Action(action) == configv1.Change_ACTION_DELETED {
		return nil, ErrNotFound
	}
	return decodeResource(body)
}
