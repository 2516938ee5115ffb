package client

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// FileConfig is core.v3.PathConfigSource.
type FileConfig struct {
	Loop    *Loop
	Watcher *Watcher
	Path    string
	// WatchedDirectory is watched instead of the directory of Path: whatever
	// is moved into it makes Path be read again.
	WatchedDirectory string
	// Parse reads a DiscoveryResponse in YAML, JSON or protobuf, by the name's
	// extension.
	Parse func(path string, content []byte) (*discoveryv3.DiscoveryResponse, error)
	Log   func(string)
}

// File is a configuration source in a file. It is read again when it is
// replaced by renaming, as in Envoy; writing into it is not noticed.
type File struct {
	cfg  FileConfig
	subs []*fileSub
}

// NewFile returns the source of an existing file.
func NewFile(c FileConfig) (*File, error) {
	for _, p := range []string{c.Path, c.WatchedDirectory} {
		if p == "" {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("path_config_source: paths must refer to an existing path in the system: %q does not exist", p)
		}
	}
	return &File{cfg: c}, nil
}

// fileSub is one subscription to a file.
type fileSub struct {
	f      *File
	c      SubscriptionConfig
	stop   func()
	known  map[string]bool
	closed bool
}

// Subscribe implements Source. The file is read in the loop's next turn. Names
// are not looked at: the handler decides whether the content is what it wants.
func (f *File) Subscribe(c SubscriptionConfig) (Subscription, error) {
	if _, err := serviceOf(c.TypeURL); err != nil {
		return nil, err
	}
	s := &fileSub{f: f, c: c, known: map[string]bool{}}
	dir, name := filepath.Split(f.cfg.Path)
	if f.cfg.WatchedDirectory != "" {
		dir, name = f.cfg.WatchedDirectory, ""
	}
	stop, err := f.cfg.Watcher.Watch(filepath.Clean(dir), name, func() {
		f.cfg.Loop.Post(s.read)
	})
	if err != nil {
		return nil, fmt.Errorf("path_config_source %q: %w", f.cfg.Path, err)
	}
	s.stop = stop
	f.subs = append(f.subs, s)
	c.Stats.attempt()
	f.cfg.Loop.Post(s.read)
	return s, nil
}

// Pause implements Source; a file needs no answers.
func (f *File) Pause(string) (resume func()) { return func() {} }

// SetNames implements Subscription; a file gives what it has.
func (s *fileSub) SetNames([]string) {}

// Close implements Subscription.
func (s *fileSub) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.stop()
	if i := slices.Index(s.f.subs, s); i >= 0 {
		s.f.subs = slices.Delete(s.f.subs, i, i+1)
	}
}

func (s *fileSub) read() {
	if s.closed {
		return
	}
	r, err := s.parse()
	if err != nil {
		s.c.Stats.failed()
		s.log("%s: %v", s.f.cfg.Path, err)
		return
	}
	start := time.Now()
	if err := s.apply(r); err != nil {
		s.c.Stats.rejected()
		s.log("%s: update of %s rejected: %v", s.f.cfg.Path, s.c.TypeURL, err)
		return
	}
	s.c.Stats.succeeded(r.VersionInfo, time.Since(start))
}

func (s *fileSub) parse() (*discoveryv3.DiscoveryResponse, error) {
	content, err := os.ReadFile(s.f.cfg.Path)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("the file is empty")
	}
	return s.f.cfg.Parse(s.f.cfg.Path, content)
}

func (s *fileSub) apply(r *discoveryv3.DiscoveryResponse) error {
	svc, err := serviceOf(s.c.TypeURL)
	if err != nil {
		return err
	}
	u := &Update{Version: r.VersionInfo, Whole: svc.wholeWorld}
	present := map[string]bool{}
	for i, a := range r.Resources {
		res, _, err := unwrap(a, s.c.TypeURL, r.VersionInfo)
		if err != nil {
			return fmt.Errorf("resource %d: %w", i, err)
		}
		if present[res.Name] && svc.wholeWorld {
			return fmt.Errorf("%s: duplicate name", res.Name)
		}
		present[res.Name] = true
		u.Added = append(u.Added, res)
	}
	if svc.wholeWorld {
		for name := range s.known {
			if !present[name] {
				u.Removed = append(u.Removed, name)
			}
		}
		slices.Sort(u.Removed)
	}
	rejected := s.c.Handler.OnUpdate(u)
	bad := rejectedNames(rejected)
	if !bad[""] {
		for _, name := range u.Removed {
			delete(s.known, name)
		}
		for name := range present {
			if !bad[name] {
				s.known[name] = true
			}
		}
	}
	return joinRejected(rejected)
}

func (s *fileSub) log(format string, args ...any) {
	if s.f.cfg.Log != nil {
		s.f.cfg.Log(fmt.Sprintf(format, args...))
	}
}
