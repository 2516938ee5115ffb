package client

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// parseTest reads {"version": "1", "type": "", "resources": ["a=1"]}.
func parseTest(_ string, content []byte) (*discoveryv3.DiscoveryResponse, error) {
	var f struct {
		Version   string
		Type      string
		Resources map[string]string
	}
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, err
	}
	r := &discoveryv3.DiscoveryResponse{VersionInfo: f.Version}
	for n, v := range f.Resources {
		a := resource(Cluster, n, v)
		if f.Type != "" {
			a = &anypb.Any{TypeUrl: f.Type}
		}
		r.Resources = append(r.Resources, a)
	}
	return r, nil
}

// change puts a file in place by renaming.
func change(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".tmp", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// fileWorld is a file source under test, on the real file system.
type fileWorld struct {
	loop  *Loop
	table *table
	stats *Stats
	group *stats.Group
	sub   Subscription
}

func newFileWorld(t *testing.T, path, watched string) *fileWorld {
	store := stats.NewStore()
	w := &fileWorld{loop: NewLoop(), table: newTable(Cluster), group: store.Group("cds.", subscriptionSchema)}
	w.stats = NewStats(store, w.group)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = w.loop.Run(ctx) }()
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() })
	f, err := NewFile(FileConfig{Loop: w.loop, Watcher: watcher, Path: path, WatchedDirectory: watched, Parse: parseTest})
	if err != nil {
		t.Fatal(err)
	}
	w.ask(func() {
		if w.sub, err = f.Subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: w.table, Stats: w.stats}); err != nil {
			t.Error(err)
		}
	})
	return w
}

// ask runs f on the loop and waits for it.
func (w *fileWorld) ask(f func()) {
	done := make(chan struct{})
	w.loop.Post(func() { f(); close(done) })
	<-done
}

// wait waits until the table and the counters of success, rejection and
// failure are what is wanted.
func (w *fileWorld) wait(t *testing.T, want string, counts string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		var got string
		w.ask(func() { got = w.table.String() })
		c := fmt.Sprint(w.group.CounterValue(statSuccess), w.group.CounterValue(statRejected), w.group.CounterValue(statFailure))
		if got == want && c == counts {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q %s, want %q %s", got, c, want, counts)
		}
	}
}

func TestFile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "cds.json")
	if _, err := NewFile(FileConfig{Path: p}); err == nil {
		t.Fatal("a missing file was taken")
	}
	change(t, p, `{"version": "1", "resources": {"a": "1", "b": "1"}}`)
	w := newFileWorld(t, p, "")
	w.wait(t, "a=1 b=1", "1 0 0")
	change(t, p, `{"version": "2", "resources": {"b": "2"}}`)
	w.wait(t, "b=2", "2 0 0")
	change(t, p, `no`)
	w.wait(t, "b=2", "2 0 1")
	change(t, p, "\n")
	w.wait(t, "b=2", "2 0 2")
	change(t, p, `{"type": "type.googleapis.com/other", "resources": {"b": "3"}}`)
	w.wait(t, "b=2", "2 1 2")
	w.ask(func() { w.table.refuse["bad"] = "no" })
	change(t, p, `{"version": "3", "resources": {"b": "3", "bad": "1"}}`)
	w.wait(t, "b=3", "2 2 2")
	w.ask(w.sub.Close)
	change(t, p, `{"resources": {"b": "4"}}`)
	w.wait(t, "b=3", "2 2 2")
}

func TestWatchedDirectory(t *testing.T) {
	dir := t.TempDir()
	for v := range 2 {
		d := filepath.Join(dir, fmt.Sprint("v", v))
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		change(t, filepath.Join(d, "cds.json"), fmt.Sprintf(`{"resources": {"a": "%d"}}`, v))
	}
	swap := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	swap("v0")
	w := newFileWorld(t, filepath.Join(dir, "current", "cds.json"), dir)
	w.wait(t, "a=0", "1 0 0")
	swap("v1")
	w.wait(t, "a=1", "2 0 0")
}
