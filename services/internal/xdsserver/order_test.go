package xdsserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
)

// viewOf builds a view from "type name version" triples.
func viewOf(t *testing.T, revision int64, list ...*Resource) *View {
	t.Helper()
	v := &View{Revision: revision, Tables: map[string]*Table{}}
	for _, r := range list {
		url := r.Body.GetTypeUrl()
		v.Tables[url] = v.Tables[url].With(map[string]*Resource{r.Name: r})
	}
	return v
}

// changed makes the next view: all that is in list replaces its namesake,
// nil removes.
func changed(v *View, url string, changes map[string]*Resource) *View {
	next := &View{Revision: v.Revision + 1, Tables: map[string]*Table{}}
	for u, t := range v.Tables {
		next.Tables[u] = t
	}
	next.Tables[url] = v.Tables[url].With(changes)
	return next
}

func short(url string) string {
	return map[string]string{TypeCluster: "CDS", TypeEndpoint: "EDS", TypeListener: "LDS", TypeRoute: "RDS"}[url]
}

func show(r *Response) string {
	if r == nil {
		return "-"
	}
	var names []string
	for _, res := range r.Resources {
		names = append(names, res.Name)
	}
	for _, name := range r.Removed {
		names = append(names, "-"+name)
	}
	return short(r.TypeURL) + " " + strings.Join(names, " ")
}

func opened(t *testing.T, mode Mode, v *View) *Session {
	t.Helper()
	s := NewSession(mode, "")
	for _, url := range allTypes {
		if err := s.Request(&Request{TypeURL: url}, now); err != nil {
			t.Fatal(err)
		}
	}
	for r := s.Next(v, now); r != nil; r = s.Next(v, now) {
		ack(t, s, r, "")
	}
	return s
}

func ack(t *testing.T, s *Session, r *Response, refusal string) {
	t.Helper()
	err := s.Request(&Request{TypeURL: r.TypeURL, Nonce: r.Nonce, Version: r.Version, Rejected: refusal != "", Message: refusal}, now)
	if err != nil {
		t.Fatal(err)
	}
}

// TestMakeBeforeBreak replaces one of everything and looks at what waits for
// what.
func TestMakeBeforeBreak(t *testing.T) {
	for mode, want := range map[Mode][]string{
		Delta: {"CDS new", "EDS new", "-", "-", "LDS new", "RDS new", "-", "-", "RDS -old", "-", "LDS -old", "-", "EDS -old", "-", "CDS -old"},
		// What leaves stays in the list until nothing can refer to it.
		StateOfTheWorld: {"CDS new old", "EDS new", "-", "-", "LDS new old", "RDS new", "-", "-", "LDS new", "-", "CDS new"},
	} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			var old, fresh []*Resource
			for _, url := range allTypes {
				old, fresh = append(old, made(t, url, "old", 1)), append(fresh, made(t, url, "new", 1))
			}
			s := opened(t, mode, viewOf(t, 1, old...))
			v := viewOf(t, 2, fresh...)
			var open []*Response
			for i, w := range want {
				r := s.Next(v, now)
				if got := show(r); got != w {
					t.Fatalf("step %d: %s, want %s", i, got, w)
				}
				if r != nil {
					open = append(open, r)
				} else {
					ack(t, s, open[0], "")
					open = open[1:]
				}
			}
			if st, _ := s.TakeStatus(); st.Settled == 2 {
				t.Error("settled before everything was answered")
			}
			ack(t, s, open[0], "")
			if r := s.Next(v, now); r != nil {
				t.Errorf("more: %s", show(r))
			}
			if st, _ := s.TakeStatus(); st.Settled != 2 {
				t.Errorf("settled at %d", st.Settled)
			}
		})
	}
}

