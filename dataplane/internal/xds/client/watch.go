package client

import (
	"slices"
	"time"
)

// watch is one subscription.
type watch struct {
	t        *typeState
	names    map[string]bool // nil: wildcard
	handler  Handler
	stats    *Stats
	timer    *Timer // initial_fetch_timeout
	received bool   // an update has come
	closed   bool
}

// Subscribe implements Source.
func (m *Mux) Subscribe(c SubscriptionConfig) (Subscription, error) {
	t := m.types[c.TypeURL]
	if t == nil {
		var err error
		if t, err = m.addType(c.TypeURL); err != nil {
			return nil, err
		}
	}
	w := &watch{t: t, names: nameSet(c.Names), handler: c.Handler, stats: c.Stats}
	t.watches = append(t.watches, w)
	t.dirty = true
	w.stats.attempt()
	if c.FetchTimeout > 0 {
		w.timer = m.cfg.Loop.After(c.FetchTimeout, w.onTimeout)
	}
	m.Start()
	m.kick()
	m.cfg.Loop.Post(w.fromMemory)
	return w, nil
}

// fromMemory gives a new subscription what another one has got already.
func (w *watch) fromMemory() {
	if w.closed || w.names == nil {
		return
	}
	u := &Update{Version: w.t.version, Cached: true}
	for n := range w.names {
		if k := w.t.known[n]; k != nil && k.message != nil {
			u.Added = append(u.Added, Resource{Name: n, Version: k.version, Message: k.message})
		}
	}
	if len(u.Added) > 0 && !w.received {
		w.update(u)
	}
}

func nameSet(names []string) map[string]bool {
	if names == nil {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// SetNames implements Subscription.
func (w *watch) SetNames(names []string) {
	if w.closed {
		return
	}
	old := w.names
	w.names = nameSet(names)
	w.t.drop(old)
	w.t.dirty = true
	w.t.m.kick()
	for n := range w.names {
		if !old[n] && w.t.known[n] != nil && w.t.known[n].message != nil {
			w.received = false // something is there for the new names
			w.t.m.cfg.Loop.Post(w.fromMemory)
			break
		}
	}
}

// Close implements Subscription.
func (w *watch) Close() {
	if w.closed {
		return
	}
	w.closed = true
	w.timer.Stop()
	t := w.t
	if i := slices.Index(t.watches, w); i >= 0 {
		t.watches = slices.Delete(t.watches, i, i+1)
	}
	if w.names == nil {
		t.drop(t.knownNames())
	} else {
		t.drop(w.names)
	}
	t.dirty = true
	t.m.kick()
}

func (t *typeState) knownNames() map[string]bool {
	set := make(map[string]bool, len(t.known))
	for n := range t.known {
		set[n] = true
	}
	return set
}

// drop forgets those of the names that nobody wants any more.
func (t *typeState) drop(names map[string]bool) {
	wanted, wildcard := t.wanted()
	if wildcard {
		return
	}
	for n := range names {
		if _, found := slices.BinarySearch(wanted, n); !found {
			t.forget(n)
		}
	}
}

func (w *watch) onTimeout() {
	if w.closed || w.received {
		return
	}
	if w.fromCache() {
		return
	}
	w.stats.timedOut()
	w.handler.OnFetchTimeout()
}

// onStreamLost is called when the stream has ended. A subscription that has
// nothing yet takes what the disk has.
func (w *watch) onStreamLost() {
	if w.closed {
		return
	}
	w.stats.failed()
	if !w.received {
		w.fromCache()
	}
}

// fromCache gives the handler the last good resources from the disk. They
// count as known, so that a control plane that comes back need not send them.
func (w *watch) fromCache() bool {
	list := w.t.m.cfg.Cache.load(w.t.url)
	u := &Update{Whole: w.names == nil, Cached: true}
	for _, r := range list {
		if w.names == nil || w.names[r.Name] {
			u.Added = append(u.Added, r)
		}
	}
	if len(u.Added) == 0 {
		return false
	}
	w.t.m.log("%d resources of %s are taken from the disk", len(u.Added), w.t.url)
	bad := rejectedNames(w.update(u))
	for _, r := range u.Added {
		if !bad[r.Name] {
			k := &known{version: r.Version, message: r.Message}
			w.t.known[r.Name] = k
			w.t.renew(r.Name, k, r.TTL)
		}
	}
	return true
}

// part is what an update means to this subscription.
func (w *watch) part(u *Update) *Update {
	if w.names == nil {
		return u
	}
	mine := &Update{Version: u.Version, Cached: u.Cached}
	for _, r := range u.Added {
		if w.names[r.Name] {
			mine.Added = append(mine.Added, r)
		}
	}
	for _, n := range u.Removed {
		if w.names[n] {
			mine.Removed = append(mine.Removed, n)
		}
	}
	return mine
}

func (w *watch) update(u *Update) []Rejected {
	w.received = true
	w.timer.Stop()
	start := time.Now()
	rejected := w.handler.OnUpdate(u)
	switch {
	case len(rejected) > 0:
		w.stats.rejected()
	case !u.Cached:
		w.stats.succeeded(u.Version, time.Since(start))
	}
	return rejected
}

func rejectedNames(list []Rejected) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, r := range list {
		set[r.Name] = true
	}
	return set
}
