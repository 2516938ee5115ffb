package matcher

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// Value says whether a plain value (string, float64, bool, nil, list, map)
// matches.
type Value func(v any) bool

// DecodeValue compiles a ValueMatcher at p.
func DecodeValue(m *matcherv3.ValueMatcher, p fieldpath.Path) (Value, error) {
	switch k := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_NullMatch_:
		return func(v any) bool { return v == nil }, nil
	case *matcherv3.ValueMatcher_DoubleMatch:
		return double(k.DoubleMatch), nil
	case *matcherv3.ValueMatcher_StringMatch:
		s, err := DecodeString(k.StringMatch, p.Field("string_match"))
		return func(v any) bool { t, ok := v.(string); return ok && s.Match(t) }, err
	case *matcherv3.ValueMatcher_BoolMatch:
		return func(v any) bool { b, ok := v.(bool); return ok && b == k.BoolMatch }, nil
	case *matcherv3.ValueMatcher_PresentMatch:
		return func(v any) bool { return (v != nil) == k.PresentMatch }, nil
	case *matcherv3.ValueMatcher_ListMatch:
		one, err := DecodeValue(k.ListMatch.GetOneOf(), p.Field("list_match.one_of"))
		return func(v any) bool {
			list, _ := v.([]any)
			for _, x := range list {
				if one(x) {
					return true
				}
			}
			return false
		}, err
	case *matcherv3.ValueMatcher_OrMatch:
		return either(k.OrMatch.GetValueMatchers(), p.Field("or_match.value_matchers"))
	}
	return nil, p.Errorf("match_pattern is required")
}

func double(m *matcherv3.DoubleMatcher) Value {
	if r := m.GetRange(); r != nil {
		return func(v any) bool { f, ok := v.(float64); return ok && f >= r.GetStart() && f < r.GetEnd() }
	}
	return func(v any) bool { f, ok := v.(float64); return ok && f == m.GetExact() }
}

func either(list []*matcherv3.ValueMatcher, p fieldpath.Path) (Value, error) {
	var alternatives []Value
	for i, m := range list {
		v, err := DecodeValue(m, p.Index(i))
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, v)
	}
	return func(v any) bool {
		for _, m := range alternatives {
			if m(v) {
				return true
			}
		}
		return false
	}, nil
}
