package runtime

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

func TestLayersAndForms(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "x", "y"), []byte("# why\n7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := New([]LayerConfig{
		{Name: "base", Static: map[string]any{"n": 5.0, "b": true, "deep": map[string]any{"er": "text"}, "f": map[string]any{"numerator": 5.0, "denominator": "MILLION"}}},
		{Name: "disk", Disk: &Disk{Root: dir, Subdirectory: "a"}},
		{Name: "admin", Admin: true},
	}, stats.NewStore())
	if err != nil {
		t.Fatal(err)
	}
	s := l.Current()
	if s.Uint("n", 0) != 5 || s.Uint("x.y", 0) != 7 || !s.Bool("b", false) || s.Float("absent", 1.5) != 1.5 {
		t.Error("values")
	}
	if !s.Enabled("f", Fraction{}, 4) || s.Enabled("f", Fraction{100, 100}, 5) || !s.Enabled("n", Fraction{}, 104) || s.Enabled("n", Fraction{}, 5) {
		t.Error("fractions")
	}
	if err := l.Modify(map[string]string{"n": "50", "deep.er": "new"}); err != nil {
		t.Fatal(err)
	}
	if got := l.Entries()["n"]; !reflect.DeepEqual(got, []string{"5", "", "50"}) {
		t.Errorf("entries %q", got)
	}
	if err := l.Modify(map[string]string{"n": ""}); err != nil || l.Current().Uint("n", 0) != 5 {
		t.Error("removal of an override")
	}
	if s.Uint("n", 0) != 5 {
		t.Error("a snapshot changed")
	}
}

func TestRefusals(t *testing.T) {
	for want, c := range map[string][]LayerConfig{
		"Duplicate layer name: a":             {{Name: "a", Admin: true}, {Name: "a"}},
		"Invalid runtime entry value for x.y": {{Name: "a", Static: map[string]any{"x": map[string]any{"y": []any{1.0}}}}},
		"Too many admin layers specified in LayeredRuntime, at most one may be specified": {{Name: "a", Admin: true}, {Name: "b", Admin: true}},
	} {
		if _, err := New(c, stats.NewStore()); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	l, _ := New(nil, stats.NewStore())
	if l.HasAdminLayer() || l.Modify(map[string]string{"a": "b"}) == nil {
		t.Error("modify without an admin layer")
	}
}
