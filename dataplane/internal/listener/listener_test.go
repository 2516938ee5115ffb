package listener

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/event/sim"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
)

func ip(s string) address.Address { return address.FromIP(netip.MustParseAddrPort(s)) }

func TestMatchOrder(t *testing.T) {
	chains := func(ms map[string]config.FilterChainMatch) []*chain {
		var out []*chain
		for _, n := range []string{"a", "b", "c", "d", "e"} {
			if m, ok := ms[n]; ok {
				out = append(out, &chain{config: &config.FilterChain{Name: n, Match: m}})
			}
		}
		return out
	}
	info := network.Info{
		Local: ip("10.1.2.3:443"), Remote: ip("10.9.9.9:5000"), DirectRemote: ip("10.9.9.9:5000"),
		ServerName: "www.Example.com", TransportProtocol: "tls", OfferedProtocols: []string{"h2", "http/1.1"},
	}
	for name, c := range map[string]struct {
		ms   map[string]config.FilterChainMatch
		want string
	}{
		"most specific name": {map[string]config.FilterChainMatch{
			"a": {}, "b": {ServerNames: []string{"*.com"}}, "c": {ServerNames: []string{"*.example.com"}}, "d": {ServerNames: []string{"example.com"}},
		}, "c"},
		"exact name": {map[string]config.FilterChainMatch{"b": {ServerNames: []string{"*.example.com"}}, "c": {ServerNames: []string{"www.example.com"}}}, "c"},
		"port first, and no way back": {map[string]config.FilterChainMatch{
			"a": {DestinationPort: 443, ServerNames: []string{"other"}}, "b": {ServerNames: []string{"www.example.com"}},
		}, "default"},
		"longest prefix": {map[string]config.FilterChainMatch{
			"a": {Destination: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "b": {Destination: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
		}, "b"},
		"client's protocol order": {map[string]config.FilterChainMatch{
			"a": {ApplicationProtocol: []string{"http/1.1"}}, "b": {ApplicationProtocol: []string{"h2"}},
		}, "b"},
		"external source": {map[string]config.FilterChainMatch{"a": {SourceType: config.SourceSameIPOrLoopback}, "b": {SourceType: config.SourceExternal}}, "b"},
		"source port":     {map[string]config.FilterChainMatch{"a": {SourcePorts: []uint32{1, 5000}}, "b": {}}, "a"},
		"nothing":         {map[string]config.FilterChainMatch{"a": {TransportProtocol: "raw_buffer"}}, "default"},
	} {
		m, err := newMatcher(chains(c.ms), &chain{config: &config.FilterChain{Name: "default"}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := m.find(&info, nil); got.config.Name != c.want {
			t.Errorf("%s: %s, want %s", name, got.config.Name, c.want)
		}
	}
	_, err := newMatcher(chains(map[string]config.FilterChainMatch{
		"a": {ServerNames: []string{"x", "y"}}, "b": {ServerNames: []string{"Y"}},
	}), nil)
	if err == nil || !strings.Contains(err.Error(), "filter chain 'b' has the same matching rules defined as 'a'") {
		t.Errorf("overlap: %v", err)
	}
}

// greeter is a network filter that says its name and keeps the connection.
type greeter struct {
	name string
	cb   network.ReadCallbacks
}

func (g *greeter) AddFilters(m network.FilterManager) { m.AddReadFilter(&greeter{name: g.name}) }
func (g *greeter) InitRead(cb network.ReadCallbacks)  { g.cb = cb }
func (g *greeter) OnNewConnection() network.FilterStatus {
	b := buffer.New(nil)
	b.WriteString(g.name)
	g.cb.Connection().Write(b, false)
	return network.Continue
}
func (g *greeter) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	b.Drain(b.Len())
	return network.StopIteration
}

// client connects and records what it reads.
type client struct {
	c   *network.Conn
	got string
	end bool
}

func (c *client) InitRead(network.ReadCallbacks)        {}
func (c *client) OnNewConnection() network.FilterStatus { return network.Continue }
func (c *client) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	c.got += b.String()
	b.Drain(b.Len())
	return network.StopIteration
}
func (c *client) OnEvent(e network.Event) { c.end = c.end || e != network.Connected }
func (c *client) OnAboveHighWatermark()   {}
func (c *client) OnBelowLowWatermark()    {}

type fixture struct {
	t      *testing.T
	k      *sim.Kernel
	m      *Manager
	client *event.Worker
	after  []func()
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, k: sim.New(1)}
	w := f.k.NewWorker()
	f.client = f.k.NewWorker()
	f.m = NewManager(Config{
		Workers: []*event.Worker{w}, System: f.k, Stats: f.k.Store, Now: f.k.Clock.Now,
		After: func(_ time.Duration, fn func()) { f.after = append(f.after, fn) }, DrainTime: time.Minute,
	})
	f.m.Start()
	return f
}

func (f *fixture) dial() *client {
	c := &client{}
	conn, err := network.Connect(f.client, f.m.Snapshot()[0].Bound[0], event.ConnectOptions{}, network.Options{Transport: &transport.Raw{}})
	if err != nil {
		f.t.Fatal(err)
	}
	c.c = conn
	conn.AddEvents(c)
	conn.AddReadFilter(c)
	f.k.Run(1000)
	return c
}

func listenerConfig(hash uint64, chains ...*config.FilterChain) *config.Listener {
	return &config.Listener{Name: "l", StatPrefix: "l", Address: ip("127.0.0.1:0"), ReusePort: true, BindToPort: true, Hash: hash, FilterChains: chains}
}

func chainConfig(name string, hash uint64) *config.FilterChain {
	return &config.FilterChain{Name: name, Hash: hash, Transport: transport.RawFactory{}, Filters: []config.NetworkFilter{{Name: name, Factory: &greeter{name: name}}}}
}

func (f *fixture) stat(name string) uint64 {
	for _, s := range f.k.Store.Read() {
		if s.Name == name {
			return s.Value
		}
	}
	f.t.Fatalf("no statistic %s", name)
	return 0
}

// TestUpdateKeepsSocketsAndConnections replaces a chain: the socket stays, the
// old connection is asked to drain and closed at the end of the drain time.
func TestUpdateKeepsSocketsAndConnections(t *testing.T) {
	f := newFixture(t)
	if err := f.m.Update(listenerConfig(1, chainConfig("one", 1))); err != nil {
		t.Fatal(err)
	}
	bound := f.m.Snapshot()[0].Bound[0]
	a := f.dial()
	if a.got != "one" {
		t.Fatalf("%q", a.got)
	}
	if err := f.m.Update(listenerConfig(2, chainConfig("two", 2))); err != nil {
		t.Fatal(err)
	}
	f.k.Run(1000)
	if f.m.Snapshot()[0].Bound[0] != bound {
		t.Error("the socket was not kept")
	}
	b := f.dial()
	if b.got != "two" || a.end {
		t.Fatalf("%q, old connection ended: %v", b.got, a.end)
	}
	if err := f.m.Update(listenerConfig(3, chainConfig("two", 2), &config.FilterChain{Name: "x", Hash: 9, Match: config.FilterChainMatch{DestinationPort: 1}, Transport: transport.RawFactory{}})); err != nil {
		t.Fatal(err)
	}
	f.k.Run(1000)
	for _, fn := range f.after {
		fn()
	}
	f.k.Run(1000)
	if !a.end || b.end {
		t.Errorf("after the drain: replaced chain's connection ended %v, kept chain's %v", a.end, b.end)
	}
	if f.stat("listener.l.downstream_cx_total") != 2 || f.stat("listener.l.downstream_cx_active") != 1 || f.stat("listener_manager.listener_modified") != 2 {
		t.Error("statistics")
	}
}

func TestRemoveAndLimits(t *testing.T) {
	f := newFixture(t)
	c := listenerConfig(1, chainConfig("one", 1))
	c.MaxConnections = 1
	if err := f.m.Update(c); err != nil {
		t.Fatal(err)
	}
	a, b := f.dial(), f.dial()
	if a.got != "one" || !b.end || f.stat("listener.l.downstream_cx_overflow") != 1 {
		t.Errorf("%q, second ended %v", a.got, b.end)
	}
	a.c.Close(network.CloseNow, "")
	f.k.Run(100)
	if c := f.dial(); c.got != "one" {
		t.Error("the limit does not give back")
	}
	bound := f.m.Snapshot()[0].Bound[0]
	if !f.m.Remove("l") || f.m.Remove("l") {
		t.Error("remove")
	}
	f.k.Run(100)
	if _, err := f.k.Listen(bound, event.ListenOptions{}); err != nil {
		t.Errorf("the address is still bound: %v", err)
	}
}

func TestBindErrorChangesNothing(t *testing.T) {
	f := newFixture(t)
	taken, err := f.k.Listen(ip("127.0.0.1:7777"), event.ListenOptions{})
	if err != nil || taken < 0 {
		t.Fatal(err)
	}
	c := listenerConfig(1, chainConfig("one", 1))
	c.Address = ip("127.0.0.1:7777")
	if err := f.m.Update(c); err == nil || err.Error() != "error adding listener 'l': cannot bind '127.0.0.1:7777': Address already in use" {
		t.Errorf("%v", err)
	}
	if len(f.m.Snapshot()) != 0 || f.stat("listener_manager.listener_create_failure") != 1 {
		t.Error("a failed listener is there")
	}
}

// sniffer is a listener filter that waits for four bytes.
type sniffer struct{}

func (sniffer) NewFilter(*event.Worker) Filter  { return sniffer{} }
func (sniffer) OnAccept(*Accepted) FilterStatus { return FilterWait }
func (sniffer) MaxBytes() int                   { return 4 }
func (sniffer) OnData(a *Accepted, p []byte, end bool) FilterStatus {
	if len(p) < 4 {
		if end {
			return FilterClose
		}
		return FilterWait
	}
	a.Info.ServerName = string(p)
	return FilterContinue
}

func TestListenerFilters(t *testing.T) {
	f := newFixture(t)
	named := chainConfig("named", 1)
	named.Match.ServerNames = []string{"abcd"}
	c := listenerConfig(1, named)
	c.DefaultChain = chainConfig("default", 2)
	c.ListenerFilters = []config.ListenerFilter{{Name: "sniffer", Factory: sniffer{}}}
	c.InspectTimeout = time.Second
	if err := f.m.Update(c); err != nil {
		t.Fatal(err)
	}
	send := func(c *client, s string) {
		b := buffer.New(nil)
		b.WriteString(s)
		c.c.Write(b, false)
		f.k.Run(1000)
	}
	a := f.dial()
	send(a, "ab")
	if a.got != "" {
		t.Fatal("decided too early")
	}
	send(a, "cdrest")
	b := f.dial()
	send(b, "wxyz")
	if a.got != "named" || b.got != "default" {
		t.Errorf("%q %q", a.got, b.got)
	}
	slow := f.dial()
	f.k.Advance(2 * time.Second)
	gone := f.dial()
	gone.c.Close(network.CloseNow, "")
	f.k.Run(1000)
	if !slow.end || f.stat("listener.l.downstream_pre_cx_timeout") != 1 || f.stat("listener.l.downstream_listener_filter_remote_close") != 1 || f.stat("listener.l.downstream_pre_cx_active") != 0 {
		t.Errorf("slow ended %v", slow.end)
	}
}
