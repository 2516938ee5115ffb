package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

func TestRelay(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		for i := range 5 {
			if _, err := commit(t.Context(), s, put(workload("a", fmt.Sprintf("10.0.0.%d", i)))); err != nil {
				t.Fatal(err)
			}
		}
		var got []int64
		publish := func(r *configv1.Revision) error {
			if len(got) == 2 && r.GetNumber() == 3 {
				got = append(got, -3)
				return errCrash
			}
			if len(r.GetChanges()) != 1 {
				t.Errorf("revision %d without its change", r.GetNumber())
			}
			got = append(got, r.GetNumber())
			return nil
		}
		if n, err := s.Relay(t.Context(), mesh, 10, publish); n != 2 || !errors.Is(err, errCrash) {
			t.Errorf("first: %d, %v", n, err)
		}
		if n, err := s.Relay(t.Context(), mesh, 2, publish); n != 2 || err != nil {
			t.Errorf("second: %d, %v", n, err)
		}
		// A crash after publishing and before taking out: again, not lost.
		s.before = func(statement string) error {
			if strings.HasPrefix(statement, "DELETE FROM outbox") {
				return errCrash
			}
			return nil
		}
		if _, err := s.Relay(t.Context(), mesh, 10, publish); !errors.Is(err, errCrash) {
			t.Errorf("crash: %v", err)
		}
		s.before = nil
		if n, err := s.Relay(t.Context(), mesh, 10, publish); n != 1 || err != nil {
			t.Errorf("after the crash: %d, %v", n, err)
		}
		if want := "[1 2 -3 3 4 5 5]"; fmt.Sprint(got) != want {
			t.Errorf("published %v, want %s", got, want)
		}
		if n, err := s.Relay(t.Context(), mesh, 10, publish); n != 0 || err != nil {
			t.Errorf("empty: %d, %v", n, err)
		}
	})
}

func TestLeases(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		now := time.Unix(1000, 0)
		cfg.Now = func() time.Time { return now }
		s, ctx := open(t, cfg), t.Context()
		k := resource.KeyOf(workload("a", "10.0.0.1"))
		if _, err := s.Heartbeat(ctx, mesh, k); !errors.Is(err, ErrNotFound) {
			t.Fatalf("no lease: %v", err)
		}
		if err := s.Update(ctx, mesh, func(tx *Tx) error { return tx.PutLease(k, 10*time.Second) }); err != nil {
			t.Fatal(err)
		}
		expired := func() (n int) {
			err := s.View(ctx, mesh, func(tx *Tx) error {
				list, err := tx.Expired(now, 10)
				n = len(list)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return n
		}
		now = now.Add(9 * time.Second)
		l, err := s.Heartbeat(ctx, mesh, k)
		if err != nil || !l.Expires.Equal(now.Add(10*time.Second)) || l.TTL != 10*time.Second {
			t.Fatalf("%v %v", l, err)
		}
		now = now.Add(9 * time.Second)
		if expired() != 0 {
			t.Error("expired in spite of the heartbeat")
		}
		now = now.Add(time.Second)
		if expired() != 1 {
			t.Error("did not expire")
		}
		if err := s.ExtendLeases(ctx, mesh); err != nil || expired() != 0 {
			t.Errorf("extended: %v", err)
		}
		now = now.Add(11 * time.Second)
		for _, want := range []bool{true, false} {
			err := s.Update(ctx, mesh, func(tx *Tx) error {
				taken, err := tx.TakeExpired(k, now)
				if taken != want {
					t.Errorf("taken %v, want %v", taken, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTokensAndAudit(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s, ctx := open(t, cfg), t.Context()
		token := &Token{Name: "ci", ID: "1", Hash: []byte{1}, Role: "editor", Namespaces: []string{"shop"}, Created: time.Unix(5, 0)}
		create := func() error { return s.Update(ctx, mesh, func(tx *Tx) error { return tx.CreateToken(token) }) }
		if err := create(); err != nil {
			t.Fatal(err)
		}
		if err := create(); !errors.Is(err, ErrExists) {
			t.Errorf("twice: %v", err)
		}
		revoke := func() error {
			return s.Update(ctx, mesh, func(tx *Tx) error { return tx.RevokeToken("ci", time.Unix(9, 0)) })
		}
		if err := revoke(); err != nil {
			t.Error(err)
		}
		if err := revoke(); !errors.Is(err, ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		for i := range 3 {
			if err := s.RecordRefusal(ctx, mesh, &configv1.AuditRecord{Time: timestamppb.New(time.Unix(int64(i), 0)), Actor: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		err := s.View(ctx, mesh, func(tx *Tx) error {
			got, err := tx.TokenByID("1")
			if err != nil || got.Namespaces[0] != "shop" || !got.Revoked.Equal(time.Unix(9, 0)) || !got.Expires.IsZero() {
				t.Errorf("token %v: %v", got, err)
			}
			page, err := tx.AuditRecords(0, 2)
			if err != nil || len(page) != 2 || page[0].GetActor() != "2" {
				t.Errorf("audit %v: %v", page, err)
			}
			rest, err := tx.AuditRecords(page[1].GetId(), 2)
			if len(rest) != 1 || rest[0].GetActor() != "0" {
				t.Errorf("audit %v: %v", rest, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
