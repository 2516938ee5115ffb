package assemble

import (
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

type clusterWorld struct {
	*Clusters
	m           *fakeClusters
	ads         *fakeSource
	initialized int
	warming     int
}

func newClusterWorld() *clusterWorld {
	w := &clusterWorld{m: &fakeClusters{}, ads: &fakeSource{}}
	w.Clusters = NewClusters(ClustersConfig{
		Manager: w.m, Sources: NewSources(w.ads, nil), Source: w.ads,
		DecodeCluster: decodeCluster, DecodeAssignment: decodeAssignment, EDSStats: noStats,
		Initialized: func() { w.initialized++ }, Warming: func(n int) { w.warming = n },
	})
	return w
}

func (w *clusterWorld) want(t *testing.T, manager, asked string, warming, paused int) {
	t.Helper()
	if got := w.m.took(); got != manager {
		t.Fatalf("manager: %q, want %q", got, manager)
	}
	if got := w.ads.asked(); got != asked || w.warming != warming || w.ads.paused != paused {
		t.Fatalf("endpoints %q, %d warm, paused %d; want %q %d %d", got, w.warming, w.ads.paused, asked, warming, paused)
	}
}

func (w *clusterWorld) update(t *testing.T, u *client.Update, refused ...string) {
	t.Helper()
	bad := w.OnUpdate(u)
	if len(bad) != len(refused) {
		t.Fatalf("refused %v", bad)
	}
	for i, r := range bad {
		if r.Name != refused[i] {
			t.Fatalf("refused %v", bad)
		}
	}
}

func TestClustersAtStart(t *testing.T) {
	w := newClusterWorld()
	if err := w.AddStatic(mustCluster("xds static")); err != nil {
		t.Fatal(err)
	}
	w.Await(true)
	w.want(t, "update xds", "", 0, 0)
	w.update(t, update(res("a", "eds a"), res("b", "static"), res("xds", "static changed")))
	w.want(t, "update b", "a", 1, 0) // CDS is acknowledged at once at the start
	if w.initialized != 0 {
		t.Fatal("endpoints are missing")
	}
	w.ads.send("a", "v1")
	w.want(t, "update a with v1", "a", 0, 0)
	if w.initialized != 1 {
		t.Fatal("everything is warm")
	}
	w.ads.send("a", "v2")
	w.want(t, "assign a v2", "a", 0, 0)
	if bad := w.ads.send("a", "bad"); len(bad) != 1 {
		t.Fatal("bad endpoints were taken")
	}
	w.update(t, &client.Update{Removed: []string{"a", "xds", "nobody"}})
	w.want(t, "remove a", "", 0, 0)
}

func TestClustersWithoutAnswer(t *testing.T) {
	w := newClusterWorld()
	w.Await(true)
	w.OnFetchTimeout()
	w.OnFetchTimeout()
	if w.initialized != 1 {
		t.Fatalf("%d", w.initialized)
	}
	w = newClusterWorld()
	w.Await(false)
	if w.initialized != 1 {
		t.Fatal("nothing is awaited")
	}
}

func TestClustersWarm(t *testing.T) {
	w := newClusterWorld()
	w.update(t, update(res("a", "eds a")))
	w.ads.send("a", "v1")
	w.want(t, "update a with v1", "a", 0, 0)

	w.update(t, update(res("a", "eds a")))
	w.want(t, "", "a", 0, 0) // unchanged

	// The old one serves until the new one has endpoints.
	w.update(t, update(res("a", "eds renamed")))
	w.want(t, "", "a renamed", 1, 1)
	w.ads.send("a", "v2")
	w.want(t, "assign a v2", "a renamed", 1, 1)
	w.update(t, update(res("a", "eds renamed again"))) // changed before it was warm
	w.want(t, "", "a renamed", 1, 1)
	w.m.slow = true
	w.ads.send("renamed", "v3")
	w.want(t, "update a with v3", "a renamed", 1, 1) // health checks
	w.ads.send("a", "v4")
	w.want(t, "", "a renamed", 1, 1)
	w.ads.send("renamed", "v5")
	w.want(t, "assign a v5", "a renamed", 1, 1)
	w.m.ready()
	w.want(t, "", "renamed", 0, 0)

	// One that is removed while it warms holds nothing back any more.
	w.update(t, update(res("b", "eds b")))
	w.want(t, "", "renamed b", 1, 1)
	w.update(t, &client.Update{Removed: []string{"b"}})
	w.want(t, "remove b", "renamed", 0, 0)

	w.update(t, &client.Update{Version: "9", Added: []client.Resource{res("d", "eds d")}})
	if d := w.Dump(); d.Version != "9" || len(d.Active) != 1 || len(d.Warming) != 1 || d.Warming[0].Config.Name != "d" {
		t.Fatalf("%+v", d)
	}
	w.update(t, &client.Update{Removed: []string{"d"}})
	w.m.took()

	// Time is up for the endpoints.
	w.m.slow = false
	w.update(t, update(res("c", "eds c")))
	w.ads.subs[len(w.ads.subs)-1].Handler.OnFetchTimeout()
	w.want(t, "update c with ", "renamed c", 0, 0)
}

func TestClustersRefused(t *testing.T) {
	w := newClusterWorld()
	w.m.refuse = "worse"
	w.update(t, update(res("a", "static"), res("x", "bad"), res("worse", "static"), res("b", "static")), "x", "worse")
	w.want(t, "update a, update b", "", 0, 0)
	if w.byName["worse"] != nil || w.initialized != 1 {
		t.Fatal("a refused cluster is kept")
	}
	// The good one stays when its successor is refused.
	w.m.refuse = "a"
	w.update(t, update(res("a", "static changed")), "a")
	if w.byName["a"].active == nil || w.byName["a"].next != nil {
		t.Fatal("the good version is lost")
	}
	noADS := NewClusters(ClustersConfig{Manager: w.m, Sources: NewSources(nil, nil), DecodeCluster: decodeCluster})
	if bad := noADS.OnUpdate(update(res("a", "eds a"))); len(bad) != 1 {
		t.Fatal("an EDS cluster without ADS was taken")
	}
}
