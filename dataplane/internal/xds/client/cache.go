package client

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Cache keeps the last accepted resources on disk: a directory for each type,
// a file for each resource, replaced by renaming. Writing happens on a
// goroutine of its own, each file at its latest state; reading is for a start
// without a control plane. A nil Cache keeps nothing.
type Cache struct {
	dir  string
	log  func(string)
	seed maphash.Seed

	mu      sync.Mutex
	pending map[string][]byte // path to content; nil: remove
	written map[string]uint64 // path to hash of the content
	busy    bool
	idle    *sync.Cond
}

// NewCache returns a cache in dir, which is created. log hears of files that
// cannot be written or read; it may be nil.
func NewCache(dir string, log func(string)) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for the last good configuration: %w", err)
	}
	if log == nil {
		log = func(string) {}
	}
	c := &Cache{dir: dir, log: log, seed: maphash.MakeSeed(), pending: map[string][]byte{}, written: map[string]uint64{}}
	c.idle = sync.NewCond(&c.mu)
	return c, nil
}

func (c *Cache) path(url, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(c.typeDir(url), hex.EncodeToString(sum[:])+".pb")
}

func (c *Cache) typeDir(url string) string {
	return filepath.Join(c.dir, url[strings.LastIndexByte(url, '/')+1:])
}

// store keeps a resource; one that has not changed costs a hash.
func (c *Cache) store(url string, r *Resource) {
	if c == nil {
		return
	}
	w := &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: r.Message}
	if r.TTL > 0 {
		w.Ttl = durationpb.New(r.TTL)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(w)
	if err != nil {
		c.log(fmt.Sprintf("keeping %s %q: %v", url, r.Name, err))
		return
	}
	p := c.path(url, r.Name)
	h := maphash.Bytes(c.seed, b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written[p] == h {
		return
	}
	c.written[p] = h
	c.enqueue(p, b)
}

func (c *Cache) remove(url, name string) {
	if c == nil {
		return
	}
	p := c.path(url, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.written, p)
	c.enqueue(p, nil)
}

// retain removes all resources of a type but those named.
func (c *Cache) retain(url string, names map[string]bool) {
	if c == nil {
		return
	}
	keep := make(map[string]bool, len(names))
	for n := range names {
		keep[c.path(url, n)] = true
	}
	files, _ := filepath.Glob(filepath.Join(c.typeDir(url), "*.pb"))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range files {
		if !keep[p] {
			delete(c.written, p)
			c.enqueue(p, nil)
		}
	}
}

// enqueue is called with the lock held.
func (c *Cache) enqueue(path string, content []byte) {
	c.pending[path] = content
	if !c.busy {
		c.busy = true
		go c.write()
	}
}

func (c *Cache) write() {
	for {
		c.mu.Lock()
		batch := c.pending
		if len(batch) == 0 {
			c.busy = false
			c.idle.Broadcast()
			c.mu.Unlock()
			return
		}
		c.pending = map[string][]byte{}
		c.mu.Unlock()
		for p, content := range batch {
			if err := replace(p, content); err != nil {
				c.log(fmt.Sprintf("last good configuration: %v", err))
				c.mu.Lock()
				delete(c.written, p)
				c.mu.Unlock()
			}
		}
	}
}

// replace writes a file so that after a crash it is the old or the new one.
func replace(path string, content []byte) error {
	if content == nil {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := writeSynced(tmp, content); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func writeSynced(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// Flush waits until everything is on the disk.
func (c *Cache) Flush() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.busy {
		c.idle.Wait()
	}
}

// load reads all resources of a type; broken files are reported and left out.
func (c *Cache) load(url string) []Resource {
	if c == nil {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(c.typeDir(url), "*.pb"))
	var out []Resource
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			c.log(fmt.Sprintf("last good configuration: %v", err))
			continue
		}
		var w discoveryv3.Resource
		if err := proto.Unmarshal(b, &w); err != nil || w.Resource.GetTypeUrl() != url || c.path(url, w.Name) != p {
			c.log(fmt.Sprintf("last good configuration: %s is broken", p))
			continue
		}
		out = append(out, Resource{Name: w.Name, Version: w.Version, Message: w.Resource, TTL: ttl(w.Ttl)})
	}
	return out
}
