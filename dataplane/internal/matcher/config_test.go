package matcher

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

func TestDecodeHeader(t *testing.T) {
	h := new(header.Map)
	h.Add("x-a", "Hello")
	h.Add("x-n", "7")
	for text, want := range map[string]bool{
		`{"name":"X-A"}`:                                                                                       true,
		`{"name":"x-b"}`:                                                                                       false,
		`{"name":"x-b","present_match":false}`:                                                                 true,
		`{"name":"x-a","exact_match":"Hello"}`:                                                                 true,
		`{"name":"x-a","prefix_match":"He","invert_match":true}`:                                               false,
		`{"name":"x-a","suffix_match":"lo"}`:                                                                   true,
		`{"name":"x-a","contains_match":"ell"}`:                                                                true,
		`{"name":"x-a","string_match":{"contains":"ELL","ignore_case":true}}`:                                  true,
		`{"name":"x-a","string_match":{"exact":"hello","ignore_case":true}}`:                                   true,
		`{"name":"x-a","safe_regex_match":{"regex":"He"}}`:                                                     false,
		`{"name":"x-a","safe_regex_match":{"regex":"He.*"}}`:                                                   true,
		`{"name":"x-n","range_match":{"start":"7","end":"8"}}`:                                                 true,
		`{"name":"x-n","range_match":{"start":"1","end":"7"}}`:                                                 false,
		`{"name":"x-b","string_match":{"exact":"a"},"treat_missing_header_as_empty":true,"invert_match":true}`: true,
	} {
		m := new(routev3.HeaderMatcher)
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeHeader(m, fieldpath.Path{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Match(h) != want {
			t.Errorf("%s does not give %v", text, want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	m := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}}}
	if _, err := DecodeString(m, fieldpath.New("x")); err == nil || !strings.HasPrefix(err.Error(), `x.safe_regex.regex: "(": `) {
		t.Error(err)
	}
	if _, err := DecodeString(new(matcherv3.StringMatcher), fieldpath.New("x")); err == nil || err.Error() != "x: match_pattern is required" {
		t.Error(err)
	}
}

func TestDecodeValue(t *testing.T) {
	for text, want := range map[string][2]any{
		`{"string_match":{"prefix":"a"}}`:                          {"ab", "b"},
		`{"bool_match":true}`:                                      {true, false},
		`{"double_match":{"range":{"start":1,"end":2}}}`:           {1.0, 2.0},
		`{"double_match":{"exact":3}}`:                             {3.0, "3"},
		`{"null_match":{}}`:                                        {nil, "x"},
		`{"present_match":true}`:                                   {"x", nil},
		`{"list_match":{"one_of":{"string_match":{"exact":"a"}}}}`: {[]any{"b", "a"}, []any{"b"}},
		`{"or_match":{"value_matchers":[{"bool_match":true},{"string_match":{"exact":"a"}}]}}`: {"a", "b"},
	} {
		m := new(matcherv3.ValueMatcher)
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		v, err := DecodeValue(m, fieldpath.Path{})
		if err != nil {
			t.Fatal(err)
		}
		if !v(want[0]) || v(want[1]) {
			t.Errorf("%s: %v %v", text, v(want[0]), v(want[1]))
		}
	}
}
