package client

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// modelServer is a control plane that keeps the protocol's rules and checks
// the client's part of them: an answer for each response, to the last nonce,
// in order; no names that it has been told already.
type modelServer struct {
	t      *testing.T
	delta  bool
	world  map[string]map[string]int // type, name, version
	nonces int
}

// modelStream is what the server knows of one stream.
type modelStream struct {
	m        *modelServer
	s        *fakeStream
	seenNode bool
	types    map[string]*modelType
}

type modelType struct {
	wildcard bool
	names    map[string]bool
	sent     map[string]int
	unacked  []string
	last     string // nonce that the client has answered
}

var modelTypes = []string{Cluster, Endpoints, Listener, Routes}

// attach begins to serve a stream.
func (m *modelServer) attach(s *fakeStream) *modelStream {
	return &modelStream{m: m, s: s, types: map[string]*modelType{}}
}

func (x *modelStream) typ(url string) *modelType {
	if x.types[url] == nil {
		x.types[url] = &modelType{names: map[string]bool{}, sent: map[string]int{}}
	}
	return x.types[url]
}

// read handles the requests that have come.
func (x *modelStream) read() {
	x.s.srv.mu.Lock()
	sent := x.s.sent
	x.s.sent = nil
	x.s.srv.mu.Unlock()
	for _, b := range sent {
		if x.m.delta {
			x.readDelta(b)
		} else {
			x.readSotw(b)
		}
	}
}

func (x *modelStream) readSotw(b []byte) {
	var r discoveryv3.DiscoveryRequest
	if err := proto.Unmarshal(b, &r); err != nil {
		x.m.t.Fatal(err)
	}
	x.node(r.Node != nil)
	ty := x.typ(r.TypeUrl)
	whole := r.TypeUrl == Cluster || r.TypeUrl == Listener
	ty.wildcard = whole
	ty.names = nameSet(r.ResourceNames)
	if i := slices.Index(ty.unacked, r.ResponseNonce); i >= 0 {
		ty.unacked = ty.unacked[i+1:] // an answer stands for those before it
	} else if ty.last != r.ResponseNonce {
		x.m.t.Fatalf("answer to %q, expected one to %q", r.ResponseNonce, ty.unacked)
	}
	ty.last = r.ResponseNonce
	for n := range ty.sent {
		if !whole && !ty.names[n] {
			delete(ty.sent, n)
		}
	}
}

func (x *modelStream) readDelta(b []byte) {
	t := x.m.t
	var r discoveryv3.DeltaDiscoveryRequest
	if err := proto.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	x.node(r.Node != nil)
	first := x.types[r.TypeUrl] == nil
	ty := x.typ(r.TypeUrl)
	if first && len(r.ResourceNamesSubscribe) == 0 {
		ty.wildcard = true
	}
	if !first && len(r.InitialResourceVersions) > 0 {
		t.Fatal("initial versions in a later request")
	}
	for n, v := range r.InitialResourceVersions {
		_, _ = fmt.Sscanf(v, "v%d", ptr(ty.sent, n))
	}
	for _, n := range r.ResourceNamesSubscribe {
		if n == "*" {
			ty.wildcard = true
		} else if ty.names[n] {
			t.Fatalf("%s is subscribed twice", n)
		} else {
			ty.names[n] = true
			if !first {
				delete(ty.sent, n)
			}
		}
	}
	for _, n := range r.ResourceNamesUnsubscribe {
		if n == "*" {
			ty.wildcard = false
		} else if !ty.names[n] {
			t.Fatalf("%s is unsubscribed without a subscription", n)
		}
		delete(ty.names, n)
		delete(ty.sent, n)
	}
	if r.ResponseNonce != "" {
		if len(ty.unacked) == 0 || ty.unacked[0] != r.ResponseNonce {
			t.Fatalf("answer to %q, expected one to %q", r.ResponseNonce, ty.unacked)
		}
		ty.unacked = ty.unacked[1:]
	}
}

// ptr lets Sscanf store a map's value.
func ptr(m map[string]int, k string) *settable { return &settable{m, k} }

type settable struct {
	m map[string]int
	k string
}

func (s *settable) Scan(st fmt.ScanState, _ rune) error {
	var v int
	_, err := fmt.Fscan(st, &v)
	s.m[s.k] = v
	return err
}

