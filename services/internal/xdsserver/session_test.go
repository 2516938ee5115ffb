package xdsserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

var now = time.Unix(1000, 0)

// made gives a resource of a type whose content is its name and n.
func made(t interface{ Fatal(...any) }, url, name string, n int) *Resource {
	stat := strings.Repeat("x", n)
	var m proto.Message
	switch url {
	case TypeCluster:
		m = &clusterv3.Cluster{Name: name, AltStatName: stat}
	case TypeEndpoint:
		m = &endpointv3.ClusterLoadAssignment{ClusterName: name, Policy: &endpointv3.ClusterLoadAssignment_Policy{}, NamedEndpoints: map[string]*endpointv3.Endpoint{stat: {}}}
	case TypeListener:
		m = &listenerv3.Listener{Name: name, StatPrefix: stat}
	case TypeRoute:
		m = &routev3.RouteConfiguration{Name: name, InternalOnlyHeaders: []string{"x" + stat}}
	}
	r, err := NewResource(name, m, []*configv1.ResourceRef{{Kind: "K", Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var allTypes = []string{TypeCluster, TypeEndpoint, TypeListener, TypeRoute}

// model is a client that does what the specification says.
type model struct {
	session *Session
	mode    Mode
	types   map[string]*modelType
	seen    []*Response
	// refuse tells whether the client refuses a resource.
	refuse func(*Resource) bool
	// pending are answers that it has not sent yet.
	pending []*Request
}

type modelType struct {
	wild    bool
	names   map[string]bool
	has     map[string]string // accepted versions, by name
	told    map[string]bool   // it was told that there is no such resource
	version string
	nonce   string
}

func (m *model) wants(t *modelType, name string) bool { return t.wild || t.names[name] }

func (m *model) list(t *modelType) []string {
	list := slices.Sorted(maps.Keys(t.names))
	if t.wild && len(list) > 0 {
		list = append(list, "*")
	}
	return list
}

// receive takes a response and queues the answer.
func (m *model) receive(r *Response) {
	m.seen = append(m.seen, r)
	t := m.types[r.TypeURL]
	answer := &Request{TypeURL: r.TypeURL, Nonce: r.Nonce}
	refused := ""
	for _, res := range r.Resources {
		if m.refuse != nil && m.refuse(res) {
			refused += " " + res.Name
		}
	}
	if refused != "" {
		answer.Rejected, answer.Message = true, "cannot:"+refused
	}
	if m.mode == StateOfTheWorld && wholeState(r.TypeURL) && refused == "" {
		t.has = map[string]string{}
	}
	for _, res := range r.Resources {
		if m.wants(t, res.Name) && (m.mode == Delta && !strings.Contains(refused, res.Name) || refused == "") {
			t.has[res.Name] = res.Version
			delete(t.told, res.Name)
		}
	}
	for _, name := range r.Removed {
		delete(t.has, name)
		t.told[name] = true
	}
	t.nonce = r.Nonce
	if refused == "" {
		t.version = r.Version
	}
	m.pending = append(m.pending, answer)
}

func (m *model) say(t *testing.T, r *Request) {
	if m.mode == StateOfTheWorld {
		mt := m.types[r.TypeURL]
		r.Names, r.Version = m.list(mt), mt.version
	}
	if err := m.session.Request(r, now); err != nil {
		t.Fatal(err)
	}
}

// drain lets both sides finish.
func (m *model) drain(t *testing.T, v *View) {
	for range 10_000 {
		if r := m.session.Next(v, now); r != nil {
			m.receive(r)
			continue
		}
		if len(m.pending) == 0 {
			return
		}
		m.say(t, m.pending[0])
		m.pending = m.pending[1:]
	}
	t.Fatal("it does not come to an end")
}

func (m *model) check(t interface{ Fatalf(string, ...any) }, v *View) {
	for url, mt := range m.types {
		want := map[string]string{}
		for r := range v.Table(url).All() {
			if m.wants(mt, r.Name) {
				want[r.Name] = r.Version
			}
		}
		has := maps.Clone(mt.has)
		maps.DeleteFunc(has, func(name, _ string) bool { return !m.wants(mt, name) })
		if m.mode == StateOfTheWorld && !wholeState(url) {
			// Nothing tells it what is gone.
			maps.DeleteFunc(has, func(name, _ string) bool { return want[name] == "" })
		}
		if !maps.Equal(has, want) {
			t.Fatalf("%s:\nhas  %v\nwant %v", url, has, want)
		}
	}
}

// connect opens a new stream, with what the client has.
func (m *model) connect(t *testing.T) {
	m.session, m.pending = NewSession(m.mode, ""), nil
	for _, url := range allTypes {
		mt := m.types[url]
		if mt == nil || !mt.wild && len(mt.names) == 0 {
			delete(m.types, url)
			continue
		}
		r := &Request{TypeURL: url}
		mt.nonce = ""
		if m.mode == Delta {
			r.Subscribe, r.Initial = m.list(mt), maps.Clone(mt.has)
			maps.DeleteFunc(mt.has, func(name, _ string) bool { return !m.wants(mt, name) })
		}
		m.say(t, r)
	}
}

// TestConverges runs a client through any interleaving of changed views,
// subscriptions, late answers and reconnects.
func TestConverges(t *testing.T) {
	for _, mode := range []Mode{Delta, StateOfTheWorld} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { interleave(t, rt, mode) })
		})
	}
}

