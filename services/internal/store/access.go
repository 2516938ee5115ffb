package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Token is a stored token. Times are zero where there is none.
type Token struct {
	Name string
	// ID is the public part of the secret, by which it is found.
	ID string
	// Hash of the secret.
	Hash       []byte
	Role       string
	Namespaces []string
	Created    time.Time
	Expires    time.Time
	Revoked    time.Time
	CreatedBy  string
}

const tokenColumns = "name, id, hash, role, namespaces, created_us, expires_us, revoked_us, created_by"

func scanToken(row func(...any) error) (*Token, error) {
	var k Token
	var namespaces string
	var created, expires, revoked int64
	if err := row(&k.Name, &k.ID, &k.Hash, &k.Role, &namespaces, &created, &expires, &revoked, &k.CreatedBy); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(namespaces), &k.Namespaces); err != nil {
		return nil, fmt.Errorf("store: namespaces of token %s: %w", k.Name, err)
	}
	k.Created, k.Expires, k.Revoked = fromMicros(created), fromMicros(expires), fromMicros(revoked)
	return &k, nil
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// CreateToken stores a token; ErrExists if the name is taken, also by a
// revoked one.
func (t *Tx) CreateToken(k *Token) error {
	namespaces, err := json.Marshal(k.Namespaces)
	if err != nil {
		return fmt.Errorf("token %s: %w", k.Name, err)
	}
	n, err := t.exec("INSERT INTO tokens (mesh, "+tokenColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		t.mesh, k.Name, k.ID, k.Hash, k.Role, string(namespaces), toMicros(k.Created), toMicros(k.Expires), toMicros(k.Revoked), k.CreatedBy)
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

// TokenByID finds a token.
func (t *Tx) TokenByID(id string) (*Token, error) {
	return scanToken(t.row("SELECT "+tokenColumns+" FROM tokens WHERE mesh = ? AND id = ?", t.mesh, id).Scan)
}

// TokenByName finds a token.
func (t *Tx) TokenByName(name string) (*Token, error) {
	return scanToken(t.row("SELECT "+tokenColumns+" FROM tokens WHERE mesh = ? AND name = ?", t.mesh, name).Scan)
}

// Tokens lists all, by name.
func (t *Tx) Tokens() ([]*Token, error) {
	var list []*Token
	err := t.each(func(row func(...any) error) error {
		k, err := scanToken(row)
		list = append(list, k)
		return err
	}, "SELECT "+tokenColumns+" FROM tokens WHERE mesh = ? ORDER BY name", t.mesh)
	return list, err
}

// RevokeToken makes a token invalid, for ever.
func (t *Tx) RevokeToken(name string, at time.Time) error {
	n, err := t.exec("UPDATE tokens SET revoked_us = ? WHERE mesh = ? AND name = ? AND revoked_us = 0", toMicros(at), t.mesh, name)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Audit writes a record; its id is given by the store.
func (t *Tx) Audit(r *configv1.AuditRecord) error {
	body, err := proto.Marshal(r)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = t.exec("INSERT INTO audit (mesh, time_us, body) VALUES (?, ?, ?)", t.mesh, r.GetTime().AsTime().UnixMicro(), body)
	return err
}

// AuditRecords lists up to limit records below the id (0: from the newest),
// newest first.
func (t *Tx) AuditRecords(below int64, limit int) ([]*configv1.AuditRecord, error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	var list []*configv1.AuditRecord
	err := t.each(func(row func(...any) error) error {
		var id int64
		var body []byte
		if err := row(&id, &body); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		r := new(configv1.AuditRecord)
		if err := proto.Unmarshal(body, r); err != nil {
			return fmt.Errorf("store: audit record %d: %w", id, err)
		}
		r.Id = id
		list = append(list, r)
		return nil
	}, "SELECT id, body FROM audit WHERE mesh = ? AND id < ? ORDER BY id DESC LIMIT ?", t.mesh, below, limit)
	return list, err
}

// RecordRefusal writes an audit record on its own, without the mesh's lock.
func (s *Store) RecordRefusal(ctx context.Context, mesh string, r *configv1.AuditRecord) error {
	return s.direct(ctx, mesh, func(t *Tx) error { return t.Audit(r) })
}

// direct runs fn in a transaction that does not hold the mesh's lock.
func (s *Store) direct(ctx context.Context, mesh string, fn func(*Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := fn(&Tx{s: s, tx: tx, ctx: ctx, mesh: mesh}); err != nil {
		_ = tx.Rollback() // the first error is the one that matters
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}
