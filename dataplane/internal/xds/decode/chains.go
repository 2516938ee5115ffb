package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// duplicateChains refuses two chains of one name, and two that some connection
// would match equally well.
func duplicateChains(l *config.Listener, p fieldpath.Path) error {
	names, seen := map[string]int{}, map[string]int{}
	for i, c := range l.FilterChains {
		if c.Name != "" {
			if first, twice := names[c.Name]; twice {
				return p.Index(i).Field("name").Errorf("error adding listener '%s': filter chain %d has the same name '%s'", l.Name, first, c.Name)
			}
			names[c.Name] = i
		}
		for key := range criteria(&c.Match) {
			if first, twice := seen[key]; twice && first != i {
				return p.Index(i).Errorf("error adding listener '%s': multiple filter chains with overlapping matching rules are defined: this one and filter_chains[%d]", l.Name, first)
			}
			seen[key] = i
		}
	}
	return nil
}

// criteria yields every combination of single values that a match stands for.
func criteria(m *config.FilterChainMatch) func(yield func(string) bool) {
	lists := [][]string{
		{fmt.Sprint(m.DestinationPort, m.TransportProtocol, m.SourceType)},
		texts(m.Destination), texts(m.ServerNames), texts(m.ApplicationProtocol), texts(m.DirectSource), texts(m.Source), texts(m.SourcePorts),
	}
	var walk func(prefix []string, rest [][]string, yield func(string) bool) bool
	walk = func(prefix []string, rest [][]string, yield func(string) bool) bool {
		if len(rest) == 0 {
			return yield(strings.Join(prefix, "\x00"))
		}
		for _, v := range rest[0] {
			if !walk(append(slices.Clip(prefix), v), rest[1:], yield) {
				return false
			}
		}
		return true
	}
	return func(yield func(string) bool) { walk(nil, lists, yield) }
}

// texts are the values of a list; of an empty one, one that stands for any.
func texts[T any](list []T) []string {
	if len(list) == 0 {
		return []string{""}
	}
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprint(v))
	}
	return out
}
