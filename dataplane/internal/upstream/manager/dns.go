package manager

import (
	"net/netip"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// dnsSource resolves the names of a STRICT_DNS or LOGICAL_DNS cluster, again
// and again. A failed look-up keeps what was there.
type dnsSource struct {
	c       *cluster
	targets []*dnsTarget
	stopped bool
}

// dnsTarget is one name of the cluster.
type dnsTarget struct {
	s        *dnsSource
	endpoint *config.Endpoint
	locality *config.LocalityEndpoints
	addrs    []string
	resolved bool // or tried once
	cancel   func()
	failures int
}

func (s *dnsSource) start() {
	a := s.c.cfg.Assignment
	s.c.assign = a
	if a == nil {
		s.c.setHosts(nil, false)
		return
	}
	for i := range a.Localities {
		l := &a.Localities[i]
		for j := range l.Endpoints {
			s.targets = append(s.targets, &dnsTarget{s: s, endpoint: &l.Endpoints[j], locality: l})
		}
	}
	if len(s.targets) == 0 {
		s.c.setHosts(nil, false)
	}
	for _, t := range s.targets {
		t.resolve()
	}
}

func (s *dnsSource) stop() {
	s.stopped = true
	for _, t := range s.targets {
		if t.cancel != nil {
			t.cancel()
		}
	}
}

func (t *dnsTarget) resolve() {
	t.cancel = nil
	if t.endpoint.Host == "" { // an address already
		t.addrs, t.resolved = []string{t.endpoint.Address.IP().String()}, true
		t.s.update()
		return
	}
	if ip, err := netip.ParseAddr(t.endpoint.Host); err == nil {
		t.addrs, t.resolved = []string{ip.String()}, true
		t.s.update()
		return
	}
	t.s.c.count(upstream.UpdateAttempt)
	t.s.c.m.cfg.Resolve.Resolve(t.endpoint.Host, t.s.c.cfg.DNS.Family, t.done)
}

// done takes a look-up's result over and plans the next.
func (t *dnsTarget) done(addrs []string, ttl time.Duration, err error) {
	if t.s.stopped {
		return
	}
	c := t.s.c
	d := &c.cfg.DNS
	next := d.RefreshRate
	t.resolved = true
	switch {
	case err != nil:
		c.count(upstream.UpdateFailure)
		t.failures++
		if d.FailureBase > 0 {
			next = min(d.FailureBase<<min(t.failures-1, 20), max(d.FailureMax, d.FailureBase))
		}
	default:
		c.count(upstream.UpdateSuccess)
		t.failures = 0
		if len(addrs) == 0 {
			c.count(upstream.UpdateEmpty)
		}
		if d.RespectTTL && ttl > 0 {
			next = ttl
		}
		if equal(t.addrs, addrs) {
			c.count(upstream.UpdateNoRebuild)
		}
		t.addrs = addrs
	}
	if d.Jitter > 0 {
		next += time.Duration(c.m.cfg.Random() % uint64(d.Jitter))
	}
	t.cancel = c.m.cfg.After(max(next, time.Millisecond), t.resolve)
	t.s.update()
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	seen := map[string]int{}
	for _, x := range a {
		seen[x]++
	}
	for _, x := range b {
		if seen[x]--; seen[x] < 0 {
			return false
		}
	}
	return true
}

// update makes the addresses that are resolved so far the hosts of the cluster:
// as in Envoy, the first name that was tried makes the cluster ready.
func (s *dnsSource) update() {
	var next []*placed
	changed := false
	for _, t := range s.targets {
		if !t.resolved {
			continue
		}
		addrs := t.addrs
		if s.c.cfg.Discovery == config.LogicalDNS && len(addrs) > 1 {
			addrs = addrs[:1]
		}
		for _, a := range addrs {
			ip, err := netip.ParseAddr(a)
			if err != nil {
				continue
			}
			e := *t.endpoint
			e.Address = address.FromIP(netip.AddrPortFrom(ip, t.port()))
			if e.Hostname == "" {
				e.Hostname = t.endpoint.Host
			}
			p, different := s.c.place(&e, t.locality)
			changed = changed || different
			next = append(next, p)
		}
	}
	s.c.setHosts(next, changed)
}

func (t *dnsTarget) port() uint16 {
	if t.endpoint.Host == "" {
		return t.endpoint.Address.Port()
	}
	return t.endpoint.Port
}
