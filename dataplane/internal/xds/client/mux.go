package client

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Config is what a Mux is made of.
type Config struct {
	Loop      *Loop
	Transport Transport
	// Type is the only type of a stream of one type; "" is ADS.
	Type  string
	Delta bool
	Node  *corev3.Node
	// NodeOnFirstOnly leaves the node out of all requests of a stream but the
	// first (set_node_on_first_message_only).
	NodeOnFirstOnly bool
	// BackOffBase and BackOffMax are the retry_policy; 0 is Envoy's default.
	BackOffBase, BackOffMax time.Duration
	// RateLimit is rate_limit_settings: a bucket of RateTokens filled with
	// RatePerSecond; without one there is no limit.
	RateLimit     bool
	RateTokens    uint32  // default 100
	RatePerSecond float64 // default 10
	Stats         *ControlPlaneStats
	Cache         *Cache // last good configuration; may be nil
	Rand          *rand.Rand
	Log           func(message string) // what an operator should know; may be nil
}

// protocol is what delta and state of the world do differently.
type protocol interface {
	// request makes the next request of a type on the current stream. It
	// returns nil when there is nothing to say.
	request(t *typeState) (message []byte, err error)
	// received parses a response, applies it and prepares the answer.
	received(message []byte) error
	// lost forgets what belonged to the stream.
	lost(t *typeState)
}

// Mux is the client's side of one control plane. All of it belongs to the
// loop.
type Mux struct {
	// Set at construction.
	cfg    Config
	proto  protocol
	method string

	types   map[string]*typeState
	order   []*typeState // in the order in which they are asked for
	stream  Stream
	gen     uint64 // of the stream; events of older ones are dropped
	first   bool   // nothing was sent on the stream yet
	back    backOff
	retry   *Timer
	limit   *bucket
	drain   *Timer // waits for a token
	queued  bool   // flush is posted
	started bool
	closed  bool
}

// typeState is everything about one type of resource.
type typeState struct {
	m       *Mux
	url     string
	rank    int
	whole   bool
	watches []*watch
	paused  int
	dirty   bool // a request is due

	// Of the stream.
	asked bool            // a request was sent
	nonce string          // state of the world: of the last response
	sent  map[string]bool // delta: what the server knows to be subscribed
	acks  []ack           // delta: answers to send, in order
	fault error           // state of the world: why the last response is refused

	version string // state of the world: the last accepted one
	known   map[string]*known
	settled bool // the disk was rid of what had gone while we were away
}

type ack struct {
	nonce string
	err   error
}

// known is a resource that is in force.
type known struct {
	version string
	expiry  *Timer
	// message is kept for types that are asked for by name: a control plane
	// need not send again what a second subscription asks for.
	message *anypb.Any
}

