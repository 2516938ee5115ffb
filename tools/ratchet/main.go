// Command ratchet compares the outcome of a conformance run with the list of
// cases that are known to fail. It exits with 1 when a case fails that is not
// listed, and when a listed case passes: the list only shrinks.
//
//	ratchet -results results.json -known tests/conformance/known-failures.txt
//
// Each line of the list is "area/name: reason"; '#' begins a comment. With
// -write the list is written anew: reasons of cases that still fail are kept,
// others take their first difference.
//
// A reason that begins with "unsteady" marks a case whose outcome depends on
// timing; either outcome is taken until it is mended.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// result is one case of the conformance kit's -json file.
type result struct {
	Case        string   `json:"name"`
	Outcome     string   `json:"outcome"`
	Differences []string `json:"differences"`
}

// unsteady begins the reason of a case that passes now and then.
const unsteady = "unsteady"

func main() {
	results := flag.String("results", "", "the kit's -json file")
	known := flag.String("known", "", "the list of known failures")
	write := flag.Bool("write", false, "write the list anew")
	flag.Parse()
	code, err := run(os.Stdout, *results, *known, *write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ratchet:", err)
		os.Exit(2)
	}
	os.Exit(code)
}

func run(out io.Writer, resultsPath, knownPath string, write bool) (int, error) {
	raw, err := os.ReadFile(resultsPath)
	if err != nil {
		return 0, err
	}
	var file struct {
		Cases []result `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return 0, fmt.Errorf("%s: %w", resultsPath, err)
	}
	results := file.Cases
	if len(results) == 0 {
		return 0, fmt.Errorf("%s: no case was run", resultsPath)
	}
	known, err := readKnown(knownPath)
	if err != nil {
		return 0, err
	}
	if write {
		return 0, writeKnown(knownPath, results, known)
	}
	return compare(out, results, known), nil
}

func readKnown(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, reason, ok := strings.Cut(line, ": ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q gives no reason", path, line)
		}
		known[name] = reason
	}
	return known, nil
}

// compare prints what breaks the ratchet, and the totals.
func compare(out io.Writer, results []result, known map[string]string) int {
	passed, expected, bad := 0, 0, 0
	for _, r := range results {
		reason, listed := known[r.Case]
		switch {
		case r.Outcome == "ok" && strings.HasPrefix(reason, unsteady):
			passed++
		case r.Outcome == "ok" && listed:
			fmt.Fprintf(out, "PASSES  %s: take it off the list of known failures\n", r.Case)
			bad++
		case r.Outcome == "ok":
			passed++
		case listed:
			expected++
		default:
			fmt.Fprintf(out, "FAILS   %s: %s\n", r.Case, first(r))
			bad++
		}
	}
	fmt.Fprintf(out, "conformance: %d pass, %d fail as listed, %d break the ratchet\n", passed, expected, bad)
	if bad > 0 {
		return 1
	}
	return 0
}

func first(r result) string {
	if len(r.Differences) == 0 {
		return r.Outcome
	}
	text := strings.Join(strings.Fields(r.Differences[0]), " ")
	return text[:min(len(text), 160)]
}

func writeKnown(path string, results []result, known map[string]string) error {
	failing := map[string]string{}
	for _, r := range results {
		if r.Outcome != "ok" || strings.HasPrefix(known[r.Case], unsteady) {
			failing[r.Case] = cmp.Or(known[r.Case], first(r))
		}
	}
	var b strings.Builder
	b.WriteString("# Conformance cases that do not pass yet, each with the reason. The list only shrinks.\n")
	for _, name := range slices.Sorted(maps.Keys(failing)) {
		b.WriteString(name + ": " + failing[name] + "\n")
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
