package layercheck

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTree applies the rules to every Go file of the repository but tests.
func TestTree(t *testing.T) {
	root := "../.."
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if why := CheckImport(module+filepath.ToSlash(rel), imported); why != "" {
				t.Errorf("%s imports %s: %s", path, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("only %d files were looked at", seen)
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, imported string
		refused        bool
	}{
		{dataplane + "buffer", dataplane + "event", true},
		{dataplane + "event", dataplane + "buffer", false},
		{dataplane + "stream", dataplane + "network", false},
		{dataplane + "network", dataplane + "stream", true},
		{dataplane + "codec/h1", dataplane + "codec/h2", false},
		{dataplane + "codec/h1", dataplane + "hcm", true},
		{dataplane + "upstream/pool", dataplane + "async", true},
		{dataplane + "nowhere", dataplane + "buffer", true},
		{module + "dataplane/cmd/hawser-proxy", "github.com/nats-io/nats.go", true},
		{module + "services/configapi", module + "dataplane/internal/buffer", true},
		{dataplane + "hcm", "net/http", true},
		{dataplane + "route", "github.com/envoyproxy/go-control-plane/envoy/config/core/v3", true},
		{dataplane + "xds/decode", "github.com/envoyproxy/go-control-plane/envoy/config/core/v3", false},
	} {
		if why := CheckImport(c.from, c.imported); (why != "") != c.refused {
			t.Errorf("%s -> %s: %q", c.from, c.imported, why)
		}
	}
}
