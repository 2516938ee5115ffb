package store

import (
	"context"
	"fmt"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// relayLock is the first key of the advisory lock that the relays of all
// replicas share; the second is the mesh's.
const relayLock = 0x68617773

// Relay hands up to limit revisions of the outbox to publish, oldest first,
// and takes them out. It stops at the first error, and says how many were
// published. Only one relay of a mesh works at a time; on Postgres the
// others return 0 at once. A revision may be handed out again after a
// crash, never left out.
func (s *Store) Relay(ctx context.Context, mesh string, limit int, publish func(*configv1.Revision) error) (int, error) {
	s.relay.Lock()
	defer s.relay.Unlock()
	if s.postgres {
		return s.relayLocked(ctx, mesh, limit, publish)
	}
	// SQLite has one process. A transaction around publishing would keep
	// writers out for as long as the bus takes.
	var pending []*configv1.Revision
	err := s.View(ctx, mesh, func(t *Tx) (err error) {
		pending, err = t.outbox(limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	done, failed := publishAll(pending, publish)
	if done == 0 {
		return 0, failed
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	t := &Tx{s: s, tx: tx, ctx: ctx, mesh: mesh}
	if err := t.published(pending[done-1].GetNumber()); err != nil {
		_ = tx.Rollback() // published again, which is harmless
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("store: commit: %w", err)
	}
	return done, failed
}

func (s *Store) relayLocked(ctx context.Context, mesh string, limit int, publish func(*configv1.Revision) error) (int, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	t := &Tx{s: s, tx: tx, ctx: ctx, mesh: mesh}
	var got bool
	if err := t.row("SELECT pg_try_advisory_xact_lock(?, hashtext(?))", relayLock, mesh).Scan(&got); err != nil || !got {
		return 0, err
	}
	pending, err := t.outbox(limit)
	if err != nil {
		return 0, err
	}
	done, failed := publishAll(pending, publish)
	if done == 0 {
		return 0, failed
	}
	if err := t.published(pending[done-1].GetNumber()); err != nil {
		return 0, err
	}
	if err := s.step("COMMIT"); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("store: commit: %w", err)
	}
	return done, failed
}

func publishAll(pending []*configv1.Revision, publish func(*configv1.Revision) error) (int, error) {
	for i, r := range pending {
		if err := publish(r); err != nil {
			return i, err
		}
	}
	return len(pending), nil
}

func (t *Tx) outbox(limit int) ([]*configv1.Revision, error) {
	var numbers []int64
	err := t.each(func(row func(...any) error) error {
		var n int64
		err := row(&n)
		numbers = append(numbers, n)
		return err
	}, "SELECT revision FROM outbox WHERE mesh = ? ORDER BY revision LIMIT ?", t.mesh, limit)
	if err != nil {
		return nil, err
	}
	var list []*configv1.Revision
	for _, n := range numbers {
		r, err := t.Revision(n)
		if err != nil {
			return nil, fmt.Errorf("outbox revision %d: %w", n, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// published takes out everything up to a revision: the outbox is worked off
// in order, so nothing lower can be waiting.
func (t *Tx) published(upTo int64) error {
	_, err := t.exec("DELETE FROM outbox WHERE mesh = ? AND revision <= ?", t.mesh, upTo)
	return err
}

// Backlog is how many revisions wait in the outbox.
func (t *Tx) Backlog() (int64, error) {
	var n int64
	err := t.row("SELECT COUNT(*) FROM outbox WHERE mesh = ?", t.mesh).Scan(&n)
	return n, err
}
