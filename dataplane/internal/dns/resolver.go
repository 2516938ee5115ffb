// Package dns resolves host names for clusters: the hosts file first, then the
// name servers of resolv.conf or those that are configured, A and AAAA by
// family, with the records' time to live. Look-ups run on goroutines; results
// are handed to the control goroutine.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
)

const (
	// queryTimeout is how long one name server may take.
	queryTimeout = 5 * time.Second
	// attempts is how often each is asked.
	attempts = 2
)

// Resolver looks names up. It implements manager.Resolver.
type Resolver struct {
	post    func(func())
	hosts   string // path of the hosts file
	conf    string // path of resolv.conf
	servers []string
	search  bool
	useTCP  bool
}

// Options of a Resolver.
type Options struct {
	// Post runs a function on the control goroutine.
	Post func(func())
	// Servers are "host:port"; empty: those of resolv.conf.
	Servers []string
	// NoSearch looks names up as they are, without resolv.conf's search list.
	NoSearch bool
	UseTCP   bool
	// HostsFile and ResolvConf default to /etc/hosts and /etc/resolv.conf.
	HostsFile, ResolvConf string
}

// New returns a resolver.
func New(o Options) *Resolver {
	r := &Resolver{post: o.Post, hosts: o.HostsFile, conf: o.ResolvConf, servers: o.Servers, search: !o.NoSearch, useTCP: o.UseTCP}
	if r.hosts == "" {
		r.hosts = "/etc/hosts"
	}
	if r.conf == "" {
		r.conf = "/etc/resolv.conf"
	}
	return r
}

// Resolve implements manager.Resolver.
func (r *Resolver) Resolve(host string, family config.DNSFamily, done func(addrs []string, ttl time.Duration, err error)) {
	go func() {
		addrs, ttl, err := r.Lookup(context.Background(), host, family)
		r.post(func() { done(addrs, ttl, err) })
	}()
}

// Lookup resolves one name, waiting for the answer.
func (r *Resolver) Lookup(ctx context.Context, host string, family config.DNSFamily) ([]string, time.Duration, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.String()}, 0, nil
	}
	v4, v6 := wanted(family)
	if a4, a6 := r.fromHosts(host); len(a4)+len(a6) > 0 {
		return choose(family, a4, a6), 0, nil
	}
	servers, names, err := r.plan(host)
	if err != nil {
		return nil, 0, err
	}
	var last error
	for _, n := range names {
		a4, a6, ttl, err := r.query(ctx, servers, n, v4, v6)
		if err == nil && len(a4)+len(a6) > 0 {
			return choose(family, a4, a6), ttl, nil
		}
		if err != nil {
			last = err
		}
	}
	if last != nil {
		return nil, 0, last
	}
	return nil, 0, nil // the name exists without addresses, or does not exist
}

func wanted(f config.DNSFamily) (v4, v6 bool) {
	return f != config.DNSV6Only, f != config.DNSV4Only
}

// choose orders the addresses by family (dns_lookup_family).
func choose(f config.DNSFamily, a4, a6 []string) []string {
	switch f {
	case config.DNSV4Only:
		return a4
	case config.DNSV6Only:
		return a6
	case config.DNSAll:
		return append(slices.Clone(a4), a6...)
	case config.DNSV4Preferred:
		if len(a4) > 0 {
			return a4
		}
		return a6
	}
	if len(a6) > 0 {
		return a6
	}
	return a4
}

// fromHosts reads the hosts file; it is small, and may change.
func (r *Resolver) fromHosts(host string) (a4, a6 []string) {
	b, err := os.ReadFile(r.hosts)
	if err != nil {
		b = nil
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 || !slices.ContainsFunc(f[1:], func(n string) bool { return strings.EqualFold(n, host) }) {
			continue
		}
		if ip, err := netip.ParseAddr(f[0]); err == nil {
			if ip.Is4() {
				a4 = append(a4, ip.String())
			} else {
				a6 = append(a6, ip.String())
			}
		}
	}
	if len(a4)+len(a6) == 0 && strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return []string{"127.0.0.1"}, []string{"::1"} // RFC 6761 section 6.3
	}
	return a4, a6
}

// plan returns whom to ask, for which names.
func (r *Resolver) plan(host string) (servers, names []string, err error) {
	names = []string{dns.Fqdn(host)}
	conf, err := dns.ClientConfigFromFile(r.conf)
	if err != nil {
		if len(r.servers) == 0 {
			return nil, nil, fmt.Errorf("%s: %w", r.conf, err)
		}
		return r.servers, names, nil
	}
	servers = r.servers
	if len(servers) == 0 {
		for _, s := range conf.Servers {
			servers = append(servers, net.JoinHostPort(s, conf.Port))
		}
	}
	if len(servers) == 0 {
		return nil, nil, errors.New("no name server is configured")
	}
	if r.search && !strings.HasSuffix(host, ".") {
		names = conf.NameList(host)
	}
	return servers, names, nil
}

// query asks for the addresses of one name.
func (r *Resolver) query(ctx context.Context, servers []string, name string, v4, v6 bool) (a4, a6 []string, ttl time.Duration, err error) {
	type answer struct {
		rrs []dns.RR
		err error
	}
	ask := func(t uint16, on bool) chan answer {
		ch := make(chan answer, 1)
		if !on {
			ch <- answer{}
			return ch
		}
		go func() {
			rrs, err := r.exchange(ctx, servers, name, t)
			ch <- answer{rrs, err}
		}()
		return ch
	}
	c4, c6 := ask(dns.TypeA, v4), ask(dns.TypeAAAA, v6)
	r4, r6 := <-c4, <-c6
	least := uint32(0)
	for _, rr := range append(r4.rrs, r6.rrs...) {
		switch rr := rr.(type) {
		case *dns.A:
			a4 = append(a4, rr.A.String())
		case *dns.AAAA:
			a6 = append(a6, rr.AAAA.String())
		default:
			continue
		}
		if t := rr.Header().Ttl; least == 0 || t < least {
			least = t
		}
	}
	if len(a4)+len(a6) == 0 {
		err = errors.Join(r4.err, r6.err)
	}
	return a4, a6, time.Duration(least) * time.Second, err
}

func (r *Resolver) exchange(ctx context.Context, servers []string, name string, t uint16) ([]dns.RR, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, t)
	c := &dns.Client{Timeout: queryTimeout}
	if r.useTCP {
		c.Net = "tcp"
	}
	var last error
	for range attempts {
		for _, s := range servers {
			in, _, err := c.ExchangeContext(ctx, m, s)
			if err == nil && in.Truncated && c.Net == "" {
				in, _, err = (&dns.Client{Net: "tcp", Timeout: queryTimeout}).ExchangeContext(ctx, m, s)
			}
			switch {
			case err != nil:
				last = fmt.Errorf("name server %s: %w", s, err)
			case in.Rcode == dns.RcodeSuccess, in.Rcode == dns.RcodeNameError:
				return in.Answer, nil
			default:
				last = fmt.Errorf("name server %s: %s", s, dns.RcodeToString[in.Rcode])
			}
		}
	}
	return nil, last
}