func (x *modelStream) node(has bool) {
	if has == x.seenNode {
		x.m.t.Fatalf("node in the request: %v", has)
	}
	x.seenNode = true
}

// push sends what the client lacks of a type.
func (x *modelStream) push(url string) {
	ty := x.types[url]
	if ty == nil {
		return
	}
	want := map[string]int{}
	for n, v := range x.m.world[url] {
		if ty.wildcard || ty.names[n] {
			want[n] = v
		}
	}
	if maps.Equal(want, ty.sent) && len(want) > 0 {
		return
	}
	x.m.nonces++
	nonce := fmt.Sprint(x.m.nonces)
	var lines, removed []string
	for n, v := range want {
		if !x.m.delta || ty.sent[n] != v {
			lines = append(lines, fmt.Sprintf("%s=%d", n, v))
		}
	}
	for n := range ty.sent {
		if _, ok := want[n]; !ok {
			removed = append(removed, n)
		}
	}
	ty.sent = want
	ty.unacked = append(ty.unacked, nonce)
	if x.m.delta {
		x.s.update(url, nonce, removed, lines...)
	} else {
		x.s.respond(url, nonce, nonce, lines...)
	}
}

// TestModel runs a client against the model with random changes of the world
// and of the subscriptions, lost streams, pauses and refusals. Whenever it
// comes to rest with a live stream, the handlers have what the server has.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		for _, delta := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				modelRun(t, seed, delta)
				if t.Failed() {
					t.Logf("seed %d, delta %v", seed, delta)
				}
			})
		}
	}
}

func modelRun(t *testing.T, seed uint64, delta bool) {
	r := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, Config{Delta: delta})
	defer w.close()
	m := &modelServer{t: t, delta: delta, world: map[string]map[string]int{}}
	tables := map[string]*table{}
	subs := map[string]Subscription{}
	names := []string{"a", "b", "c", "d", "e"}
	wanted := map[string][]string{Cluster: nil, Listener: nil, Endpoints: {"a"}, Routes: {"b"}}
	for _, url := range modelTypes {
		m.world[url] = map[string]int{}
		tables[url] = newTable(url)
		subs[url] = w.subscribe(SubscriptionConfig{TypeURL: url, Names: wanted[url], Handler: tables[url]})
	}
	x := m.attach(w.srv.last())
	var resumes []func()
	for range 60 {
		url := modelTypes[r.IntN(len(modelTypes))]
		name := names[r.IntN(len(names))]
		switch r.IntN(9) {
		case 0, 1, 2:
			m.nonces++
			m.world[url][name] = m.nonces
		case 3:
			if wanted[url] == nil || delta {
				delete(m.world[url], name)
			}
		case 4:
			if wanted[url] != nil {
				var list []string
				for _, n := range names {
					if r.IntN(2) == 0 {
						list = append(list, n)
					}
				}
				if list == nil {
					list = []string{}
				}
				wanted[url] = list
				w.do(func() { subs[url].SetNames(list) })
			}
		case 5:
			x.s.fail()
			w.sleep(40 * time.Second)
			x = m.attach(w.srv.last())
		case 6:
			w.do(func() { resumes = append(resumes, w.m.Pause(url)) })
		case 7:
			for _, f := range resumes {
				w.do(f)
			}
			resumes = nil
		case 8:
			synctest.Wait()
			x.read()
			x.push(url)
		}
	}
	for _, f := range resumes {
		w.do(f)
	}
	for range 3 {
		for _, url := range modelTypes {
			synctest.Wait()
			x.read()
			x.push(url)
		}
	}
	synctest.Wait()
	x.read()
	for _, url := range modelTypes {
		if n := len(x.types[url].unacked); n > 0 {
			t.Fatalf("seed %d: %d responses of %s were not answered", seed, n, short[url])
		}
		for name, v := range m.world[url] {
			if wanted[url] == nil || slices.Contains(wanted[url], name) {
				if got := tables[url].have[name]; got != fmt.Sprint(v) {
					t.Fatalf("seed %d: %s %s is %q, want %d", seed, short[url], name, got, v)
				}
			}
		}
		if wanted[url] == nil && len(tables[url].have) != len(m.world[url]) {
			t.Fatalf("seed %d: %s has %s, want %v", seed, short[url], tables[url], m.world[url])
		}
	}
}
