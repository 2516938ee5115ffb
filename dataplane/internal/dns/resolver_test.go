package dns

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
)

// serve answers from a fixed zone and returns the server's address.
func serve(t *testing.T, zone map[string][]string) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name := q.Question[0].Name
		records, known := zone[name]
		if !known {
			m.Rcode = dns.RcodeNameError
		}
		for _, r := range records {
			rr, err := dns.NewRR(name + " " + r)
			if err != nil {
				t.Error(err)
			}
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return pc.LocalAddr().String()
}

func TestLookup(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("10.0.0.9 inside # comment\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := serve(t, map[string][]string{
		"both.test.": {"30 IN A 10.0.0.1", "20 IN A 10.0.0.2", "60 IN AAAA 2001:db8::1"},
		"four.test.": {"60 IN A 10.0.0.3"},
	})
	r := New(Options{Servers: []string{server}, NoSearch: true, HostsFile: hosts, ResolvConf: filepath.Join(t.TempDir(), "none")})
	for _, c := range []struct {
		name   string
		family config.DNSFamily
		want   []string
		ttl    time.Duration
	}{
		{"both.test", config.DNSAuto, []string{"2001:db8::1"}, 20 * time.Second},
		{"both.test", config.DNSV4Only, []string{"10.0.0.1", "10.0.0.2"}, 20 * time.Second},
		{"both.test", config.DNSV4Preferred, []string{"10.0.0.1", "10.0.0.2"}, 20 * time.Second},
		{"both.test", config.DNSAll, []string{"10.0.0.1", "10.0.0.2", "2001:db8::1"}, 20 * time.Second},
		{"four.test", config.DNSAuto, []string{"10.0.0.3"}, time.Minute},
		{"inside", config.DNSAuto, []string{"10.0.0.9"}, 0},
		{"localhost", config.DNSV4Only, []string{"127.0.0.1"}, 0},
		{"192.0.2.7", config.DNSAuto, []string{"192.0.2.7"}, 0},
		{"nobody.test", config.DNSAuto, nil, 0},
	} {
		got, ttl, err := r.Lookup(context.Background(), c.name, c.family)
		if err != nil || !reflect.DeepEqual(got, c.want) || ttl != c.ttl {
			t.Errorf("%s family %d: %v %v %v", c.name, c.family, got, ttl, err)
		}
	}
	dead := New(Options{Servers: []string{"127.0.0.1:1"}, NoSearch: true, HostsFile: hosts, ResolvConf: "/none"})
	if _, _, err := dead.Lookup(context.Background(), "x.test", config.DNSAuto); err == nil {
		t.Error("a dead name server gave no error")
	}
}