func TestWaitingEnds(t *testing.T) {
	v := viewOf(t, 1, made(t, TypeCluster, "c", 1), made(t, TypeListener, "l", 1))
	s := NewSession(Delta, "")
	for _, url := range allTypes {
		if err := s.Request(&Request{TypeURL: url}, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := show(s.Next(v, now)); got != "CDS c" {
		t.Fatal(got)
	}
	if got := show(s.Next(v, now)); got != "EDS " {
		t.Fatalf("a first wildcard request gets an answer: %s", got)
	}
	if r := s.Next(v, now); r != nil {
		t.Fatalf("did not wait: %s", show(r))
	}
	if d := s.Deadline(); !d.Equal(now.Add(GateTimeout)) {
		t.Fatalf("deadline %v", d)
	}
	if got := show(s.Next(v, now.Add(GateTimeout))); got != "LDS l" {
		t.Fatal(got)
	}
}

func TestRefusal(t *testing.T) {
	v := viewOf(t, 1, made(t, TypeCluster, "a", 1), made(t, TypeCluster, "ab", 1), made(t, TypeListener, "l", 1))
	s := opened(t, Delta, v)
	s.TakeStatus()
	v = changed(v, TypeCluster, map[string]*Resource{"a": made(t, TypeCluster, "a", 2), "ab": made(t, TypeCluster, "ab", 2)})
	ack(t, s, s.Next(v, now), `cluster ab: no good`)
	if r := s.Next(v, now); r != nil {
		t.Fatalf("sent again: %s", show(r))
	}
	st, changedNow := s.TakeStatus()
	if !changedNow || st.Settled != 2 || len(st.Rejections) != 1 {
		t.Fatalf("%+v", st)
	}
	if r := st.Rejections[0]; r.Resource != "ab" || r.Message != "cluster ab: no good" || r.Revision != 2 || r.Sources[0].GetName() != "ab" || len(r.Sources) != 1 {
		t.Errorf("%+v", r)
	}
	// Another resource changes: the refused one is left alone.
	v = changed(v, TypeCluster, map[string]*Resource{"a": made(t, TypeCluster, "a", 3)})
	r := s.Next(v, now)
	if show(r) != "CDS a" {
		t.Fatal(show(r))
	}
	ack(t, s, r, "")
	s.Next(v, now)
	if st, _ := s.TakeStatus(); len(st.Rejections) != 1 {
		t.Errorf("%+v", st)
	}
	// Back to what it has: that is sent, and the rejection is over.
	v = changed(v, TypeCluster, map[string]*Resource{"ab": made(t, TypeCluster, "ab", 1)})
	r = s.Next(v, now)
	if show(r) != "CDS ab" {
		t.Fatal(show(r))
	}
	ack(t, s, r, "")
	if st, _ := s.TakeStatus(); len(st.Rejections) != 0 {
		t.Errorf("%+v", st)
	}
	// Words that name nothing are about all.
	v = changed(v, TypeCluster, map[string]*Resource{"a": made(t, TypeCluster, "a", 4), "ab": made(t, TypeCluster, "ab", 4)})
	ack(t, s, s.Next(v, now), "out of memory")
	s.Next(v, now)
	if st, _ := s.TakeStatus(); len(st.Rejections) != 1 || st.Rejections[0].Resource != "" || len(st.Rejections[0].Sources) != 2 {
		t.Errorf("%+v", st)
	}
}

// TestNotSettledBeforeItAsks: a client that got a listener has yet to ask for
// the routes of it.
func TestNotSettledBeforeItAsks(t *testing.T) {
	route := made(t, TypeRoute, "r", 1)
	listener, err := NewResource("l", route.Body, nil, Ref{TypeRoute, "r"})
	if err != nil {
		t.Fatal(err)
	}
	listener.Body = &anypb.Any{TypeUrl: TypeListener}
	v := viewOf(t, 7, listener, route)
	s := NewSession(Delta, "")
	if err := s.Request(&Request{TypeURL: TypeListener}, now); err != nil {
		t.Fatal(err)
	}
	ack(t, s, s.Next(v, now), "")
	s.Next(v, now)
	if st, ok := s.TakeStatus(); ok {
		t.Fatalf("settled at %d", st.Settled)
	}
	if err := s.Request(&Request{TypeURL: TypeRoute, Subscribe: []string{"r"}}, now); err != nil {
		t.Fatal(err)
	}
	ack(t, s, s.Next(v, now), "")
	s.Next(v, now)
	if st, _ := s.TakeStatus(); st.Settled != 7 {
		t.Fatalf("settled at %d", st.Settled)
	}
}

// TestRoutesWaitForEndpoints: a client that has answered for a new cluster
// and not yet asked for its endpoints would serve a route to it with an
// error.
func TestRoutesWaitForEndpoints(t *testing.T) {
	for _, mode := range []Mode{Delta, StateOfTheWorld} {
		s := opened(t, mode, viewOf(t, 1, made(t, TypeCluster, "old", 1), made(t, TypeRoute, "r", 1)))
		unsubscribe(t, s, mode)
		cluster := made(t, TypeCluster, "new", 1)
		cluster.Refs = []Ref{{TypeEndpoint, "new"}}
		v := viewOf(t, 2, cluster, made(t, TypeCluster, "old", 1), made(t, TypeEndpoint, "new", 1), made(t, TypeRoute, "r", 2))
		r := s.Next(v, now)
		if r == nil || r.TypeURL != TypeCluster {
			t.Fatal(show(r))
		}
		ack(t, s, r, "")
		if r = s.Next(v, now); r != nil {
			t.Fatalf("did not wait for the endpoints: %s", show(r))
		}
		if d := s.Deadline(); !d.Equal(now.Add(GateTimeout)) {
			t.Fatalf("deadline %v", d)
		}
		if err := s.Request(&Request{TypeURL: TypeEndpoint, Subscribe: []string{"new"}, Names: []string{"new"}}, now); err != nil {
			t.Fatal(err)
		}
		if r = s.Next(v, now); show(r) != "EDS new" {
			t.Fatal(show(r))
		}
		if got := s.Next(v, now); got != nil {
			t.Fatalf("did not wait for the answer: %s", show(got))
		}
		ack(t, s, r, "")
		if got := show(s.Next(v, now)); got != "RDS r" {
			t.Fatal(got)
		}
	}
}

// unsubscribe takes the client's wildcard on endpoints back.
func unsubscribe(t *testing.T, s *Session, mode Mode) {
	t.Helper()
	r := &Request{TypeURL: TypeEndpoint, Unsubscribe: []string{"*"}}
	if mode == StateOfTheWorld {
		r = &Request{TypeURL: TypeEndpoint, Names: []string{"other"}}
	}
	if err := s.Request(r, now); err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, 1, made(t, TypeCluster, "old", 1), made(t, TypeRoute, "r", 1))
	for r := s.Next(v, now); r != nil; r = s.Next(v, now) {
		ack(t, s, r, "")
	}
}

// TestUnknownName: who asks for what there is not is told.
func TestUnknownName(t *testing.T) {
	s := NewSession(Delta, TypeRoute)
	if err := s.Request(&Request{Subscribe: []string{"r"}}, now); err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, 1)
	r := s.Next(v, now)
	if show(r) != "RDS -r" {
		t.Fatal(show(r))
	}
	ack(t, s, r, "")
	v = changed(v, TypeRoute, map[string]*Resource{"r": made(t, TypeRoute, "r", 1)})
	if got := show(s.Next(v, now)); got != "RDS r" {
		t.Fatal(got)
	}
}