func interleave(t *testing.T, rt *rapid.T, mode Mode) {
	m := &model{mode: mode, session: NewSession(mode, ""), types: map[string]*modelType{}}
	view := &View{Revision: 1, Tables: map[string]*Table{}}
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	url := rapid.SampledFrom(allTypes)
	rt.Repeat(map[string]func(*rapid.T){
		"change": func(rt *rapid.T) {
			next := &View{Revision: view.Revision + 1, Tables: maps.Clone(view.Tables)}
			for range rapid.IntRange(1, 4).Draw(rt, "n") {
				u, n := url.Draw(rt, "type"), name.Draw(rt, "name")
				var r *Resource
				if v := rapid.IntRange(0, 3).Draw(rt, "version"); v > 0 {
					r = made(rt, u, n, v)
				}
				next.Tables[u] = next.Tables[u].With(map[string]*Resource{n: r})
			}
			view = next
		},
		"send": func(*rapid.T) {
			if r := m.session.Next(view, now); r != nil {
				m.receive(r)
			}
		},
		"answer": func(*rapid.T) {
			if len(m.pending) > 0 {
				m.say(t, m.pending[0])
				m.pending = m.pending[1:]
			}
		},
		"subscribe": func(rt *rapid.T) { subscribe(t, rt, m, url.Draw(rt, "type"), name.Draw(rt, "name")) },
		"unsubscribe": func(rt *rapid.T) {
			u, n := url.Draw(rt, "type"), name.Draw(rt, "name")
			mt := m.types[u]
			if mt == nil || !mt.names[n] {
				return
			}
			delete(mt.names, n)
			delete(mt.told, n)
			if !mt.wild {
				delete(mt.has, n)
			}
			m.say(t, &Request{TypeURL: u, Unsubscribe: []string{n}})
		},
		"reconnect": func(*rapid.T) { m.connect(t) },
		"new table": func(rt *rapid.T) {
			// As after a change of class: same content, other lineage.
			u := url.Draw(rt, "type")
			fresh := map[string]*Resource{}
			for r := range view.Table(u).All() {
				fresh[r.Name] = r
			}
			view = &View{Revision: view.Revision, Tables: maps.Clone(view.Tables)}
			view.Tables[u] = (*Table)(nil).With(fresh)
		},
	})
	finish(t, rt, m, view)
}

// finish lets all answers come, and then reconnects.
func finish(t *testing.T, rt *rapid.T, m *model, view *View) {
	m.drain(t, view)
	m.check(rt, view)
	if len(m.types) > 0 && m.types[TypeListener] != nil {
		if m.session.status.Settled != view.Revision {
			rt.Fatalf("settled at %d, want %d", m.session.status.Settled, view.Revision)
		}
	}
	sent := len(m.seen)
	m.connect(t)
	m.drain(t, view)
	m.check(rt, view)
	for _, r := range m.seen[sent:] {
		// With the state of the world a client that was not told of a removal
		// has another version.
		if len(r.Resources) > 0 && (m.mode == Delta || wholeState(r.TypeURL) && m.types[r.TypeURL].wild) {
			rt.Fatalf("sent again after a reconnect: %v", r)
		}
	}
}

func subscribe(t *testing.T, rt *rapid.T, m *model, u, n string) {
	mt := m.types[u]
	if mt == nil {
		mt = &modelType{names: map[string]bool{}, has: map[string]string{}, told: map[string]bool{}}
		m.types[u] = mt
		if mt.wild = rapid.Bool().Draw(rt, "wildcard"); mt.wild {
			m.say(t, &Request{TypeURL: u})
			return
		}
	}
	if mt.wild && m.mode == StateOfTheWorld {
		return
	}
	mt.names[n] = true
	m.say(t, &Request{TypeURL: u, Subscribe: []string{n}})
}
