// Package matcher holds compiled matchers of strings, headers and query
// parameters: pure functions of their input.
package matcher

import (
	"regexp"
	"strings"
)

// String is envoy.type.matcher.v3.StringMatcher. The zero value matches "".
type String struct {
	Exact, Prefix, Suffix, Contains string
	Regex                           *regexp.Regexp // anchored
	Kind                            Kind
	IgnoreCase                      bool
}

// Kind is which of a String's patterns counts.
type Kind uint8

// The kinds.
const (
	Exact Kind = iota
	Prefix
	Suffix
	Contains
	Regex
)

// FullRegex compiles a pattern that must match the whole text, as Envoy's
// safe_regex.
func FullRegex(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?s:` + pattern + `)\z`)
}

// Match says whether s matches.
func (m *String) Match(s string) bool {
	switch m.Kind {
	case Exact:
		if m.IgnoreCase {
			return strings.EqualFold(s, m.Exact)
		}
		return s == m.Exact
	case Prefix:
		return len(s) >= len(m.Prefix) && m.equal(s[:len(m.Prefix)], m.Prefix)
	case Suffix:
		return len(s) >= len(m.Suffix) && m.equal(s[len(s)-len(m.Suffix):], m.Suffix)
	case Contains:
		if m.IgnoreCase {
			return strings.Contains(strings.ToLower(s), m.Contains)
		}
		return strings.Contains(s, m.Contains)
	}
	return m.Regex.MatchString(s)
}

func (m *String) equal(a, b string) bool {
	if m.IgnoreCase {
		return strings.EqualFold(a, b)
	}
	return a == b
}
