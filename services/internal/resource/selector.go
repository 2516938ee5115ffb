package resource

import (
	"fmt"
	"slices"
	"strings"
)

// Selector selects by labels, in Kubernetes' syntax: requirements joined by
// commas, of the forms k=v, k==v, k!=v, k in (v,w), k notin (v,w), k, !k. The
// zero value selects everything.
type Selector struct {
	requirements []requirement
}

type requirement struct {
	key    string
	op     operator
	values []string
}

type operator int

const (
	opIn operator = iota
	opNotIn
	opExists
	opAbsent
)

// ParseSelector reads a selector.
func ParseSelector(text string) (Selector, error) {
	var s Selector
	for _, part := range splitRequirements(text) {
		if part = strings.TrimSpace(part); part == "" {
			if strings.TrimSpace(text) == "" {
				return s, nil
			}
			return s, fmt.Errorf("label selector %q has an empty requirement", text)
		}
		r, err := parseRequirement(part)
		if err != nil {
			return s, fmt.Errorf("label selector %q: %w", text, err)
		}
		s.requirements = append(s.requirements, r)
	}
	return s, nil
}

// splitRequirements splits at the commas outside of parentheses.
func splitRequirements(text string) []string {
	var parts []string
	depth, start := 0, 0
	for i := range len(text) {
		switch {
		case text[i] == '(':
			depth++
		case text[i] == ')':
			depth--
		case text[i] == ',' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

func parseRequirement(part string) (requirement, error) {
	r, rest := requirement{op: opIn}, ""
	if list, ok := strings.CutSuffix(part, ")"); ok {
		head, values, found := strings.Cut(list, "(")
		words := strings.Fields(head)
		if !found || len(words) != 2 || words[1] != "in" && words[1] != "notin" {
			return r, fmt.Errorf("%q is not \"key in (values)\" or \"key notin (values)\"", part)
		}
		r.key = words[0]
		if words[1] == "notin" {
			r.op = opNotIn
		}
		for value := range strings.SplitSeq(values, ",") {
			r.values = append(r.values, strings.TrimSpace(value))
		}
	} else if key, value, found := strings.Cut(part, "!="); found {
		r.op, r.key, rest = opNotIn, key, value
		r.values = []string{strings.TrimSpace(rest)}
	} else if key, value, found := strings.Cut(part, "="); found {
		r.key, rest = key, strings.TrimPrefix(value, "=")
		r.values = []string{strings.TrimSpace(rest)}
	} else if key, absent := strings.CutPrefix(part, "!"); absent {
		r.op, r.key = opAbsent, key
	} else {
		r.op, r.key = opExists, part
	}
	r.key = strings.TrimSpace(r.key)
	if !isQualified(r.key) {
		return r, fmt.Errorf("%q is not a label key", r.key)
	}
	for _, value := range r.values {
		if !isLabelValue(value) {
			return r, fmt.Errorf("%q is not a label value", value)
		}
	}
	return r, nil
}

// Matches tells whether the labels meet every requirement. As in Kubernetes,
// != and notin hold where the label is absent.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s.requirements {
		value, has := labels[r.key]
		var ok bool
		switch r.op {
		case opIn:
			ok = has && slices.Contains(r.values, value)
		case opNotIn:
			ok = !has || !slices.Contains(r.values, value)
		case opExists:
			ok = has
		case opAbsent:
			ok = !has
		}
		if !ok {
			return false
		}
	}
	return true
}
