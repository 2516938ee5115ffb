package xdsserver

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Session is the state of one stream. It has no goroutine and no clock; its
// owner calls Request for what the client said and then Next until there is
// nothing more to send.
type Session struct {
	// Set at construction.
	mode Mode
	only string // the one type of the stream; empty: aggregated

	// Owned by the stream.
	types    map[string]*typeState
	order    []*typeState // by rank
	seq      uint64       // of the last response
	marks    []mark
	status   Status
	changed  bool // status is newer than what was taken
	awaiting map[Ref]time.Time
	deadline time.Time // zero: nothing waits for time
	opened   time.Time // the first request
}

// mark says that the client has all of a revision once the responses up to
// seq are answered.
type mark struct {
	revision int64
	seq      uint64
}

// typeState is what the client wants and has of one type. The client has
// what base has of what it wants, but for the exceptions.
type typeState struct {
	url      string
	rank     int
	wildcard bool
	named    bool // state of the world: names were given once
	names    nameSet
	base     *Table
	// exceptions from base, by name.
	exceptions map[string]held
	answer     bool   // the client waits for a response, even an empty one
	claim      string // state of the world: the version it says that it has
	inFlight   []*sent
	rejected   map[string]Rejection
}

// held is what the client has of a resource, other than base says.
type held struct {
	version string    // empty: nothing
	force   bool      // it must be told, whatever it has
	old     *Resource // what is to be removed, where that is known
}

// sent is a response that was not answered yet.
type sent struct {
	nonce     string
	seq       uint64
	at        time.Time
	revision  int64
	resources []*Resource
	removed   []string
}

// NewSession makes the state of a stream that has just opened. typeURL is
// empty for an aggregated stream.
func NewSession(mode Mode, typeURL string) *Session {
	return &Session{mode: mode, only: typeURL, types: map[string]*typeState{}}
}

// Request takes what the client said. An error ends the stream: the client
// broke the protocol or a bound.
func (s *Session) Request(r *Request, now time.Time) error {
	url := r.TypeURL
	if url == "" {
		url = s.only
	}
	if url == "" {
		return fmt.Errorf("type_url is missing")
	}
	if s.only != "" && url != s.only {
		return fmt.Errorf("type_url %s on a stream of %s", url, s.only)
	}
	t := s.types[url]
	first := t == nil
	if s.opened.IsZero() {
		s.opened = now
	}
	if first {
		if len(s.types) >= maxTypes {
			return fmt.Errorf("more than %d types on a stream", maxTypes)
		}
		t = &typeState{url: url, rank: rank(url)}
		s.types[url] = t
		s.order = append(s.order, t)
		slices.SortStableFunc(s.order, func(a, b *typeState) int { return cmp.Compare(a.rank, b.rank) })
	}
	if r.Nonce != "" && !first {
		s.answered(t, r, now)
	}
	if s.mode == Delta {
		t.deltaNames(r, first)
	} else {
		t.stateNames(r, first)
	}
	if len(t.names) > maxNames || len(t.exceptions) > 2*maxNames {
		return fmt.Errorf("more than %d resource names of type %s", maxNames, url)
	}
	for ref := range s.awaiting {
		if ref.TypeURL == url && t.wants(ref.Name) {
			delete(s.awaiting, ref)
		}
	}
	if len(s.awaiting) == 0 {
		s.awaiting = nil // an emptied map keeps its memory
	}
	return nil
}

func (t *typeState) wants(name string) bool {
	return t.wildcard || t.names.has(name)
}

func (t *typeState) except(name string, h held) {
	if t.exceptions == nil {
		t.exceptions = map[string]held{}
	}
	t.exceptions[name] = h
}

// has tells what the client has of a resource.
func (t *typeState) has(name string) held {
	if h, ok := t.exceptions[name]; ok {
		return h
	}
	if r := t.base.Get(name); r != nil {
		return held{version: r.Version, old: r}
	}
	return held{}
}

// everything begins a wildcard subscription: the client has nothing but the
// names that it asked for.
func (t *typeState) everything() {
	t.wildcard = true
	for _, name := range t.names {
		if _, is := t.exceptions[name]; !is {
			t.except(name, t.has(name))
		}
	}
	t.base = nil
}

// deltaNames follows the xDS specification, "how the client specifies what
// resources to return": a first request without names is a wildcard one.
func (t *typeState) deltaNames(r *Request, first bool) {
	if first {
		for name, version := range r.Initial {
			t.except(name, held{version: version})
		}
		if len(r.Subscribe) == 0 {
			t.wildcard, t.answer = true, len(r.Initial) == 0
		}
	}
	for _, name := range r.Unsubscribe {
		if name == "*" {
			t.wildcard = false
			continue
		}
		if !t.names.remove(name) {
			continue
		}
		if t.wildcard {
			// It still wants it, and must be told that it has it.
			t.except(name, held{force: true})
		} else {
			delete(t.exceptions, name)
		}
	}
	t.names.addAll(slices.DeleteFunc(slices.Clone(r.Subscribe), func(name string) bool { return name == "*" }))
	for _, name := range r.Subscribe {
		if name == "*" {
			if !t.wildcard {
				if !first {
					t.everything()
				}
				t.wildcard = true
			}
			t.answer = t.answer || len(r.Initial) == 0
			continue
		}
		if _, known := r.Initial[name]; !first || !known {
			h := t.has(name)
			h.force = true
			t.except(name, h)
		}
	}
}