// TestSlowClientSkips: a client that does not answer has a bounded number of
// responses on the way and then gets the latest.
func TestSlowClientSkips(t *testing.T) {
	v := viewOf(t, 1, made(t, TypeEndpoint, "e", 0), made(t, TypeListener, "l", 1))
	s := opened(t, Delta, v)
	var open []*Response
	for n := 1; n <= 100; n++ {
		v = changed(v, TypeEndpoint, map[string]*Resource{"e": made(t, TypeEndpoint, "e", n)})
		if r := s.Next(v, now); r != nil {
			open = append(open, r)
		}
	}
	if len(open) != maxInFlight {
		t.Fatalf("%d on the way", len(open))
	}
	for _, r := range open {
		ack(t, s, r, "")
	}
	r := s.Next(v, now)
	if r == nil || r.Resources[0].Version != v.Tables[TypeEndpoint].Get("e").Version {
		t.Fatalf("not the latest: %v", r)
	}
}

// TestLargeResponsesAreCut keeps them under what clients take.
func TestLargeResponsesAreCut(t *testing.T) {
	var list []*Resource
	for i := range 9 {
		list = append(list, made(t, TypeCluster, fmt.Sprint("c", i), maxResponse/4))
	}
	s := NewSession(Delta, TypeCluster)
	if err := s.Request(&Request{}, now); err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, 1, list...)
	var names []string
	for r := s.Next(v, now); r != nil; r = s.Next(v, now) {
		size := 0
		for _, res := range r.Resources {
			size += len(res.Body.GetValue())
			names = append(names, res.Name)
		}
		if size > maxResponse {
			t.Errorf("%d bytes", size)
		}
	}
	if slices.Sort(names); len(names) != 9 || len(slices.Compact(names)) != 9 {
		t.Errorf("sent %v", names)
	}
}

