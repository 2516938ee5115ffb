package matcher

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// Header is envoy.config.route.v3.HeaderMatcher.
type Header struct {
	Name           string // lower case
	Kind           HeaderKind
	Value          String
	Start, End     int64 // of a range, half open
	Present        bool
	Invert         bool
	MissingIsEmpty bool
}

// HeaderKind is what a Header looks at.
type HeaderKind uint8

// The kinds.
const (
	HeaderPresent HeaderKind = iota
	HeaderString
	HeaderRange
)

// Match says whether the headers match. Repeated lines count joined by commas.
func (m *Header) Match(h *header.Map) bool {
	v, ok := h.Joined(m.Name)
	if !ok && !(m.MissingIsEmpty && m.Kind != HeaderPresent) {
		if m.Kind == HeaderPresent {
			return (!m.Present) != m.Invert
		}
		return m.Invert && m.Kind != HeaderPresent
	}
	var r bool
	switch m.Kind {
	case HeaderPresent:
		r = ok == m.Present
	case HeaderString:
		r = m.Value.Match(v)
	case HeaderRange:
		n, err := strconv.ParseInt(v, 10, 64)
		r = err == nil && n >= m.Start && n < m.End
	}
	return r != m.Invert
}

// Headers says whether all matchers match.
func Headers(ms []Header, h *header.Map) bool {
	for i := range ms {
		if !ms[i].Match(h) {
			return false
		}
	}
	return true
}

// Query is envoy.config.route.v3.QueryParameterMatcher.
type Query struct {
	Name   string
	Value  *String // nil: only presence counts
	Absent bool    // present_match: false
}

// QueryValue returns the first value of a parameter in the query of a path.
func QueryValue(path, name string) (string, bool) {
	i := strings.IndexByte(path, '?')
	if i < 0 {
		return "", false
	}
	q := path[i+1:]
	if j := strings.IndexByte(q, '#'); j >= 0 {
		q = q[:j]
	}
	for len(q) > 0 {
		part := q
		if j := strings.IndexByte(q, '&'); j >= 0 {
			part, q = q[:j], q[j+1:]
		} else {
			q = ""
		}
		k, v := part, ""
		if j := strings.IndexByte(part, '='); j >= 0 {
			k, v = part[:j], part[j+1:]
		}
		if k == name {
			return v, true
		}
	}
	return "", false
}

// Match says whether the query of a path matches.
func (m *Query) Match(path string) bool {
	v, ok := QueryValue(path, m.Name)
	if m.Value == nil {
		return ok != m.Absent
	}
	return ok && m.Value.Match(v)
}
