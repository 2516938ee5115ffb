package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Schema is the statistics under "runtime.".
var schema = stats.NewSchema(
	stats.C("deprecated_feature_use"), stats.C("load_error"), stats.C("load_success"),
	stats.C("override_dir_exists"), stats.C("override_dir_not_exists"),
	stats.G("admin_overrides_active"), stats.G("num_keys"), stats.G("num_layers"),
	stats.G("deprecated_feature_seen_since_process_start"),
)

const (
	deprecatedUse = iota
	loadError
	loadSuccess
	overrideExists
	overrideNotExists
	adminOverrides
	numKeys
	numLayers
	deprecatedSeen
)

// LayerConfig is one configured layer; one of Static, Disk, Admin, RTDS is set.
type LayerConfig struct {
	Name   string
	Static map[string]any // nested, as a JSON object
	Disk   *Disk
	Admin  bool
	RTDS   string // the resource's name
}

// Disk is a directory with one file for each key.
// Source: envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer.
type Disk struct {
	Root, Subdirectory string
	AppendCluster      string // the service cluster, when append_service_cluster is set
}

// Loader owns the layers. Its methods may be called by any goroutine.
type Loader struct {
	configs []LayerConfig
	group   *stats.Group
	local   *stats.Local

	mu      sync.Mutex
	layers  []Layer
	current atomic.Pointer[Snapshot]
}

// New loads all layers.
func New(configs []LayerConfig, store *stats.Store) (*Loader, error) {
	l := &Loader{configs: configs, group: store.Group("runtime.", schema), local: store.Main()}
	admins := 0
	for _, c := range configs {
		if slices.ContainsFunc(l.layers, func(o Layer) bool { return o.Name == c.Name }) {
			return nil, fmt.Errorf("Duplicate layer name: %s", c.Name)
		}
		layer := Layer{Name: c.Name, Admin: c.Admin, Values: map[string]any{}}
		switch {
		case c.Static != nil:
			v, err := Flatten(c.Static)
			if err != nil {
				return nil, err
			}
			layer.Values = v
		case c.Admin:
			if admins++; admins > 1 {
				return nil, errors.New("Too many admin layers specified in LayeredRuntime, at most one may be specified")
			}
		}
		l.layers = append(l.layers, layer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loadDisks()
	l.publish()
	return l, nil
}

// Current returns the snapshot in force.
func (l *Loader) Current() *Snapshot { return l.current.Load() }

// HasAdminLayer says whether Modify has somewhere to write.
func (l *Loader) HasAdminLayer() bool {
	return slices.ContainsFunc(l.configs, func(c LayerConfig) bool { return c.Admin })
}

// Layers returns the layers' names.
func (l *Loader) Layers() []string { return l.Current().Layers() }

// Entries returns each key's text in every layer.
func (l *Loader) Entries() map[string][]string { return l.Current().Entries() }

// Modify sets keys in the admin layer; an empty text removes one.
func (l *Loader) Modify(values map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.layers {
		if !l.layers[i].Admin {
			continue
		}
		next := maps.Clone(l.layers[i].Values)
		for k, v := range values {
			if v == "" {
				delete(next, k)
			} else {
				next[k] = v
			}
		}
		l.layers[i].Values = next
		l.group.Gauge(adminOverrides).Set(l.local, uint64(len(next)))
		l.publish()
		return nil
	}
	return errors.New("No admin layer specified")
}

// SetRTDS replaces the values of the layer that an RTDS resource feeds.
func (l *Loader) SetRTDS(resource string, object map[string]any) error {
	v, err := Flatten(object)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.configs {
		if c.RTDS == resource {
			l.layers[i].Values = v
		}
	}
	l.publish()
	return nil
}

// DeprecatedFeature counts the use of a deprecated field.
func (l *Loader) DeprecatedFeature() {
	l.group.Counter(deprecatedUse).Inc(l.local)
	l.group.Gauge(deprecatedSeen).Add(l.local, 1)
}

// ReloadDisks reads the directories again; the caller watches them.
func (l *Loader) ReloadDisks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loadDisks()
	l.publish()
}

// DiskRoots returns the symbolic links to watch.
func (l *Loader) DiskRoots() []string {
	var roots []string
	for _, c := range l.configs {
		if c.Disk != nil {
			roots = append(roots, c.Disk.Root)
		}
	}
	return roots
}

func (l *Loader) publish() {
	s := NewSnapshot(slices.Clone(l.layers)...)
	l.current.Store(s)
	l.group.Counter(loadSuccess).Inc(l.local)
	l.group.Gauge(numKeys).Set(l.local, uint64(s.Len()))
	l.group.Gauge(numLayers).Set(l.local, uint64(len(l.layers)))
}

// loadDisks reads every disk layer. A directory that cannot be read leaves its
// layer empty and counts an error, as in Envoy.
func (l *Loader) loadDisks() {
	for i, c := range l.configs {
		if c.Disk == nil {
			continue
		}
		dir := filepath.Join(c.Disk.Root, c.Disk.Subdirectory)
		if c.Disk.AppendCluster != "" {
			dir = filepath.Join(dir, c.Disk.AppendCluster)
		}
		if _, err := os.Stat(dir); err != nil {
			l.layers[i].Values = map[string]any{}
			if c.Disk.AppendCluster != "" {
				l.group.Counter(overrideNotExists).Inc(l.local)
			}
			continue
		}
		if c.Disk.AppendCluster != "" {
			l.group.Counter(overrideExists).Inc(l.local)
		}
		v, err := readTree(dir)
		if err != nil {
			l.group.Counter(loadError).Inc(l.local)
			v = map[string]any{}
		}
		l.layers[i].Values = v
	}
}

// maxDepth bounds the directories below a disk layer's root.
const maxDepth = 16

// readTree reads one file for each key; directories join names with dots,
// lines that begin with '#' are comments.
func readTree(root string) (map[string]any, error) {
	out := map[string]any{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			if strings.Count(rel, string(filepath.Separator)) >= maxDepth {
				return fmt.Errorf("%s: more than %d directories deep", path, maxDepth)
			}
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var keep []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if !strings.HasPrefix(line, "#") {
				keep = append(keep, line)
			}
		}
		out[strings.ReplaceAll(rel, string(filepath.Separator), ".")] = strings.TrimRight(strings.Join(keep, "\n"), " \t\r\n")
		return nil
	})
	return out, err
}
