package client

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// run runs a test in a bubble whose time is the test's.
func run(t *testing.T, c Config, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c)
		defer w.close()
		f(t, w)
	})
}

func TestStateOfTheWorld(t *testing.T) {
	run(t, Config{}, func(t *testing.T, w *world) {
		cds, one, two := newTable(Cluster), newTable(Endpoints), newTable(Endpoints)
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds})
		w.want("cds v n [] node")
		s := w.srv.last()
		if s.method != adsStream {
			t.Fatalf("stream %s", s.method)
		}
		s.respond(Cluster, "1", "n1", "a=x", "b=y")
		w.want("cds v1 nn1 []")
		sub := w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: one})
		w.want("eds v n [a]")
		w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"b"}, Handler: two})
		w.want("eds v n [a b]")
		s.respond(Endpoints, "1", "e1", "a=1")
		w.want("eds v1 ne1 [a b]")
		if one.String() != "a=1" || two.updates != 0 {
			t.Fatalf("%s; %d", one, two.updates)
		}
		// What EDS does not send stays; what CDS does not send goes.
		w.do(func() { // in one turn: answered together, CDS first
			s.respond(Endpoints, "2", "e2", "b=2")
			s.respond(Cluster, "2", "n2", "b=z")
		})
		w.want("cds v2 nn2 []", "eds v2 ne2 [a b]")
		if one.String() != "a=1" || two.String() != "b=2" || cds.String() != "b=z" || !cds.whole {
			t.Fatalf("%s; %s; %s", one, two, cds)
		}
		w.do(sub.Close)
		w.want("eds v2 ne2 [b]")
		w.wantStats("cds.update_success=2 cds.update_attempt=3 eds.update_success=2 control_plane.connected_state=1")
		if w.store.Texts()["control_plane.identifier"] != "fake" || w.store.Texts()["cds.version_text"] != "2" {
			t.Fatalf("%v", w.store.Texts())
		}
	})
}

func TestNack(t *testing.T) {
	for _, delta := range []bool{false, true} {
		run(t, Config{Delta: delta}, func(t *testing.T, w *world) {
			h := newTable(Cluster)
			w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: h})
			w.srv.requests(t)
			s := w.srv.last()
			send := func(nonce string, resources ...string) {
				if delta {
					s.update(Cluster, nonce, nil, resources...)
				} else {
					s.respond(Cluster, nonce, nonce, resources...)
				}
			}
			send("1", "a=1")
			synctest.Wait()
			h.refuse["bad"] = "lb_policy: value 99 is not known"
			h.refuse["worse"] = "name: must not be empty"
			w.srv.requests(t)
			send("2", "a=2", "bad=1", "worse=1")
			text := " nack: bad: lb_policy: value 99 is not known\nworse: name: must not be empty"
			if delta {
				w.want("cds n2" + text)
			} else {
				w.want("cds v1 n2 []" + text)
			}
			if h.String() != "a=2" {
				t.Fatalf("the good resource of a bad update: %s", h)
			}
			w.wantStats("cds.update_rejected=1 cds.update_success=1")
			send("3", "a=3", "a=4")
			if delta {
				w.want("cds n3 nack: a: duplicate name")
			} else {
				w.want("cds v1 n3 [] nack: a: duplicate name")
			}
			if h.String() != "a=2" {
				t.Fatalf("an update that is refused as a whole changed %s", h)
			}
			if delta {
				// The server hears what is in force, not what was refused.
				s.fail()
				w.sleep(time.Second)
				w.want("cds n a=v2 node")
			}
		})
	}
}

func TestWrongTypeIsRefused(t *testing.T) {
	run(t, Config{}, func(t *testing.T, w *world) {
		h := newTable(Cluster)
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: h})
		w.srv.requests(t)
		r := &discoveryv3.DiscoveryResponse{TypeUrl: Cluster, VersionInfo: "1", Nonce: "1"}
		r.Resources = append(r.Resources, resource(Endpoints, "a", "1"))
		w.srv.last().message(r)
		w.want(fmt.Sprintf("cds v n1 [] nack: resource 0: type is %q instead of %q", Endpoints, Cluster))
		r.Resources[0] = resource(Cluster, "a", "1")
		r.Resources[0].Value = []byte{0x0a, 0xff}
		w.srv.last().message(r)
		if got := w.srv.requests(t); len(got) != 1 || h.updates != 0 {
			t.Fatalf("%q, %d updates", got, h.updates)
		}
		w.wantStats("cds.update_rejected=2")
	})
}

