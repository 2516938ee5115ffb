package file

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

func TestLinesOfAllWorkersArrive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	store := stats.NewStore()
	m := NewManager(time.Hour, 2, store)
	f, err := m.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := m.Open(path); same != f {
		t.Fatal("one path was opened twice")
	}
	var wg sync.WaitGroup
	for w := range 2 {
		l := store.NewLocal()
		wg.Go(func() {
			for range 20000 {
				f.Append(w, l, []byte("0123456789\n"))
			}
		})
	}
	wg.Wait()
	m.Close()
	got, err := os.ReadFile(path)
	if err != nil || bytes.Count(got, []byte("0123456789\n")) != 40000 || len(got) != 440000 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestTimerReopenAndRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		store := stats.NewStore()
		m := NewManager(50*time.Millisecond, 0, store)
		defer m.Close()
		f, err := m.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Append(0, store.Main(), []byte("one\n"))
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		if got, _ := os.ReadFile(path); string(got) != "one\n" {
			t.Fatalf("%q after the interval", got)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		m.Reopen()
		f.Append(0, store.Main(), []byte("two\n"))
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		if got, _ := os.ReadFile(path); string(got) != "two\n" {
			t.Fatalf("%q after reopening", got)
		}
		if _, err := m.Open(t.TempDir() + "/no/such"); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("missing directory: %v", err)
		}
	})
}

type blocked struct{ release chan struct{} }

func (b blocked) Write(p []byte) (int, error) { <-b.release; return len(p), nil }
func (blocked) Close() error                  { return nil }

func TestSlowDiskDropsAndCounts(t *testing.T) {
	store := stats.NewStore()
	m := NewManager(time.Hour, 0, store)
	f, err := m.Open(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.out.Close()
	slow := blocked{make(chan struct{})}
	f.out = slow
	line := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		f.Append(0, store.Main(), line)
	}
	if m.group.CounterValue(writeDropped) < 30 {
		t.Errorf("%d lines dropped", m.group.CounterValue(writeDropped))
	}
	close(slow.release)
	m.Close()
	if v := m.group.GaugeValue(totalBuffered); v != 0 {
		t.Errorf("%d bytes are left in the gauge", v)
	}
}
