package store

import (
	"context"
	"fmt"
	"time"

	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// Lease is what keeps a workload with a ttl alive.
type Lease struct {
	Namespace, Name string
	Expires         time.Time
	TTL             time.Duration
}

// PutLease starts or restarts a lease.
func (t *Tx) PutLease(k resource.Key, ttl time.Duration) error {
	_, err := t.exec(`INSERT INTO leases (mesh, namespace, name, expires_us, ttl_us) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (mesh, namespace, name) DO UPDATE SET expires_us = excluded.expires_us, ttl_us = excluded.ttl_us`,
		t.mesh, k.Namespace, k.Name, t.s.now().Add(ttl).UnixMicro(), ttl.Microseconds())
	return err
}

// DropLease ends a lease, if there is one.
func (t *Tx) DropLease(k resource.Key) error {
	_, err := t.exec("DELETE FROM leases WHERE mesh = ? AND namespace = ? AND name = ?", t.mesh, k.Namespace, k.Name)
	return err
}

// TakeExpired ends a lease if it still is expired; false if a heartbeat came
// first.
func (t *Tx) TakeExpired(k resource.Key, deadline time.Time) (bool, error) {
	n, err := t.exec("DELETE FROM leases WHERE mesh = ? AND namespace = ? AND name = ? AND expires_us <= ?",
		t.mesh, k.Namespace, k.Name, deadline.UnixMicro())
	return n > 0, err
}

// Expired lists up to limit leases that ended by the deadline, oldest first.
func (t *Tx) Expired(deadline time.Time, limit int) ([]Lease, error) {
	var list []Lease
	err := t.each(func(row func(...any) error) error {
		var l Lease
		var expires, ttl int64
		if err := row(&l.Namespace, &l.Name, &expires, &ttl); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		l.Expires, l.TTL = time.UnixMicro(expires), time.Duration(ttl)*time.Microsecond
		list = append(list, l)
		return nil
	}, "SELECT namespace, name, expires_us, ttl_us FROM leases WHERE mesh = ? AND expires_us <= ? ORDER BY expires_us LIMIT ?",
		t.mesh, deadline.UnixMicro(), limit)
	return list, err
}

// Heartbeat renews a lease, without the mesh's lock, and gives its new end
// and its ttl. ErrNotFound if there is none.
func (s *Store) Heartbeat(ctx context.Context, mesh string, k resource.Key) (Lease, error) {
	l := Lease{Namespace: k.Namespace, Name: k.Name}
	err := s.direct(ctx, mesh, func(t *Tx) error {
		var ttl int64
		err := t.row("UPDATE leases SET expires_us = ? + ttl_us WHERE mesh = ? AND namespace = ? AND name = ? RETURNING ttl_us",
			s.now().UnixMicro(), mesh, k.Namespace, k.Name).Scan(&ttl)
		l.TTL = time.Duration(ttl) * time.Microsecond
		l.Expires = s.now().Add(l.TTL)
		return err
	})
	return l, err
}

// ExtendLeases gives every lease at least one ttl from now: after a time in
// which nobody could send a heartbeat, nobody is to be blamed for it.
func (s *Store) ExtendLeases(ctx context.Context, mesh string) error {
	return s.direct(ctx, mesh, func(t *Tx) error {
		now := s.now().UnixMicro()
		_, err := t.exec("UPDATE leases SET expires_us = ? + ttl_us WHERE mesh = ? AND expires_us < ? + ttl_us", now, mesh, now)
		return err
	})
}
