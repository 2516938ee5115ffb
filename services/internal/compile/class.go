package compile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// Metadata fields of a node that tell its class.
const (
	ModeMetadata      = "hawser.dev/mode" // "sidecar"
	NamespaceMetadata = "hawser.dev/namespace"
)

// Class is a set of clients that are to have the same.
type Class struct {
	// Cluster and ID are node.cluster and node.id where some resource selects
	// by them, else empty.
	Cluster, ID string
	Sidecar     bool
	// Namespace of a sidecar, if there are services in it.
	Namespace string
	GRPC      bool
}

// audience is who gets a resource.
type audience struct {
	clusters, ids []string // empty: all
	grpc          reach
}

type reach uint8

const (
	everyone reach = iota
	onlyGRPC
	notGRPC
)

func (a audience) has(c Class) bool {
	return (len(a.clusters) == 0 || slices.Contains(a.clusters, c.Cluster)) &&
		(len(a.ids) == 0 || slices.Contains(a.ids, c.ID)) &&
		(a.grpc == everyone || (a.grpc == onlyGRPC) == c.GRPC)
}

// mentions is what resources select by. It is immutable.
type mentions struct {
	sidecars, clusters, ids, namespaces map[string]bool
}

func newMentions(o Options, m *Mesh) *mentions {
	n := &mentions{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, c := range o.SidecarClusters {
		n.sidecars[c] = true
	}
	if m == nil {
		return n
	}
	for _, g := range m.gateways {
		for _, c := range g.clusters {
			n.clusters[c] = true
		}
	}
	for _, r := range m.raw {
		for _, c := range r.spec.GetProxies().GetClusters() {
			n.clusters[c] = true
		}
		for _, id := range r.spec.GetProxies().GetIds() {
			n.ids[id] = true
		}
	}
	for ns := range m.byNS {
		n.namespaces[ns] = true
	}
	return n
}

func mentioned(set map[string]bool, name string) string {
	if set[name] {
		return name
	}
	return ""
}

// class tells a node's class.
func (n *mentions) class(node *corev3.Node) Class {
	c := Class{
		Cluster: mentioned(n.clusters, node.GetCluster()), ID: mentioned(n.ids, node.GetId()),
		GRPC: strings.HasPrefix(node.GetUserAgentName(), "gRPC"),
	}
	if c.GRPC {
		return c
	}
	fields := node.GetMetadata().GetFields()
	c.Sidecar = n.sidecars[node.GetCluster()] || fields[ModeMetadata].GetStringValue() == "sidecar"
	if c.Sidecar {
		ns := fields[NamespaceMetadata].GetStringValue()
		if ns == "" {
			ns = resource.DefaultNamespace
		}
		c.Namespace = mentioned(n.namespaces, ns)
	}
	return c
}

// has tells whether some node can have the class.
func (n *mentions) has(c Class) bool {
	return (c.Cluster == "" || n.clusters[c.Cluster]) && (c.ID == "" || n.ids[c.ID]) && (c.Namespace == "" || n.namespaces[c.Namespace])
}

// class is the state of one: its tables, and what of them is its own.
type class struct {
	tables   map[string]*xdsserver.Table
	view     *xdsserver.View
	ports    map[int32]map[outputKey]*xdsserver.Resource
	outbound map[outputKey]*xdsserver.Resource
}

// changeList is what units made new, by revision.
type changeList struct{ list []changedOutput }

type changedOutput struct {
	key      outputKey
	old, new *output
}

func newChangeList() *changeList { return &changeList{} }

// replace sets what a unit made.
func (m *Mesh) replace(u unitKey, made map[outputKey]output, changed *changeList) {
	before := m.units[u]
	for key, old := range before {
		if _, still := made[key]; !still {
			changed.list = append(changed.list, changedOutput{key, &old, nil})
		}
	}
	for key, o := range made {
		if old, had := before[key]; had {
			changed.list = append(changed.list, changedOutput{key, &old, &o})
		} else {
			changed.list = append(changed.list, changedOutput{key, nil, &o})
		}
	}
	if len(made) == 0 {
		delete(m.units, u)
		return
	}
	m.units[u] = made
}

// update brings a class up to date with what units changed.
func (m *Mesh) update(c Class, state *class, changed *changeList, d *dirt, cache map[string]map[outputKey]*xdsserver.Resource) error {
	set := map[string]map[string]*xdsserver.Resource{}
	put := func(key outputKey, r *xdsserver.Resource) {
		if set[key.url] == nil {
			set[key.url] = map[string]*xdsserver.Resource{}
		}
		set[key.url][key.name] = r
	}
	// First what is gone: another unit may make the same name in the same
	// revision.
	for _, o := range changed.list {
		if o.old != nil && o.old.audience.has(c) && (o.new == nil || !o.new.audience.has(c)) {
			put(o.key, nil)
		}
	}
	for _, o := range changed.list {
		if o.new != nil && o.new.audience.has(c) {
			put(o.key, o.new.res)
		}
	}
	own := func(before, after map[outputKey]*xdsserver.Resource) {
		for key := range before {
			if after[key] == nil {
				put(key, nil)
			}
		}
		for key, r := range after {
			put(key, r)
		}
	}
	var failed error
	for port := range d.ports {
		made, err := m.gatewayPort(c, port, cache)
		if err != nil {
			failed = err
		}
		own(state.ports[port], made)
		state.ports[port] = made
		if len(made) == 0 {
			delete(state.ports, port)
		}
	}
	if d.outbound && c.Sidecar {
		made, err := m.outbound(c)
		if err != nil {
			failed = err
		}
		own(state.outbound, made)
		state.outbound = made
	}
	state.apply(set, m.revision)
	return failed
}

func (s *class) apply(set map[string]map[string]*xdsserver.Resource, revision int64) {
	tables := maps.Clone(s.tables)
	for url, changes := range set {
		tables[url] = tables[url].With(changes)
	}
	s.tables = tables
	s.view = &xdsserver.View{Revision: revision, Tables: tables}
}

// View gives what a class is to have.
func (m *Mesh) View(c Class) (*xdsserver.View, error) {
	if state := m.classes[c]; state != nil {
		return state.view, nil
	}
	if !m.mentions.has(c) {
		return nil, fmt.Errorf("no node has class %+v", c)
	}
	state := &class{tables: map[string]*xdsserver.Table{}, ports: map[int32]map[outputKey]*xdsserver.Resource{}}
	all := newChangeList()
	for _, unit := range m.units {
		for key, o := range unit {
			all.list = append(all.list, changedOutput{key, nil, &o})
		}
	}
	d := &dirt{ports: map[int32]bool{}, outbound: true}
	for _, g := range m.gateways {
		g.touch(d)
	}
	err := m.update(c, state, all, d, map[string]map[outputKey]*xdsserver.Resource{})
	m.classes[c] = state
	return state.view, err
}
