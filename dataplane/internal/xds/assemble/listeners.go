package assemble

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// ListenerManager holds the listeners in force. It is called on the loop.
type ListenerManager interface {
	// Update adds a listener or replaces the one of its name; an error leaves
	// what was there as it was.
	Update(c *config.Listener) error
	// Remove stops a listener and drains it.
	Remove(name string) bool
}

// ListenersConfig is what a Listeners is made of.
type ListenersConfig struct {
	Manager ListenerManager
	Routes  *Routes
	// Decode makes plain configuration of a message. It calls Routes.Acquire
	// for each RDS that the listener names.
	Decode func(a *anypb.Any, version string) (*config.Listener, error)
	// Initialized is called once: the first update, or the time for it, is
	// over, and all its listeners are warm.
	Initialized func()
	Warming     func(n int)
	Log         func(message string)
}

// Listeners is the Handler of LDS.
type Listeners struct {
	cfg     ListenersConfig
	static  map[string]bool
	byName  map[string]*listenerEntry
	warming int
	seen    bool
	started bool
	version string // of the last update that was accepted as a whole
	failed  map[string]*ListenerFailure
}

type listenerEntry struct {
	active, next *listenerVersion
}

// ListenerFailure is the last update of a listener when it was refused.
type ListenerFailure struct {
	Message *anypb.Any
	Time    time.Time
	Err     error
}

// listenerVersion is one configuration of a listener.
type listenerVersion struct {
	owner   *Listeners
	config  *config.Listener
	routes  []*RouteHandle
	missing int
	stops   []func()
	updated time.Time
}

// NewListeners returns the handler.
func NewListeners(c ListenersConfig) *Listeners {
	return &Listeners{cfg: c, static: map[string]bool{}, byName: map[string]*listenerEntry{}, failed: map[string]*ListenerFailure{}}
}

// AddStatic adds a listener of the bootstrap, which LDS cannot change.
func (h *Listeners) AddStatic(a *anypb.Any) error {
	c, routes, err := h.decode(a, "")
	if err != nil {
		return err
	}
	h.static[c.Name] = true
	return h.warm(c, routes)
}

// Await says whether LDS is subscribed to; see Clusters.Await.
func (h *Listeners) Await(lds bool) {
	if !lds {
		h.seen = true
	}
	h.check()
}

// OnFetchTimeout implements client.Handler.
func (h *Listeners) OnFetchTimeout() {
	h.seen = true
	h.check()
}

// OnUpdate implements client.Handler.
func (h *Listeners) OnUpdate(u *client.Update) []client.Rejected {
	h.seen = true
	var bad []client.Rejected
	for _, name := range u.Removed { // first: they may free addresses
		h.remove(name)
	}
	for i := range u.Added {
		r := &u.Added[i]
		delete(h.failed, r.Name)
		if err := h.add(r); err != nil {
			h.failed[r.Name] = &ListenerFailure{r.Message, time.Now(), err}
			bad = append(bad, client.Rejected{Name: r.Name, Err: err})
		}
	}
	if len(bad) == 0 {
		h.version = u.Version
	}
	h.check()
	return bad
}

func (h *Listeners) decode(a *anypb.Any, version string) (c *config.Listener, routes []*RouteHandle, err error) {
	routes, err = h.cfg.Routes.during(func() (err error) {
		c, err = h.cfg.Decode(a, version)
		return err
	})
	return c, routes, err
}

func (h *Listeners) add(r *client.Resource) error {
	c, routes, err := h.decode(r.Message, r.Version)
	if err != nil {
		return err
	}
	if h.static[c.Name] {
		release(routes)
		h.log("listener %q of the bootstrap is not changed by LDS", c.Name)
		return nil
	}
	if e := h.byName[c.Name]; e != nil {
		latest := e.next
		if latest == nil {
			latest = e.active
		}
		if latest.config.Hash == c.Hash {
			release(routes)
			return nil
		}
	}
	return h.warm(c, routes)
}

