package logging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLevelsAndFormat(t *testing.T) {
	var out strings.Builder
	l := New(&out, Warning)
	l.SetFormat("[%l][%n] %v")
	l.Get("http").Infof("not wanted")
	l.Get("http").Warnf("wanted %d", 1)
	if !l.SetLevel("http", "debug") || l.SetLevel("nobody", "info") || l.SetLevel("http", "loud") {
		t.Error("SetLevel")
	}
	l.Get("http").Debugf("now")
	l.Get("nobody").Errorf("misc")
	want := "[warning][http] wanted 1\n[debug][http] now\n[error][misc] misc\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	var none *Logger
	none.Errorf("a nil logger is quiet")
}

func TestDefaultFormat(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	got := render("[%Y-%m-%d %T.%e][%l][%n] %v 100%% %q", at, Error, "main", "x")
	if want := "[2026-01-02 03:04:05.006][error][main] x 100% %q\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := New(os.Stderr, Info)
	l.SetFormat("%v")
	if err := l.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	l.Get("main").Infof("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Get("main").Infof("two")
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "two\n" {
		t.Errorf("%q %v", got, err)
	}
}
