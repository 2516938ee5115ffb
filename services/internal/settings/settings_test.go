package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type config struct {
	Name  string `json:"name"`
	Store struct {
		PostgresURL string   `json:"postgresUrl"`
		Wait        Duration `json:"wait"`
	} `json:"store"`
	Peers []string `json:"peers"`
	Size  int      `json:"size"`
	On    bool     `json:"on"`
}

func load(t *testing.T, text string, environ ...string) (config, error) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c config
	err := Load(path, "X", environ, &c)
	return c, err
}

func TestLoad(t *testing.T) {
	c, err := load(t, "name: a\nstore: {wait: 10s}\npeers: [x]\n", "X_STORE_POSTGRES_URL=pg", "X_SIZE=5", "X_ON=true", "Y_Z=1", "X_PEERS=a,b")
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "a" || c.Store.PostgresURL != "pg" || time.Duration(c.Store.Wait) != 10*time.Second || c.Size != 5 || !c.On || len(c.Peers) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestLoadIsStrict(t *testing.T) {
	for want, in := range map[string][]string{
		`unknown field "nam"`:    {"nam: a"},
		"no such setting":        {"", "X_STORE_URL=a"},
		"X_SIZE":                 {"", "X_SIZE=many"},
		"X_STORE_WAIT":           {"", "X_STORE_WAIT=10"},
		`key "name" already set`: {"name: a\nname: b"},
	} {
		if _, err := load(t, in[0], in[1:]...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
}