func TestDelta(t *testing.T) {
	run(t, Config{Delta: true}, func(t *testing.T, w *world) {
		cds, eds := newTable(Cluster), newTable(Endpoints)
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds})
		w.want("cds n node")
		s := w.srv.last()
		if s.method != adsDelta {
			t.Fatalf("stream %s", s.method)
		}
		s.update(Cluster, "1", nil, "a=1", "b=1")
		w.want("cds n1")
		sub := w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a", "b"}, Handler: eds})
		w.want("eds n +[a b]")
		w.do(func() { sub.SetNames([]string{"b", "c"}); sub.SetNames([]string{"c", "d"}) })
		w.want("eds n +[c d] -[a b]")
		w.do(func() {
			s.update(Endpoints, "2", nil, "c=1", "x=1")
			s.update(Endpoints, "3", []string{"c"}, "d=1")
			s.update(Cluster, "4", []string{"a"})
		})
		w.want("cds n4", "eds n2", "eds n3")
		if cds.String() != "b=1" || eds.String() != "d=1" {
			t.Fatalf("%s; %s", cds, eds)
		}
		s.fail()
		synctest.Wait()
		w.wantStats("control_plane.connected_state=0")
		w.sleep(time.Second)
		w.want("cds n b=v1 node", "eds n +[c d] d=v1")
		w.wantStats("control_plane.connected_state=1 cds.update_failure=1")
		w.do(sub.Close)
		w.want("eds n -[c d]")
	})
}

func TestOrderAndVersionsAfterReconnect(t *testing.T) {
	run(t, Config{}, func(t *testing.T, w *world) {
		for _, c := range []SubscriptionConfig{
			{TypeURL: Routes, Names: []string{"r"}}, {TypeURL: Listener}, {TypeURL: Endpoints, Names: []string{"e"}}, {TypeURL: Cluster},
		} {
			c.Handler = newTable(c.TypeURL)
			w.subscribe(c)
		}
		w.srv.requests(t)
		s := w.srv.last()
		s.respond(Listener, "7", "x", "l=1")
		w.want("lds v7 nx []")
		s.fail()
		w.sleep(time.Second)
		w.want("cds v n [] node", "eds v n [e]", "lds v7 n []", "rds v n [r]")
	})
}

func TestBackOff(t *testing.T) {
	run(t, Config{}, func(t *testing.T, w *world) {
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: newTable(Cluster)})
		limit := DefaultBackOffBase
		for i := range 12 {
			w.srv.last().fail()
			synctest.Wait()
			w.wantStats("control_plane.connected_state=0")
			w.sleep(limit)
			synctest.Wait()
			if n := len(w.srv.streams); n != i+2 {
				t.Fatalf("attempt %d: %d streams after %v", i, n, limit)
			}
			limit = min(2*limit, DefaultBackOffMax)
		}
		w.srv.last().respond(Cluster, "1", "1")
		synctest.Wait()
		w.srv.last().fail()
		w.sleep(DefaultBackOffBase)
		synctest.Wait()
		if n := len(w.srv.streams); n != 14 {
			t.Fatalf("a message must reset the back-off: %d streams", n)
		}
	})
}

func TestFetchTimeout(t *testing.T) {
	run(t, Config{}, func(t *testing.T, w *world) {
		slow, quick := newTable(Cluster), newTable(Listener)
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: slow, FetchTimeout: 15 * time.Second})
		w.subscribe(SubscriptionConfig{TypeURL: Listener, Handler: quick, FetchTimeout: 15 * time.Second})
		w.srv.last().respond(Listener, "1", "1")
		w.sleep(15 * time.Second)
		synctest.Wait()
		if slow.timeouts != 1 || quick.timeouts != 0 || quick.updates != 1 {
			t.Fatalf("%d %d %d", slow.timeouts, quick.timeouts, quick.updates)
		}
		w.wantStats("cds.init_fetch_timeout=1 lds.init_fetch_timeout=0")
		w.srv.last().respond(Cluster, "1", "1", "late=1")
		synctest.Wait()
		if slow.String() != "late=1" {
			t.Fatal("an update after the timeout must still be taken")
		}
	})
}

func TestPause(t *testing.T) {
	for _, delta := range []bool{false, true} {
		run(t, Config{Delta: delta}, func(t *testing.T, w *world) {
			cds, eds := newTable(Cluster), newTable(Endpoints)
			w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: cds})
			w.srv.requests(t)
			var resume func()
			cds.then = func(u *Update) {
				if resume == nil {
					resume = w.m.Pause(Cluster)
				}
			}
			s := w.srv.last()
			if delta {
				w.do(func() { s.update(Cluster, "1", nil, "a=1"); s.update(Cluster, "2", nil, "a=2") })
			} else {
				w.do(func() { s.respond(Cluster, "1", "1", "a=1"); s.respond(Cluster, "2", "2", "a=2") })
			}
			w.want() // a cluster warms: no answer yet
			w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: eds})
			if got := w.srv.requests(t); len(got) != 1 {
				t.Fatalf("other types must go on: %q", got)
			}
			if cds.String() != "a=2" {
				t.Fatalf("updates must be applied meanwhile: %s", cds)
			}
			w.do(resume)
			if delta {
				w.want("cds n1", "cds n2")
			} else {
				w.want("cds v2 n2 []")
			}
			w.do(resume) // a second call does nothing
			w.want()
		})
	}
}

