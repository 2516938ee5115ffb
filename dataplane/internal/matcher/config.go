package matcher

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// DecodeString compiles a StringMatcher at p.
func DecodeString(m *matcherv3.StringMatcher, p fieldpath.Path) (String, error) {
	s := String{IgnoreCase: m.GetIgnoreCase()}
	switch k := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		s.Kind, s.Exact = Exact, k.Exact
	case *matcherv3.StringMatcher_Prefix:
		s.Kind, s.Prefix = Prefix, k.Prefix
	case *matcherv3.StringMatcher_Suffix:
		s.Kind, s.Suffix = Suffix, k.Suffix
	case *matcherv3.StringMatcher_Contains:
		s.Kind, s.Contains = Contains, k.Contains
		if s.IgnoreCase {
			s.Contains = strings.ToLower(s.Contains)
		}
	case *matcherv3.StringMatcher_SafeRegex:
		return decodeRegex(k.SafeRegex, p.Field("safe_regex"))
	default:
		return s, p.Errorf("match_pattern is required")
	}
	return s, nil
}

func decodeRegex(m *matcherv3.RegexMatcher, p fieldpath.Path) (String, error) {
	r, err := FullRegex(m.GetRegex())
	if err != nil {
		return String{}, p.Field("regex").Errorf("%q: %w", m.GetRegex(), err)
	}
	return String{Kind: Regex, Regex: r}, nil
}

// DecodeHeaders compiles a list of HeaderMatcher at p.
func DecodeHeaders(list []*routev3.HeaderMatcher, p fieldpath.Path) ([]Header, error) {
	var out []Header
	for i, m := range list {
		h, err := DecodeHeader(m, p.Index(i))
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// DecodeHeader compiles a HeaderMatcher at p, old forms included.
func DecodeHeader(m *routev3.HeaderMatcher, p fieldpath.Path) (Header, error) {
	h := Header{Name: strings.ToLower(m.GetName()), Invert: m.GetInvertMatch(), MissingIsEmpty: m.GetTreatMissingHeaderAsEmpty(), Kind: HeaderString}
	var err error
	switch k := m.GetHeaderMatchSpecifier().(type) {
	case nil:
		h.Kind, h.Present = HeaderPresent, true
	case *routev3.HeaderMatcher_PresentMatch:
		h.Kind, h.Present = HeaderPresent, k.PresentMatch
	case *routev3.HeaderMatcher_RangeMatch:
		h.Kind, h.Start, h.End = HeaderRange, k.RangeMatch.GetStart(), k.RangeMatch.GetEnd()
		if h.End <= h.Start {
			err = p.Field("range_match").Errorf("the range [%d, %d) is empty", h.Start, h.End)
		}
	case *routev3.HeaderMatcher_StringMatch:
		h.Value, err = DecodeString(k.StringMatch, p.Field("string_match"))
	case *routev3.HeaderMatcher_ExactMatch:
		h.Value = String{Kind: Exact, Exact: k.ExactMatch}
	case *routev3.HeaderMatcher_PrefixMatch:
		h.Value = String{Kind: Prefix, Prefix: k.PrefixMatch}
	case *routev3.HeaderMatcher_SuffixMatch:
		h.Value = String{Kind: Suffix, Suffix: k.SuffixMatch}
	case *routev3.HeaderMatcher_ContainsMatch:
		h.Value = String{Kind: Contains, Contains: k.ContainsMatch}
	case *routev3.HeaderMatcher_SafeRegexMatch:
		h.Value, err = decodeRegex(k.SafeRegexMatch, p.Field("safe_regex_match"))
	}
	return h, err
}

// DecodeQueries compiles a list of QueryParameterMatcher at p.
func DecodeQueries(list []*routev3.QueryParameterMatcher, p fieldpath.Path) ([]Query, error) {
	var out []Query
	for i, m := range list {
		q := Query{Name: m.GetName()}
		switch k := m.GetQueryParameterMatchSpecifier().(type) {
		case *routev3.QueryParameterMatcher_StringMatch:
			s, err := DecodeString(k.StringMatch, p.Index(i).Field("string_match"))
			if err != nil {
				return nil, err
			}
			q.Value = &s
		case *routev3.QueryParameterMatcher_PresentMatch:
			q.Absent = !k.PresentMatch
		}
		out = append(out, q)
	}
	return out, nil
}
