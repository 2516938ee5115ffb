package xdsserver

import (
	"slices"
	"strings"
	"time"
)

// update gives the response that brings what is new or changed of a type.
// What is to be removed stays behind as an exception without a counterpart.
func (s *Session) update(t *typeState, view *View, now time.Time) *Response {
	cur := view.Table(t.url)
	if t.wildcard && t.claim != "" && t.claim == t.version(cur) {
		// It has reconnected and has everything. Of names the version says
		// too little: the client may have given some up in between.
		t.base, t.exceptions, t.answer = cur, nil, false
	}
	t.claim = ""
	if t.base == cur && !t.answer && len(t.exceptions) == 0 {
		return nil
	}
	var updates []*Resource
	var missing []string
	exceptions := map[string]held{}
	visit := func(name string) {
		if !t.wants(name) {
			return
		}
		has, want := t.has(name), cur.Get(name)
		switch {
		case want != nil && (has.force || has.version != want.Version):
			updates = append(updates, want)
			if t.names.has(name) {
				t.names.add(want.Name) // the string that all share
			}
		case want == nil && has.force:
			missing = append(missing, name)
		case want == nil && has.version != "":
			exceptions[name] = held{version: has.version, old: has.old}
		}
	}
	for name := range t.exceptions {
		visit(name)
	}
	for name := range changes(t.base, cur) {
		if _, done := t.exceptions[name]; !done {
			visit(name)
		}
	}
	sortResources(updates)
	updates = slices.CompactFunc(updates, func(a, b *Resource) bool { return a.Name == b.Name })
	r := &Response{Revision: view.Revision}
	if s.mode == Delta {
		r.Resources, r.Removed = t.cut(updates, exceptions), missing
		slices.Sort(r.Removed)
	}
	answer := t.answer
	t.base, t.exceptions = cur, exceptions
	if s.mode == Delta {
		if len(r.Resources)+len(r.Removed) == 0 && !answer {
			return nil
		}
		return s.emit(t, r, now)
	}
	if !wholeState(t.url) {
		// Nothing says "removed": the client drops it with what refers to it.
		t.exceptions, r.Resources = nil, updates
		if len(updates) == 0 && !answer {
			return nil
		}
	} else if len(updates)+len(missing) > 0 || answer {
		r.Resources = t.whole(cur)
	} else {
		return nil
	}
	r.Version = t.version(cur)
	return s.emit(t, r, now)
}

// cut limits the size of a response; the rest stays due.
func (t *typeState) cut(updates []*Resource, exceptions map[string]held) []*Resource {
	size := 0
	for i, r := range updates {
		size += len(r.Body.GetValue()) + len(r.Name) + 64
		if size > maxResponse && i > 0 {
			for _, rest := range updates[i:] {
				h := t.has(rest.Name)
				h.force = true
				exceptions[rest.Name] = h
			}
			return updates[:i]
		}
	}
	return updates
}

// whole lists everything that the client wants of a table, and what it is to
// keep for now.
func (t *typeState) whole(cur *Table) []*Resource {
	var list []*Resource
	if t.wildcard {
		for r := range cur.All() {
			list = append(list, r)
		}
	} else {
		for _, name := range t.names {
			if r := cur.Get(name); r != nil {
				list = append(list, r)
			}
		}
	}
	for name, h := range t.exceptions {
		if h.old != nil && cur.Get(name) == nil {
			list = append(list, h.old)
		}
	}
	sortResources(list)
	return list
}

// version hashes everything that the client wants of a table, and what it is
// to keep for now.
func (t *typeState) version(cur *Table) string {
	var total sum
	if t.wildcard {
		if cur != nil {
			total = cur.sum
		}
	} else {
		for _, name := range t.names {
			if r := cur.Get(name); r != nil {
				total = total.add(r.sum)
			}
		}
	}
	for name, h := range t.exceptions {
		if h.old != nil && cur.Get(name) == nil {
			total = total.add(h.old.sum)
		}
	}
	return total.String()
}

// remove gives the response that takes away what the view no longer has.
func (s *Session) remove(t *typeState, view *View, now time.Time) *Response {
	if len(t.exceptions) == 0 {
		return nil
	}
	r := &Response{Revision: view.Revision}
	for name, h := range t.exceptions {
		if s.mode == Delta {
			r.Removed = append(r.Removed, name)
		}
		if h.old != nil {
			for _, ref := range h.old.Refs {
				delete(s.awaiting, ref)
			}
		}
	}
	slices.Sort(r.Removed)
	t.exceptions = nil
	if s.mode == StateOfTheWorld {
		cur := view.Table(t.url)
		r.Resources, r.Version = t.whole(cur), t.version(cur)
	}
	return s.emit(t, r, now)
}

func sortResources(list []*Resource) {
	slices.SortFunc(list, func(a, b *Resource) int { return strings.Compare(a.Name, b.Name) })
}

// answered books the answer to a response, and with it those to older ones
// of the type: clients answer in order. An unknown nonce is of another stream
// and says nothing.
func (s *Session) answered(t *typeState, r *Request, now time.Time) {
	i := slices.IndexFunc(t.inFlight, func(f *sent) bool { return f.nonce == r.Nonce })
	if i < 0 {
		return
	}
	f := t.inFlight[i]
	for _, older := range t.inFlight[:i] {
		t.accepted(older)
	}
	t.inFlight = slices.Delete(t.inFlight, 0, i+1)
	before := len(t.rejected)
	if r.Rejected {
		t.refused(f, r.Message, now)
		for _, res := range f.resources {
			for _, ref := range res.Refs {
				delete(s.awaiting, ref)
			}
		}
		s.changed = true
	} else {
		t.accepted(f)
		s.changed = s.changed || before != len(t.rejected)
	}
	s.settle()
}

func (t *typeState) accepted(f *sent) {
	if len(t.rejected) == 0 {
		return
	}
	delete(t.rejected, "")
	for _, r := range f.resources {
		delete(t.rejected, r.Name)
	}
	for _, name := range f.removed {
		delete(t.rejected, name)
	}
}

// Bounds of a refusal: its sources where it names no resource, its words in
// bytes.
const (
	maxSources = 100
	maxMessage = 16 << 10
)

// refused notes who was refused: those that the client's words name, or the
// only one, or else the response as a whole.
func (t *typeState) refused(f *sent, message string, now time.Time) {
	t.accepted(f)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	if t.rejected == nil {
		t.rejected = map[string]Rejection{}
	}
	reject := func(name string, of ...*Resource) {
		r := Rejection{TypeURL: t.url, Resource: name, Message: message, Revision: f.revision, Time: now}
		for _, res := range of {
			if len(r.Sources) < maxSources {
				r.Sources = append(r.Sources, res.Sources...)
			}
		}
		t.rejected[name] = r
	}
	if len(f.resources) == 1 {
		reject(f.resources[0].Name, f.resources[0])
		return
	}
	named := false
	for _, r := range f.resources {
		if mentions(message, r.Name) {
			reject(r.Name, r)
			named = true
		}
	}
	if !named {
		reject("", f.resources...)
	}
}

// mentions tells whether a text has a name in it, not as part of a longer one.
func mentions(text, name string) bool {
	part := func(b byte) bool {
		return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-_/", b) >= 0
	}
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 || name == "" {
			return false
		}
		start, end := at+i, at+i+len(name)
		if (start == 0 || !part(text[start-1])) && (end == len(text) || !part(text[end])) {
			return true
		}
		at = start + 1
	}
}
