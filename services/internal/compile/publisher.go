package compile

import (
	"maps"
	"sync"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// Publisher keeps a Mesh and hands its views to streams. It implements
// xdsserver.Source.
type Publisher struct {
	current atomic.Pointer[published]

	mu   sync.Mutex // for mesh, and to publish; not taken to read a view
	mesh *Mesh
	// loaded says that the mesh has been read at least once.
	loaded bool
	onFail func(error)
}

// published is immutable but for its replacement.
type published struct {
	mentions *mentions
	views    map[Class]*xdsserver.View // nil: nothing is known yet
	next     chan struct{}
}

// NewPublisher makes one without views: streams wait. onFail is told of
// resources that cannot be compiled.
func NewPublisher(options Options, onFail func(error)) *Publisher {
	p := &Publisher{mesh: New(options), onFail: onFail}
	p.current.Store(&published{mentions: p.mesh.mentions, next: make(chan struct{})})
	return p
}

// View implements xdsserver.Source.
func (p *Publisher) View(node *corev3.Node) (*xdsserver.View, <-chan struct{}) {
	now := p.current.Load()
	if now.views == nil {
		return nil, now.next
	}
	c := now.mentions.class(node)
	if v := now.views[c]; v != nil {
		return v, now.next
	}
	return p.first(node)
}

// first compiles for a class that nobody was of before.
func (p *Publisher) first(node *corev3.Node) (*xdsserver.View, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.current.Load()
	c := now.mentions.class(node)
	if v := now.views[c]; v != nil {
		return v, now.next
	}
	v, err := p.mesh.View(c)
	if err != nil {
		p.onFail(err)
	}
	// Nobody else is concerned: the channel stays.
	views := maps.Clone(now.views)
	views[c] = v
	p.current.Store(&published{mentions: now.mentions, views: views, next: now.next})
	return v, now.next
}

// Apply takes the changes of the next revision.
func (p *Publisher) Apply(revision int64, changes []Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.mesh.Apply(revision, changes); err != nil {
		p.onFail(err)
	}
	p.publish()
}

// Reset takes the whole mesh.
func (p *Publisher) Reset(revision int64, all []*configv1.Resource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.mesh.Reset(revision, all); err != nil {
		p.onFail(err)
	}
	p.loaded = true
	p.publish()
}

func (p *Publisher) publish() {
	if !p.loaded {
		return
	}
	before := p.current.Load()
	views := make(map[Class]*xdsserver.View, len(p.mesh.classes))
	for c, state := range p.mesh.classes {
		views[c] = state.view
	}
	p.current.Store(&published{mentions: p.mesh.mentions, views: views, next: make(chan struct{})})
	close(before.next)
}

// Resources counts what the classes have, by type URL, the largest of each.
func (p *Publisher) Resources() map[string]int {
	count := map[string]int{}
	for _, v := range p.current.Load().views {
		for url, t := range v.Tables {
			count[url] = max(count[url], t.Len())
		}
	}
	return count
}
