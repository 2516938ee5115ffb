package client

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestLastGoodConfiguration(t *testing.T) {
	for _, delta := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cache, err := NewCache(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, Config{Delta: delta, Cache: cache})
			cds, eds := newTable(Cluster), newTable(Endpoints)
			w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds})
			w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: eds})
			s := w.srv.last()
			cds.refuse["bad"] = "no"
			if delta {
				s.update(Cluster, "1", nil, "a=1", "b=1", "bad=1")
				s.update(Cluster, "2", []string{"b"}, "a=2", "c=1")
				s.update(Endpoints, "3", nil, "a=e")
			} else {
				s.respond(Cluster, "1", "1", "a=1", "b=1", "bad=1")
				s.respond(Cluster, "2", "2", "a=2", "c=1")
				s.respond(Endpoints, "3", "3", "a=e")
			}
			synctest.Wait()
			cache.Flush()
			w.close()

			// A start without a control plane.
			cache, _ = NewCache(dir, nil)
			w = newWorld(t, Config{Delta: delta, Cache: cache})
			cds, eds = newTable(Cluster), newTable(Endpoints)
			other := newTable(Endpoints)
			w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds})
			w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: eds})
			w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"zz"}, Handler: other, FetchTimeout: time.Hour})
			if cds.updates != 0 {
				t.Fatal("the disk must wait for the control plane")
			}
			w.srv.last().fail()
			synctest.Wait()
			if cds.String() != "a=2 c=1" || eds.String() != "a=e" || !cds.cached || !cds.whole || other.updates != 0 {
				t.Fatalf("from the disk: %s; %s; %d", cds, eds, other.updates)
			}
			w.wantStats("cds.update_success=0")
			w.sleep(time.Second)
			if delta {
				w.want("cds n a=v2 c=v1 node", "eds n +[a zz] a=ve")
				w.srv.last().update(Cluster, "1", []string{"a"})
			} else {
				w.want("cds v n [] node", "eds v n [a zz]")
				w.srv.last().respond(Cluster, "1", "1", "c=1")
			}
			synctest.Wait()
			cache.Flush()
			if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) != 2 || cds.String() != "c=1" {
				t.Fatalf("%s, files %q", cds, files)
			}
			w.close()
		})
	}
}

func TestStaleFilesGo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cache, _ := NewCache(dir, nil)
		cache.store(Cluster, &Resource{Name: "gone", Message: resource(Cluster, "gone", "1")})
		cache.Flush()
		w := newWorld(t, Config{Cache: cache})
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: newTable(Cluster)})
		w.srv.last().respond(Cluster, "1", "1", "here=1")
		synctest.Wait()
		cache.Flush()
		if list := cache.load(Cluster); len(list) != 1 || list[0].Name != "here" {
			t.Fatalf("%v", list)
		}
		w.close()
	})
}

func TestBrokenFilesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	var told int
	cache, err := NewCache(dir, func(string) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	cache.store(Cluster, &Resource{Name: "a", Message: resource(Cluster, "a", "1")})
	cache.Flush()
	for _, content := range []string{"garbage", ""} {
		if err := os.WriteFile(filepath.Join(cache.typeDir(Cluster), "x"+content+".pb"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list := cache.load(Cluster); len(list) != 1 || told != 2 {
		t.Fatalf("%d resources, told %d times", len(list), told)
	}
}
