package listener

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// matcher picks filter chains in Envoy's order: destination port, destination
// address, server name, transport protocol, application protocol, directly
// connected source, source type, source address, source port. Each step keeps
// the chains with the most specific criterion that fits, and there is no way
// back: a chain that fails a later step is not replaced by a less specific one.
// Source: envoy.config.listener.v3.FilterChainMatch.
type matcher struct {
	chains []*chain
	def    *chain
	only   *chain // the one chain without criteria, when there is no other
}

// newMatcher refuses chains whose criteria overlap.
func newMatcher(chains []*chain, def *chain) (*matcher, error) {
	seen := map[string]string{}
	for _, c := range chains {
		for _, key := range criteria(&c.config.Match) {
			if other, ok := seen[key]; ok {
				return nil, fmt.Errorf("filter chain '%s' has the same matching rules defined as '%s'", c.config.Name, other)
			}
			seen[key] = c.config.Name
		}
	}
	m := &matcher{chains: chains, def: def}
	if len(chains) == 1 && len(criteria(&chains[0].config.Match)) == 1 && criteria(&chains[0].config.Match)[0] == criteria(&config.FilterChainMatch{})[0] {
		m.only = chains[0]
	}
	return m, nil
}

// criteria lists every single combination that a match stands for, as texts.
func criteria(m *config.FilterChainMatch) []string {
	keys := []string{fmt.Sprint(m.DestinationPort, "/", m.TransportProtocol, "/", m.SourceType)}
	cross := func(values []string) {
		if len(values) == 0 {
			values = []string{"*"}
		}
		var next []string
		for _, k := range keys {
			for _, v := range values {
				next = append(next, k+"|"+v)
			}
		}
		keys = next
	}
	cross(texts(m.Destination))
	lower := make([]string, 0, len(m.ServerNames))
	for _, n := range m.ServerNames {
		lower = append(lower, strings.ToLower(n))
	}
	cross(lower)
	cross(m.ApplicationProtocol)
	cross(texts(m.DirectSource))
	cross(texts(m.Source))
	ports := make([]string, 0, len(m.SourcePorts))
	for _, p := range m.SourcePorts {
		ports = append(ports, fmt.Sprint(p))
	}
	cross(ports)
	sort.Strings(keys)
	return keys
}

func texts(prefixes []netip.Prefix) []string {
	out := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, p.Masked().String())
	}
	return out
}

// find returns the chain for a connection, or nil. scratch is reused.
func (m *matcher) find(info *network.Info, scratch []*chain) *chain {
	if m.only != nil {
		return m.only
	}
	c := append(scratch[:0], m.chains...)
	name := strings.ToLower(info.ServerName)
	for _, step := range [...]func(*config.FilterChainMatch) int{
		func(f *config.FilterChainMatch) int { return exactPort(f.DestinationPort, info.Local) },
		func(f *config.FilterChainMatch) int { return longestPrefix(f.Destination, info.Local) },
		func(f *config.FilterChainMatch) int { return serverName(f.ServerNames, name) },
		func(f *config.FilterChainMatch) int { return exact(f.TransportProtocol, info.TransportProtocol) },
		func(f *config.FilterChainMatch) int {
			return anyOf(f.ApplicationProtocol, info.OfferedProtocols)
		},
		func(f *config.FilterChainMatch) int { return longestPrefix(f.DirectSource, info.DirectRemote) },
		func(f *config.FilterChainMatch) int { return sourceType(f.SourceType, info) },
		func(f *config.FilterChainMatch) int { return longestPrefix(f.Source, info.Remote) },
		func(f *config.FilterChainMatch) int { return sourcePort(f.SourcePorts, info.Remote) },
	} {
		c = keepBest(c, step)
		if len(c) == 0 {
			return m.def
		}
	}
	return c[0]
}

// keepBest keeps the chains with the highest score; a negative one is out.
func keepBest(c []*chain, score func(*config.FilterChainMatch) int) []*chain {
	best := -1
	k := 0
	for _, x := range c {
		s := score(&x.config.Match)
		if s < 0 || s < best {
			continue
		}
		if s > best {
			best, k = s, 0
		}
		c[k] = x
		k++
	}
	return c[:k]
}

func exactPort(want uint32, a address.Address) int {
	switch {
	case want == 0:
		return 0
	case a.IsIP() && uint32(a.Port()) == want:
		return 1
	}
	return -1
}

// longestPrefix is one more than the length of the longest prefix that
// contains the address, 0 without prefixes.
func longestPrefix(prefixes []netip.Prefix, a address.Address) int {
	if len(prefixes) == 0 {
		return 0
	}
	best := -1
	for _, p := range prefixes {
		if a.IsIP() && p.Contains(a.IP()) && p.Bits()+1 > best {
			best = p.Bits() + 1
		}
	}
	return best
}

// serverName prefers an exact name, then the longest wildcard.
func serverName(names []string, name string) int {
	if len(names) == 0 {
		return 0
	}
	best := -1
	for _, n := range names {
		n = strings.ToLower(n)
		if n == name && name != "" {
			return 1 << 20
		}
		if rest, ok := strings.CutPrefix(n, "*"); ok && len(name) > len(rest) && strings.HasSuffix(name, rest) {
			best = max(best, len(rest)+1)
		}
	}
	return best
}

func exact(want, got string) int {
	switch want {
	case "":
		return 0
	case got:
		return 1
	}
	return -1
}

func anyOf(want, got []string) int {
	if len(want) == 0 {
		return 0
	}
	for i, g := range got { // the client's order decides
		if slices.Contains(want, g) {
			return 1 + len(got) - i
		}
	}
	return -1
}

func sourceType(t config.SourceType, info *network.Info) int {
	if t == config.SourceAny {
		return 0
	}
	local := !info.Remote.IsIP() || info.Remote.IP().IsLoopback() || info.Remote.IP() == info.Local.IP()
	if local == (t == config.SourceSameIPOrLoopback) {
		return 1
	}
	return -1
}

func sourcePort(ports []uint32, a address.Address) int {
	if len(ports) == 0 {
		return 0
	}
	if a.IsIP() && slices.Contains(ports, uint32(a.Port())) {
		return 1
	}
	return -1
}
