package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHelpShowsNoSecrets: help shows the defaults of flags.
func TestHelpShowsNoSecrets(t *testing.T) {
	t.Setenv("HAWSER_TOKEN", "hwt_secret")
	var out bytes.Buffer
	for _, args := range [][]string{{"--help"}, {"up", "--help"}, {"get", "--help"}} {
		if code := Run(context.Background(), args, strings.NewReader(""), &out, &out); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if strings.Contains(out.String(), "hwt_secret") {
		t.Error("help shows the token")
	}
	if token, err := (&options{}).findToken(); err != nil || token != "hwt_secret" {
		t.Errorf("token %q, %v", token, err)
	}
	if token, _ := (&options{token: "other"}).findToken(); token != "other" {
		t.Errorf("the flag does not come first: %q", token)
	}
}

func TestFirstToken(t *testing.T) {
	dir := t.TempDir()
	path, err := firstToken(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	first, _ := os.ReadFile(path)
	if _, err := firstToken(dir); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(first, again) || len(first) < 40 {
		t.Errorf("%q, then %q", first, again)
	}
}

// output may be written by several goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestChildIsKept starts a program that ends, and then one that does not
// until it is told to.
func TestChildIsKept(t *testing.T) {
	dir, out := t.TempDir(), &output{}
	runs := filepath.Join(dir, "runs")
	script := `echo run >> ` + runs + `; [ $(wc -l < ` + runs + `) -lt 2 ] && exit 3; trap 'echo stopped >> ` + runs + `; exit 0' TERM; while :; do sleep 0.05; done`
	c := &child{name: "thing", path: "/bin/sh", args: []string{"-c", script}, log: filepath.Join(dir, "log"), out: out}
	stop := background(c.keep)
	deadline := time.Now().Add(20 * time.Second)
	for text := ""; strings.Count(text, "run") < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("not started again: %q", out.String())
		}
		time.Sleep(5 * time.Millisecond)
		b, _ := os.ReadFile(runs)
		text = string(b)
	}
	time.Sleep(100 * time.Millisecond) // until the shell has set its trap
	stop()
	if b, _ := os.ReadFile(runs); string(b) != "run\nrun\nstopped\n" {
		t.Errorf("%q", b)
	}
	if !strings.Contains(out.String(), "thing ended (exit status 3), starting it again in 200ms") {
		t.Errorf("said %q", out.String())
	}
}
