package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRatchet(t *testing.T) {
	dir := t.TempDir()
	results, known := filepath.Join(dir, "r.json"), filepath.Join(dir, "known.txt")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(results, `{"cases":[{"name":"a/x","outcome":"ok"},{"name":"a/y","outcome":"FAIL","differences":["status: 1"]}]}`)
	for _, c := range []struct {
		list string
		code int
		text string
	}{
		{"# nothing\n", 1, "FAILS   a/y: status: 1"},
		{"a/y: no feature\n", 0, "1 pass, 1 fail as listed, 0 break"},
		{"a/x: old\na/y: no feature\n", 1, "PASSES  a/x"},
		{"a/x: unsteady: timing\na/y: unsteady: timing\n", 0, "1 pass, 1 fail as listed, 0 break"},
	} {
		write(known, c.list)
		var out strings.Builder
		code, err := run(&out, results, known, false)
		if err != nil || code != c.code || !strings.Contains(out.String(), c.text) {
			t.Errorf("%q: %d %v %s", c.list, code, err, out.String())
		}
	}
	write(known, "a/y\n")
	if _, err := run(&strings.Builder{}, results, known, false); err == nil {
		t.Error("a line without a reason is accepted")
	}
	write(known, "a/x: old\na/y: kept reason\n")
	if _, err := run(&strings.Builder{}, results, known, true); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(known)
	if !strings.HasSuffix(string(got), "list only shrinks.\na/y: kept reason\n") {
		t.Errorf("%s", got)
	}
}