func TestBounds(t *testing.T) {
	s := NewSession(Delta, "")
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = s.Request(&Request{TypeURL: fmt.Sprint("type", i)}, now)
	}
	if err == nil {
		t.Error("any number of types")
	}
	if err := NewSession(Delta, "").Request(&Request{}, now); err == nil {
		t.Error("no type")
	}
	if err := NewSession(Delta, TypeRoute).Request(&Request{TypeURL: TypeCluster}, now); err == nil {
		t.Error("another type")
	}
}

// TestCostFollowsTheChange: a change of one in ten thousand looks at one.
func TestCostFollowsTheChange(t *testing.T) {
	all := map[string]*Resource{}
	for i := range 10_000 {
		name := fmt.Sprint("c", i)
		all[name] = made(t, TypeCluster, name, 1)
	}
	table := (*Table)(nil).With(all)
	next := table.With(map[string]*Resource{"c7": made(t, TypeCluster, "c7", 2)})
	looked := 0
	for name := range changes(table, next) {
		if looked++; name != "c7" {
			t.Error(name)
		}
	}
	if looked != 1 {
		t.Errorf("looked at %d", looked)
	}
	if table.Get("c7").Version == next.Get("c7").Version || table.Version() == next.Version() {
		t.Error("the old table changed")
	}
	back := next.With(map[string]*Resource{"c7": all["c7"]})
	if back.Version() != table.Version() {
		t.Error("same content, other version")
	}
	if n := time.Duration(testing.AllocsPerRun(10, func() { changes(table, next)(func(string) bool { return true }) })); n > 10 {
		t.Errorf("%d allocations", n)
	}
}

// TestListenersFromElsewhere: a client that asks the aggregated service for
// endpoints only is settled, if later.
func TestListenersFromElsewhere(t *testing.T) {
	s := NewSession(Delta, "")
	if err := s.Request(&Request{TypeURL: TypeEndpoint, Subscribe: []string{"e"}}, now); err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, 3, made(t, TypeEndpoint, "e", 1))
	ack(t, s, s.Next(v, now), "")
	s.Next(v, now)
	if _, told := s.TakeStatus(); told || !s.Deadline().Equal(now.Add(awaitTimeout)) {
		t.Errorf("settled too early, deadline %v", s.Deadline())
	}
	s.Next(v, now.Add(awaitTimeout))
	if st, _ := s.TakeStatus(); st.Settled != 3 {
		t.Errorf("settled at %d", st.Settled)
	}
}