// New returns a Mux. The stream is opened by the first subscription, or by
// Start.
func New(c Config) (*Mux, error) {
	if c.Loop == nil || c.Transport == nil || c.Node == nil {
		return nil, errors.New("xds client needs a loop, a transport and a node")
	}
	m := &Mux{cfg: c, types: map[string]*typeState{}, method: adsStream}
	if c.Delta {
		m.method = adsDelta
	}
	if c.Type != "" {
		s, err := serviceOf(c.Type)
		if err != nil {
			return nil, err
		}
		if m.method = s.sotw; c.Delta {
			m.method = s.delta
		}
	}
	if m.cfg.Rand == nil {
		m.cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	m.back = backOff{base: cmp.Or(c.BackOffBase, DefaultBackOffBase), max: cmp.Or(c.BackOffMax, DefaultBackOffMax), rand: m.cfg.Rand}
	m.back.max = max(m.back.max, m.back.base)
	m.back.reset()
	if c.RateLimit {
		m.limit = newBucket(cmp.Or(c.RateTokens, 100), cmp.Or(c.RatePerSecond, 10), time.Now())
	}
	if m.proto = (&sotw{m}); c.Delta {
		m.proto = &delta{m}
	}
	m.cfg.Stats.setConnected(false)
	return m, nil
}

// Start opens the stream.
func (m *Mux) Start() {
	if !m.started && !m.closed {
		m.started = true
		m.open()
	}
}

// Close ends the stream and forgets the subscriptions. The cache stays.
func (m *Mux) Close() {
	if m.closed {
		return
	}
	m.closed = true
	m.gen++
	m.retry.Stop()
	m.drain.Stop()
	if m.stream != nil {
		m.stream.Close()
		m.stream = nil
		m.cfg.Stats.setConnected(false)
	}
	for _, t := range m.order {
		for _, k := range t.known {
			k.expiry.Stop()
		}
		for _, w := range t.watches {
			w.closed = true
			w.timer.Stop()
		}
	}
}

// Connected says whether there is a stream.
func (m *Mux) Connected() bool { return m.stream != nil }

// streamEvents brings what happens to one stream to the loop.
type streamEvents struct {
	m   *Mux
	gen uint64
}

func (e streamEvents) OnMessage(message []byte) {
	e.m.cfg.Loop.Post(func() {
		if e.gen == e.m.gen {
			e.m.onMessage(message)
		}
	})
}

func (e streamEvents) OnEnd(err error) {
	e.m.cfg.Loop.Post(func() {
		if e.gen == e.m.gen {
			e.m.onEnd(err)
		}
	})
}

func (m *Mux) open() {
	m.gen++
	m.first = true
	m.stream = m.cfg.Transport.Open(m.method, streamEvents{m, m.gen})
	m.cfg.Stats.setConnected(true)
	for _, t := range m.order {
		if len(t.watches) > 0 {
			t.dirty = true
		}
	}
	m.kick()
}

func (m *Mux) onMessage(message []byte) {
	m.back.reset()
	if err := m.proto.received(message); err != nil {
		m.log("xds response ignored: %v", err)
	}
	m.kick()
}

func (m *Mux) onEnd(err error) {
	m.gen++
	m.stream = nil
	m.cfg.Stats.setConnected(false)
	for _, t := range m.order {
		m.proto.lost(t)
		t.asked, t.nonce, t.fault, t.acks, t.sent, t.dirty = false, "", nil, nil, nil, false
		for _, w := range slices.Clone(t.watches) {
			w.onStreamLost()
		}
	}
	m.drain.Stop()
	m.cfg.Stats.setPending(0)
	d := m.back.delay()
	m.log("xds stream %s ended, next attempt in %v: %v", m.method, d.Round(time.Millisecond), err)
	m.retry = m.cfg.Loop.After(d, m.open)
}

func (m *Mux) log(format string, args ...any) {
	if m.cfg.Log != nil {
		m.cfg.Log(fmt.Sprintf(format, args...))
	}
}

// kick makes flush run after what the loop does now, so that the requests of
// one turn are put together.
func (m *Mux) kick() {
	if !m.queued && !m.closed {
		m.queued = true
		m.cfg.Loop.Post(m.flush)
	}
}

// flush sends the requests that are due, as far as the rate limit allows.
func (m *Mux) flush() {
	m.queued = false
	if m.stream == nil || m.closed {
		return
	}
	m.drain.Stop()
	waiting := 0
	for _, t := range m.order {
		for t.dirty && t.paused == 0 {
			if waiting > 0 {
				waiting++
				break
			}
			if wait := m.limit.take(time.Now()); wait > 0 {
				m.cfg.Stats.rateLimited()
				m.drain = m.cfg.Loop.After(wait, m.flush)
				waiting++
				break
			}
			m.send(t)
		}
	}
	m.cfg.Stats.setPending(waiting)
}

func (m *Mux) send(t *typeState) {
	message, err := m.proto.request(t)
	if err != nil {
		m.log("xds request for %s: %v", t.url, err)
		t.dirty = false
		return
	}
	if message == nil {
		if m.limit != nil {
			m.limit.tokens++ // nothing was sent
		}
		return
	}
	t.asked = true
	m.first = false
	m.stream.Send(message)
}

// node returns the node for the next request.
func (m *Mux) node() *corev3.Node {
	if m.first || !m.cfg.NodeOnFirstOnly {
		return m.cfg.Node
	}
	return nil
}

// Pause implements Source.
func (m *Mux) Pause(typeURL string) (resume func()) {
	t := m.types[typeURL]
	if t == nil {
		var err error
		if t, err = m.addType(typeURL); err != nil {
			return func() {}
		}
	}
	t.paused++
	done := false
	return func() {
		if done {
			return
		}
		done = true
		if t.paused--; t.paused == 0 {
			m.kick()
		}
	}
}

func (m *Mux) addType(url string) (*typeState, error) {
	s, err := serviceOf(url)
	if err != nil {
		return nil, err
	}
	if m.cfg.Type != "" && m.cfg.Type != url {
		return nil, fmt.Errorf("a stream of type %s cannot serve %s", m.cfg.Type, url)
	}
	t := &typeState{m: m, url: url, rank: s.rank, whole: s.wholeWorld, known: map[string]*known{}}
	m.types[url] = t
	i, _ := slices.BinarySearchFunc(m.order, s.rank, func(t *typeState, rank int) int { return cmp.Compare(t.rank, rank) })
	m.order = slices.Insert(m.order, i, t)
	return t, nil
}

// wanted returns the names that are subscribed, sorted, and whether a wildcard
// is.
func (t *typeState) wanted() (names []string, wildcard bool) {
	for _, w := range t.watches {
		if w.names == nil {
			wildcard = true
		}
		for n := range w.names {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), wildcard
}

// learn records accepted resources, their expiry and their copy on disk.
func (t *typeState) learn(r *Resource) {
	k := t.known[r.Name]
	if k == nil {
		k = new(known)
		t.known[r.Name] = k
	}
	k.version = r.Version
	if !t.whole {
		k.message = r.Message
	}
	t.renew(r.Name, k, r.TTL)
	c := *r
	if !t.m.cfg.Delta {
		c.Version = "" // of the response: it says nothing about the resource
	}
	t.m.cfg.Cache.store(t.url, &c)
}

func (t *typeState) renew(name string, k *known, ttl time.Duration) {
	k.expiry.Stop()
	k.expiry = nil
	if ttl > 0 {
		k.expiry = t.m.cfg.Loop.After(ttl, func() { t.expire(name) })
	}
}

// heartbeat handles a resource without content, which only extends its life.
func (t *typeState) heartbeat(name string, ttl time.Duration) {
	if k := t.known[name]; k != nil {
		t.renew(name, k, ttl)
	}
}

func (t *typeState) expire(name string) {
	t.m.log("xds resource %q of %s expired", name, t.url)
	t.forget(name)
	t.deliver(&Update{Version: t.version, Removed: []string{name}})
	t.m.kick()
}

func (t *typeState) forget(name string) {
	if k := t.known[name]; k != nil {
		k.expiry.Stop()
		delete(t.known, name)
	}
	t.m.cfg.Cache.remove(t.url, name)
}

// deliver gives an update to the subscriptions that it concerns and returns
// what they refuse. A wildcard hears of every update, also of an empty one; a
// subscription by name waits for its resource.
func (t *typeState) deliver(u *Update) []Rejected {
	var all []Rejected
	for _, w := range slices.Clone(t.watches) {
		if w.closed {
			continue
		}
		if mine := w.part(u); w.names == nil || len(mine.Added)+len(mine.Removed) > 0 {
			all = append(all, w.update(mine)...)
		}
	}
	return all
}

// refuse counts a response that is refused before any handler sees it.
func (t *typeState) refuse() {
	for _, w := range t.watches {
		w.stats.rejected()
	}
}
