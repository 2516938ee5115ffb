package assemble

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

func mustCluster(text string) *config.Cluster {
	c, err := decodeCluster(&anypb.Any{Value: []byte(text)}, "")
	if err != nil {
		panic(err)
	}
	return c
}

type listenerWorld struct {
	*Listeners
	routes      *Routes
	handles     map[string]*RouteHandle
	m           *fakeListeners
	ads         *fakeSource
	store       *stats.Store
	initialized int
	warming     int
}

func newListenerWorld() *listenerWorld {
	w := &listenerWorld{m: &fakeListeners{}, ads: &fakeSource{}, store: stats.NewStore(), handles: map[string]*RouteHandle{}}
	w.routes = NewRoutes(RoutesConfig{Sources: NewSources(w.ads, nil), Store: w.store,
		Decode: func(a *anypb.Any, _ string) (*route.Table, error) {
			_, body, hash, err := words(a)
			return &route.Table{Name: strings.Join(body, " "), Hash: hash}, err
		}})
	w.Listeners = NewListeners(ListenersConfig{Manager: w.m, Routes: w.routes,
		Initialized: func() { w.initialized++ }, Warming: func(n int) { w.warming = n },
		// "rds NAME" names routes; a last word "broken" fails afterwards.
		Decode: func(a *anypb.Any, version string) (*config.Listener, error) {
			name, body, hash, err := words(a)
			for i, word := range body {
				if word == "rds" && err == nil {
					w.handles[body[i+1]], err = w.routes.Acquire(body[i+1], &config.Source{}, "http.main.")
				}
			}
			if body != nil && body[len(body)-1] == "broken" {
				_, _, _, err = words(&anypb.Any{Value: []byte("x bad")})
			}
			return &config.Listener{Name: name, Hash: hash, Version: version}, err
		}})
	return w
}

func (w *listenerWorld) want(t *testing.T, manager, asked string, warming int) {
	t.Helper()
	if got := w.m.took(); got != manager {
		t.Fatalf("manager: %q, want %q", got, manager)
	}
	if got := w.ads.asked(); got != asked || w.warming != warming {
		t.Fatalf("routes %q, %d warm; want %q %d", got, w.warming, asked, warming)
	}
}

func (w *listenerWorld) update(t *testing.T, u *client.Update, refused int) {
	t.Helper()
	if bad := w.OnUpdate(u); len(bad) != refused {
		t.Fatalf("refused %v", bad)
	}
}

func TestListenersWaitForRoutes(t *testing.T) {
	w := newListenerWorld()
	w.Await(true)
	w.update(t, update(res("l", "rds r1 rds r2"), res("plain", "x")), 0)
	w.want(t, "update plain", "r1 r2", 1)
	w.ads.send("r1", "v1")
	w.want(t, "", "r1 r2", 1)
	if d := w.Dump(); w.initialized != 0 || d.Listeners[0].Warming == nil || d.Listeners[0].Active != nil || d.Listeners[1].Active == nil {
		t.Fatal("a route configuration is missing")
	}
	w.ads.send("r2", "v1")
	w.want(t, "update l", "r1 r2", 0)
	if w.initialized != 1 || w.handles["r1"].Route().Name != "v1" {
		t.Fatal("not initialized with the routes")
	}
	// What the old and the new listener share is not asked for again.
	w.update(t, update(res("l", "rds r2 rds r3"), res("plain", "x")), 0)
	w.want(t, "", "r1 r2 r3", 1)
	w.update(t, update(res("l", "rds r2 rds r4")), 0) // changed while it warms
	w.want(t, "", "r1 r2 r4", 1)
	w.ads.send("r4", "v1")
	w.want(t, "update l", "r2 r4", 0)
	w.update(t, &client.Update{Removed: []string{"l"}}, 0)
	w.want(t, "remove l", "", 0)
	if len(w.routes.have) != 0 {
		t.Fatal("route handles are left")
	}
}

func TestListenerIsRemovedWhileWarming(t *testing.T) {
	w := newListenerWorld()
	w.update(t, update(res("l", "rds r")), 0)
	sub := w.ads.subs[0]
	w.update(t, &client.Update{Removed: []string{"l"}}, 0)
	sub.Handler.OnUpdate(update(res("r", "late")))
	w.want(t, "", "", 0)
	if w.initialized != 1 {
		t.Fatal("nothing is awaited any more")
	}
}

func TestListenerGoesOnWithoutRoutes(t *testing.T) {
	w := newListenerWorld()
	w.update(t, update(res("l", "rds r")), 0)
	w.ads.subs[0].Handler.OnFetchTimeout()
	w.want(t, "update l", "r", 0)
	if w.handles["r"].Route() != nil {
		t.Fatal("there are no routes yet")
	}
	w.ads.send("r", "v1")
	if w.handles["r"].Route() == nil {
		t.Fatal("late routes must be taken")
	}
}

func TestListenersRefused(t *testing.T) {
	w := newListenerWorld()
	w.m.refuse = "taken"
	w.update(t, update(res("a", "bad"), res("b", "rds r broken"), res("taken", "x"), res("good", "x")), 3)
	w.want(t, "update good", "", 0)
	if len(w.routes.have) != 0 || len(w.byName) != 1 {
		t.Fatalf("left over: %v %v", w.routes.have, w.byName)
	}
	w.m.refuse = "good"
	w.update(t, update(res("good", "y")), 1)
	if w.byName["good"].active.config.Hash == 0 {
		t.Fatal("the good version is lost")
	}
	d := w.Dump()
	if d.Version != "" || len(d.Listeners) != 4 || d.Listeners[2].Name != "good" || d.Listeners[2].Failure == nil || d.Listeners[2].Active == nil {
		t.Fatalf("%+v", d)
	}
	w.m.refuse = ""
	w.update(t, &client.Update{Version: "2", Added: []client.Resource{res("good", "y")}, Removed: []string{"a", "b", "taken"}}, 0)
	if d := w.Dump(); d.Version != "2" || len(d.Listeners) != 1 || d.Listeners[0].Failure != nil {
		t.Fatalf("%+v", d)
	}
}

func TestRoutes(t *testing.T) {
	w := newListenerWorld()
	w.update(t, update(res("l", "rds r"), res("m", "rds r")), 0)
	w.want(t, "", "r", 2)
	w.ads.send("r", "v1")
	w.want(t, "update l, update m", "r", 0)
	w.ads.send("r", "v1")
	w.ads.send("r", "v2")
	h := w.handles["r"]
	for _, u := range []*client.Update{update(res("other", "x")), update(res("r", "x"), res("r", "y")), update(res("r", "bad"))} {
		if bad := h.OnUpdate(u); len(bad) != 1 {
			t.Fatalf("refused %v", bad)
		}
	}
	if bad := h.OnUpdate(&client.Update{Removed: []string{"r"}}); len(bad) != 0 || h.Route().Name != "v2" {
		t.Fatalf("%v %v", bad, h.Route())
	}
	for _, s := range w.store.Read() {
		if s.Name == "http.main.rds.r.config_reload" && s.Value != 2 {
			t.Fatalf("config_reload is %d", s.Value)
		}
	}
	if list := w.routes.Snapshot(); len(list) != 1 || list[0].Name() != "r" {
		t.Fatalf("%v", list)
	}
}
