package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/pgtest"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const mesh = "m"

// both runs a test of the contract on each database.
func both(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, Config{SQLitePath: filepath.Join(t.TempDir(), "store.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, Config{PostgresURL: pgtest.URL(t)})
	})
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func workload(name, address string) *configv1.Resource {
	spec, err := structpb.NewStruct(map[string]any{"address": address})
	if err != nil {
		panic(err)
	}
	r := &configv1.Resource{ApiVersion: resource.HawserAPIVersion, Kind: resource.Workload, Spec: spec,
		Metadata: &configv1.Metadata{Name: name, Namespace: "default"}}
	r.Metadata.Etag = resource.Etag(r)
	return r
}

func put(r *configv1.Resource) *configv1.Change {
	return &configv1.Change{Action: configv1.Change_ACTION_UPDATED, Resource: r}
}

func del(r *configv1.Resource) *configv1.Change {
	return &configv1.Change{Action: configv1.Change_ACTION_DELETED, Resource: r}
}

func commit(ctx context.Context, s *Store, changes ...*configv1.Change) (*configv1.Revision, error) {
	r := &configv1.Revision{CreateTime: timestamppb.New(time.Unix(1, 0)), Author: "tester"}
	err := s.Update(ctx, mesh, func(tx *Tx) error {
		if err := tx.Commit(r, changes); err != nil {
			return err
		}
		return tx.Audit(&configv1.AuditRecord{Time: r.CreateTime, Actor: "tester"})
	})
	return r, err
}

// consistent checks all that must hold between the tables, whatever
// happened, and gives the head.
func consistent(t *testing.T, s *Store) Head {
	t.Helper()
	var head Head
	err := s.View(t.Context(), mesh, func(tx *Tx) error {
		var err error
		if head, err = tx.Head(); err != nil {
			return err
		}
		revisions, err := tx.Revisions(0, 1<<20)
		if err != nil {
			return err
		}
		if int64(len(revisions)) != head.Revision {
			t.Errorf("%d revisions, head is %d", len(revisions), head.Revision)
		}
		state := map[resource.Key]string{}
		for n := int64(1); n <= head.Revision; n++ {
			r, err := tx.Revision(n)
			if err != nil {
				return fmt.Errorf("revision %d: %w", n, err)
			}
			if len(r.GetChanges()) != int(r.GetChangeCount()) {
				t.Errorf("revision %d has %d changes, says %d", n, len(r.GetChanges()), r.GetChangeCount())
			}
			for _, c := range r.GetChanges() {
				if c.GetAction() == configv1.Change_ACTION_DELETED {
					delete(state, resource.KeyOf(c.GetResource()))
				} else {
					state[resource.KeyOf(c.GetResource())] = c.GetResource().GetMetadata().GetEtag()
				}
			}
			var hash resource.StateHash
			for k, etag := range state {
				hash.Add(k, etag)
			}
			if hash.String() != r.GetStateHash() {
				t.Errorf("state hash of revision %d does not fit", n)
			}
			at, atHash, err := tx.At(n)
			if err != nil || len(at) != len(state) || atHash != hash.String() {
				t.Errorf("at %d: %d resources, want %d; %v", n, len(at), len(state), err)
			}
		}
		now, err := tx.List("", "", resource.Key{}, 0)
		if err != nil {
			return err
		}
		for _, r := range now {
			if state[resource.KeyOf(r)] != r.GetMetadata().GetEtag() {
				t.Errorf("%s is not as its history says", resource.KeyOf(r))
			}
		}
		if len(now) != len(state) {
			t.Errorf("%d resources, history says %d", len(now), len(state))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func TestCommitAndRead(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s, ctx := open(t, cfg), t.Context()
		for i, changes := range [][]*configv1.Change{
			{put(workload("a", "10.0.0.1")), put(workload("b", "10.0.0.2"))},
			{put(workload("a", "10.0.0.3"))},
			{del(workload("b", "10.0.0.2"))},
		} {
			r, err := commit(ctx, s, changes...)
			if err != nil || r.GetNumber() != int64(i+1) {
				t.Fatalf("revision %d: %v", r.GetNumber(), err)
			}
		}
		if head := consistent(t, s); head.Revision != 3 {
			t.Errorf("head %d", head.Revision)
		}
		a := resource.Key{Kind: resource.Workload, Namespace: "default", Name: "a"}
		b := resource.Key{Kind: resource.Workload, Namespace: "default", Name: "b"}
		err := s.View(ctx, mesh, func(tx *Tx) error {
			got, err := tx.Get(a, b)
			if len(got) != 1 || got[a].GetMetadata().GetRevision() != 2 {
				t.Errorf("get: %v", got)
			}
			old, err2 := tx.GetAt(a, 1)
			if old.GetSpec().GetFields()["address"].GetStringValue() != "10.0.0.1" {
				t.Errorf("a at 1: %v", old)
			}
			if _, err := tx.GetAt(b, 3); !errors.Is(err, ErrNotFound) {
				t.Errorf("b at 3: %v", err)
			}
			history, err3 := tx.History(a, 0, 10)
			if len(history) != 2 || history[0].GetNumber() != 2 {
				t.Errorf("history: %v", history)
			}
			if _, _, err := tx.At(9); !errors.Is(err, ErrNotFound) {
				t.Errorf("at 9: %v", err)
			}
			return errors.Join(err, err2, err3)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestManyResourcesInOneCommit(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		var changes []*configv1.Change
		for i := range 2*chunk + 10 {
			changes = append(changes, put(workload(fmt.Sprintf("w%04d", i), "10.0.0.1")))
		}
		for range 2 {
			if _, err := commit(t.Context(), s, changes...); err != nil {
				t.Fatal(err)
			}
		}
		consistent(t, s)
		err := s.View(t.Context(), mesh, func(tx *Tx) error {
			page, err := tx.List(resource.Workload, "default", resource.Key{Kind: resource.Workload, Namespace: "default", Name: "w0099"}, 3)
			if len(page) != 3 || page[0].GetMetadata().GetName() != "w0100" {
				t.Errorf("page %v", page)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestLinksAndClaims(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		rs, bad := resource.Parse([]byte(`
{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"r"},"spec":{"parentRefs":[{"name":"g"}],
 "rules":[{"backendRefs":[{"name":"s","port":80},{"name":"s","port":81}]}]}}
{"apiVersion":"hawser.dev/v1","kind":"EnvoyResource","metadata":{"name":"e"},"spec":{"type":"CLUSTER","resource":{"name":"c","connect_timeout":"1s"}}}`), "")
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		if _, err := commit(t.Context(), s, put(rs[0]), put(rs[1])); err != nil {
			t.Fatal(err)
		}
		service := resource.Key{Kind: resource.Service, Namespace: "default", Name: "s"}
		referrers := func() (n int) {
			err := s.View(t.Context(), mesh, func(tx *Tx) error {
				list, err := tx.Referrers(service)
				n = len(list)
				claims, err2 := tx.Claimants("CLUSTER/c")
				if len(claims) != 1 {
					t.Errorf("claims: %v", claims)
				}
				return errors.Join(err, err2)
			})
			if err != nil {
				t.Error(err)
			}
			return n
		}
		if n := referrers(); n != 1 {
			t.Errorf("%d referrers", n)
		}
		if _, err := commit(t.Context(), s, del(rs[0])); err != nil {
			t.Fatal(err)
		}
		if n := referrers(); n != 0 {
			t.Errorf("%d referrers after delete", n)
		}
	})
}

func TestConcurrentWritersMakeNoGap(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		stores := []*Store{open(t, cfg)}
		if cfg.PostgresURL != "" {
			stores = append(stores, open(t, cfg), open(t, cfg)) // as three replicas
		}
		const writers, each = 6, 8
		numbers := make(chan int64, writers*each)
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range each {
					r, err := commit(t.Context(), stores[w%len(stores)], put(workload(fmt.Sprint("w", w), fmt.Sprintf("10.0.0.%d", i))), put(workload("shared", fmt.Sprintf("10.%d.0.%d", w, i))))
					if err != nil {
						t.Error(err)
						return
					}
					numbers <- r.GetNumber()
				}
			})
		}
		group.Wait()
		close(numbers)
		seen := map[int64]bool{}
		for n := range numbers {
			if seen[n] {
				t.Errorf("revision %d was given twice", n)
			}
			seen[n] = true
		}
		if head := consistent(t, stores[0]); head.Revision != writers*each {
			t.Errorf("head %d, want %d", head.Revision, writers*each)
		}
	})
}

var errCrash = errors.New("crash")

// A write that dies before any of its statements, the commit included,
// leaves nothing of itself; and the next one goes on from there.
func TestCrashBeforeEveryStatement(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		if _, err := commit(t.Context(), s, put(workload("a", "10.0.0.1")), put(workload("b", "10.0.0.1"))); err != nil {
			t.Fatal(err)
		}
		before := consistent(t, s)
		for at := 1; ; at++ {
			step := 0
			image := ""
			s.before = func(string) error {
				if step++; step != at {
					return nil
				}
				// What a process that dies here leaves on the disk.
				if cfg.SQLitePath != "" {
					image = copyStore(t, cfg.SQLitePath)
				} else {
					killSessions(t, cfg.PostgresURL)
					return nil // the next statement finds the connection gone
				}
				return errCrash
			}
			_, err := commit(t.Context(), s, put(workload("a", "10.0.0.2")), del(workload("b", "10.0.0.1")), put(workload("c", "10.0.0.1")))
			s.before = nil
			if step < at {
				if err != nil {
					t.Fatal(err)
				}
				if at < 10 {
					t.Fatalf("only %d statements were seen", at-1)
				}
				break
			}
			if err == nil {
				t.Fatalf("statement %d: no error", at)
			}
			if head := consistent(t, s); head != before {
				t.Fatalf("a crash before statement %d left head %v, was %v", at, head, before)
			}
			if image != "" {
				if head := consistent(t, open(t, Config{SQLitePath: image})); head != before {
					t.Fatalf("the image before statement %d has head %v", at, head)
				}
			}
		}
		if head := consistent(t, s); head.Revision != 2 {
			t.Errorf("head %d after the write that went through", head.Revision)
		}
	})
}

func copyStore(t *testing.T, path string) string {
	to := filepath.Join(t.TempDir(), "image.db")
	for _, suffix := range []string{"", "-wal"} {
		in, err := os.Open(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(to + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(in.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func killSessions(t *testing.T, url string) {
	killer := open(t, Config{PostgresURL: url})
	if _, err := killer.write.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"); err != nil {
		t.Fatal(err)
	}
}

// Several processes may start on an empty database at once.
func TestMigrateTogether(t *testing.T) {
	url := pgtest.URL(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := Open(t.Context(), Config{PostgresURL: url})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	group.Wait()
}