// warm makes a listener wait for its routes, and then serve.
func (h *Listeners) warm(c *config.Listener, routes []*RouteHandle) error {
	e := h.byName[c.Name]
	if e == nil {
		e = new(listenerEntry)
		h.byName[c.Name] = e
	}
	h.giveUp(e)
	v := &listenerVersion{owner: h, config: c, routes: routes, missing: 1, updated: time.Now()}
	e.next = v
	for _, r := range routes {
		v.missing++
		v.stops = append(v.stops, r.wait(func() { v.arrived(e) }))
	}
	if v.missing > 1 {
		h.count(+1)
		v.missing--
		return nil
	}
	v.missing = 0
	return v.activate(e)
}

// arrived counts a route configuration that has come.
func (v *listenerVersion) arrived(e *listenerEntry) {
	if v.missing--; v.missing > 0 || e.next != v {
		return
	}
	v.owner.count(-1)
	if err := v.activate(e); err != nil {
		v.owner.log("listener %q: %v", v.config.Name, err)
	}
	v.owner.check()
}

// activate gives a warm listener to the manager.
func (v *listenerVersion) activate(e *listenerEntry) error {
	e.next = nil
	if err := v.owner.cfg.Manager.Update(v.config); err != nil {
		release(v.routes)
		if e.active == nil {
			delete(v.owner.byName, v.config.Name)
		}
		return err
	}
	if e.active != nil {
		release(e.active.routes)
	}
	e.active = v
	return nil
}

// giveUp forgets a version that still warms.
func (h *Listeners) giveUp(e *listenerEntry) {
	v := e.next
	if v == nil {
		return
	}
	e.next = nil
	for _, stop := range v.stops {
		stop()
	}
	release(v.routes)
	h.count(-1)
}

func (h *Listeners) remove(name string) {
	delete(h.failed, name)
	e := h.byName[name]
	if e == nil || h.static[name] {
		return
	}
	delete(h.byName, name)
	h.giveUp(e)
	if e.active != nil {
		h.cfg.Manager.Remove(name)
		release(e.active.routes)
	}
}

// ListenerStatus is one listener in a dump.
type ListenerStatus struct {
	Name                          string
	Static                        bool
	Active, Warming               *config.Listener // nil: there is none
	ActiveUpdated, WarmingUpdated time.Time
	Failure                       *ListenerFailure
}

// ListenersDump is what /config_dump shows, by name. What drains is the
// manager's to know.
type ListenersDump struct {
	Version   string // of the last update that was accepted as a whole
	Listeners []ListenerStatus
}

// Dump returns the state of all listeners.
func (h *Listeners) Dump() ListenersDump {
	d := ListenersDump{Version: h.version}
	for name, e := range h.byName {
		s := ListenerStatus{Name: name, Static: h.static[name], Failure: h.failed[name]}
		if v := e.active; v != nil {
			s.Active, s.ActiveUpdated = v.config, v.updated
		}
		if v := e.next; v != nil {
			s.Warming, s.WarmingUpdated = v.config, v.updated
		}
		d.Listeners = append(d.Listeners, s)
	}
	for name, f := range h.failed {
		if h.byName[name] == nil {
			d.Listeners = append(d.Listeners, ListenerStatus{Name: name, Failure: f})
		}
	}
	slices.SortFunc(d.Listeners, func(a, b ListenerStatus) int { return strings.Compare(a.Name, b.Name) })
	return d
}

func (h *Listeners) count(d int) {
	h.warming += d
	if h.cfg.Warming != nil {
		h.cfg.Warming(h.warming)
	}
}

func (h *Listeners) check() {
	if h.seen && h.warming == 0 && !h.started {
		h.started = true
		if h.cfg.Initialized != nil {
			h.cfg.Initialized()
		}
	}
}

func (h *Listeners) log(format string, args ...any) {
	if h.cfg.Log != nil {
		h.cfg.Log(fmt.Sprintf(format, args...))
	}
}

func cmpKey(a, b routeKey) int {
	if c := strings.Compare(a.name, b.name); c != 0 {
		return c
	}
	return strings.Compare(a.prefix+a.source, b.prefix+b.source)
}