// stateNames: the list is all that the client wants; an empty one is a
// wildcard until a list with names has come.
func (t *typeState) stateNames(r *Request, first bool) {
	if first {
		t.claim = r.Version
	}
	var names nameSet
	names.addAll(slices.DeleteFunc(slices.Clone(r.Names), func(name string) bool { return name == "*" }))
	t.named = t.named || len(r.Names) > 0
	wildcard := !t.named || len(names) < len(r.Names) && slices.Contains(r.Names, "*")
	before := t.names
	t.names = names
	for _, name := range before {
		if !names.has(name) && !wildcard {
			delete(t.exceptions, name)
		}
	}
	for _, name := range names {
		if !before.has(name) {
			h := t.has(name)
			h.force = true
			t.except(name, h)
		}
	}
	switch {
	case wildcard && !t.wildcard:
		if !first {
			t.everything()
		}
		t.wildcard = true
		t.answer = true
	case !wildcard && t.wildcard:
		t.wildcard = false
		t.answer = true
	}
}

// Next gives the next response to send, so that the client gets what view
// has; nil if there is none for now.
func (s *Session) Next(view *View, now time.Time) *Response {
	s.deadline = time.Time{}
	if view == nil {
		return nil
	}
	waiting := false
	for _, t := range s.order {
		if len(t.inFlight) >= maxInFlight || t.rank >= firstGated && s.unanswered(now, firstGated) {
			waiting = true
			continue
		}
		if r := s.update(t, view, now); r != nil {
			return r
		}
	}
	if waiting {
		return nil
	}
	leaving := false
	for _, t := range s.order {
		leaving = leaving || len(t.exceptions) > 0
	}
	if leaving {
		if s.unanswered(now, firstGated+maxTypes) {
			return nil
		}
		for _, t := range slices.Backward(s.order) {
			if r := s.remove(t, view, now); r != nil {
				return r
			}
		}
	}
	s.complete(view.Revision, now)
	return nil
}

// unanswered tells whether there are responses of types below a rank that
// are still worth waiting for.
func (s *Session) unanswered(now time.Time, below int) bool {
	for _, t := range s.order {
		if t.rank >= below || len(t.inFlight) == 0 {
			continue
		}
		if until := t.inFlight[len(t.inFlight)-1].at.Add(GateTimeout); until.After(now) {
			s.wake(until)
			return true
		}
	}
	// A cluster serves nobody before it has its endpoints, which a client may
	// ask for after it has answered.
	for ref, until := range s.awaiting {
		if rank(ref.TypeURL) >= below {
			continue
		}
		if until = until.Add(GateTimeout - awaitTimeout); until.After(now) {
			s.wake(until)
			return true
		}
	}
	return false
}

func (s *Session) wake(at time.Time) {
	if s.deadline.IsZero() || at.Before(s.deadline) {
		s.deadline = at
	}
}

// Deadline is when Next must be called again although nothing happened; zero:
// never.
func (s *Session) Deadline() time.Time { return s.deadline }

// complete notes that everything of a revision is on its way.
func (s *Session) complete(revision int64, now time.Time) {
	if s.only == "" {
		// A client of the aggregated service begins with clusters or
		// listeners; without the latter it has not asked for everything yet,
		// unless it gets its listeners elsewhere.
		if until := s.opened.Add(awaitTimeout); s.types[TypeListener] == nil && until.After(now) {
			s.wake(until)
			return
		}
		for ref, until := range s.awaiting {
			if until.After(now) {
				s.wake(until)
				return
			}
			delete(s.awaiting, ref)
		}
	} else if len(s.types) == 0 {
		return
	}
	if n := len(s.marks); n > 0 && s.marks[n-1].seq == s.seq {
		s.marks[n-1].revision = revision
	} else {
		s.marks = append(s.marks, mark{revision, s.seq})
	}
	s.settle()
}

func (s *Session) settle() {
	oldest := s.seq + 1
	for _, t := range s.order {
		if len(t.inFlight) > 0 {
			oldest = min(oldest, t.inFlight[0].seq)
		}
	}
	for len(s.marks) > 0 && s.marks[0].seq < oldest {
		if s.marks[0].revision != s.status.Settled {
			s.status.Settled, s.changed = s.marks[0].revision, true
		}
		s.marks = s.marks[1:]
	}
}

// TakeStatus gives the status if it changed since it was last taken.
func (s *Session) TakeStatus() (Status, bool) {
	if !s.changed {
		return Status{}, false
	}
	s.changed = false
	st := Status{Settled: s.status.Settled}
	for _, t := range s.order {
		for _, r := range t.rejected {
			st.Rejections = append(st.Rejections, r)
		}
	}
	slices.SortFunc(st.Rejections, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Resource, b.Resource))
	})
	return st, true
}

// emit books a response as sent.
func (s *Session) emit(t *typeState, r *Response, now time.Time) *Response {
	s.seq++
	r.TypeURL, r.Nonce = t.url, strconv.FormatUint(s.seq, 10)
	t.answer = false
	t.inFlight = append(t.inFlight, &sent{
		nonce: r.Nonce, seq: s.seq, at: now, revision: r.Revision, resources: r.Resources, removed: r.Removed})
	if s.only == "" {
		for _, res := range r.Resources {
			for _, ref := range res.Refs {
				if other := s.types[ref.TypeURL]; other != nil && other.wants(ref.Name) {
					continue
				}
				if s.awaiting == nil {
					s.awaiting = map[Ref]time.Time{}
				}
				s.awaiting[ref] = now.Add(awaitTimeout)
			}
		}
	}
	return r
}