func TestTTL(t *testing.T) {
	run(t, Config{Delta: true}, func(t *testing.T, w *world) {
		h := newTable(Cluster)
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: h})
		s := w.srv.last()
		s.message(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: Cluster, Nonce: "1", Resources: []*discoveryv3.Resource{
			{Name: "a", Version: "1", Resource: resource(Cluster, "a", "1"), Ttl: durationpb.New(10 * time.Second)},
			{Name: "b", Version: "1", Resource: resource(Cluster, "b", "1"), Ttl: durationpb.New(10 * time.Second)},
			{Name: "c", Version: "1", Resource: resource(Cluster, "c", "1")},
		}})
		w.sleep(9 * time.Second)
		s.message(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: Cluster, Nonce: "2", Resources: []*discoveryv3.Resource{
			{Name: "a", Ttl: durationpb.New(10 * time.Second)}}})
		synctest.Wait()
		if h.updates != 2 || h.String() != "a=1 b=1 c=1" {
			t.Fatalf("%d updates, %s", h.updates, h)
		}
		w.sleep(2 * time.Second)
		synctest.Wait()
		if h.String() != "a=1 c=1" {
			t.Fatalf("b must have expired: %s", h)
		}
		w.sleep(10 * time.Second)
		synctest.Wait()
		if h.String() != "c=1" {
			t.Fatalf("a must have expired: %s", h)
		}
	})
}

func TestRateLimit(t *testing.T) {
	run(t, Config{RateLimit: true, RateTokens: 2, RatePerSecond: 1}, func(t *testing.T, w *world) {
		w.subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: newTable(Cluster)})
		w.subscribe(SubscriptionConfig{TypeURL: Listener, Handler: newTable(Listener)})
		w.subscribe(SubscriptionConfig{TypeURL: Routes, Names: []string{"r"}, Handler: newTable(Routes)})
		if got := w.srv.requests(t); len(got) != 2 {
			t.Fatalf("%q", got)
		}
		w.wantStats("control_plane.rate_limit_enforced=1 control_plane.pending_requests=1")
		w.sleep(1100 * time.Millisecond)
		w.want("rds v n [r]")
		w.wantStats("control_plane.pending_requests=0")
	})
}

// TestSecondSubscription: what one subscription has got, another of the same
// name gets without the server.
func TestSecondSubscription(t *testing.T) {
	for _, delta := range []bool{false, true} {
		run(t, Config{Delta: delta}, func(t *testing.T, w *world) {
			one, two := newTable(Endpoints), newTable(Endpoints)
			first := w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a", "b"}, Handler: one})
			if delta {
				w.srv.last().update(Endpoints, "1", nil, "a=1", "b=1")
			} else {
				w.srv.last().respond(Endpoints, "1", "1", "a=1", "b=1")
			}
			w.srv.requests(t)
			second := w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: two})
			if two.String() != "a=1" || !two.cached || one.updates != 1 {
				t.Fatalf("%s, %d", two, one.updates)
			}
			w.wantStats("eds.update_success=1")
			w.do(func() { second.SetNames([]string{"b"}) })
			if two.String() != "a=1 b=1" {
				t.Fatalf("after another name: %s", two)
			}
			w.do(first.Close)
			third := newTable(Endpoints)
			w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: third})
			if third.updates != 0 {
				t.Fatal("nobody had subscribed to it any more")
			}
		})
	}
}

func TestOneTypeStream(t *testing.T) {
	run(t, Config{Type: Endpoints}, func(t *testing.T, w *world) {
		h := newTable(Endpoints)
		w.subscribe(SubscriptionConfig{TypeURL: Endpoints, Names: []string{"a"}, Handler: h})
		if m := w.srv.last().method; m != "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints" {
			t.Fatal(m)
		}
		w.do(func() {
			if _, err := w.m.Subscribe(SubscriptionConfig{TypeURL: Cluster, Handler: h}); err == nil {
				t.Error("another type was taken")
			}
		})
	})
}

func TestNode(t *testing.T) {
	n := Node(nil, "abc", []ExtensionInfo{{Name: "envoy.filters.http.router", Category: "envoy.filters.http"}})
	if n.UserAgentName != "envoy" || n.GetUserAgentBuildVersion().Version.MinorNumber != 40 || len(n.Extensions) != 1 || len(n.ClientFeatures) == 0 {
		t.Fatalf("%v", n)
	}
}
