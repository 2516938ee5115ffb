package compile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

// Options are the same for all replicas of a distributor.
type Options struct {
	// OutboundHost and OutboundPort are where sidecars listen for what their
	// application sends.
	OutboundHost string
	OutboundPort uint32
	// SidecarClusters are the node.clusters of sidecars.
	SidecarClusters []string
}

// Change is one resource after a change, or the key of one that is gone.
type Change struct {
	Key      resource.Key
	Resource *configv1.Resource // nil: deleted
}

// Mesh holds the configuration and what was compiled from it. It is used by
// one goroutine at a time; the views that it gives are immutable.
type Mesh struct {
	options  Options
	revision int64

	services  map[resource.Key]*service
	workloads map[resource.Key]*workload
	routes    map[resource.Key]*httpRoute
	gateways  map[resource.Key]*gateway
	raw       map[resource.Key]*raw
	children  map[resource.Key]map[resource.Key]*httpRoute // routes by parent
	byNS      map[string]map[resource.Key]*service
	loadsByNS map[string]map[resource.Key]*workload

	units    map[unitKey]map[outputKey]output // what each unit made
	classes  map[Class]*class
	mentions *mentions
}

// unitKey names what is compiled as a whole.
type unitKey struct {
	key  resource.Key
	part string
}

type outputKey struct{ url, name string }

// output is a resource and who gets it.
type output struct {
	audience audience
	res      *xdsserver.Resource
}

type (
	service struct {
		key     resource.Key
		ref     *configv1.ResourceRef
		spec    *configv1.ServiceSpec
		members map[resource.Key]*workload
		hosts   []host
	}
	workload struct {
		key    resource.Key
		ref    *configv1.ResourceRef
		labels map[string]string
		spec   *configv1.WorkloadSpec
	}
	httpRoute struct {
		key     resource.Key
		ref     *configv1.ResourceRef
		spec    *configv1.HTTPRouteSpec
		created int64 // Unix nanoseconds
	}
	gateway struct {
		key      resource.Key
		ref      *configv1.ResourceRef
		spec     *configv1.GatewaySpec
		clusters []string
		secrets  []resource.Key
	}
	raw struct {
		key     resource.Key
		spec    *configv1.EnvoyResourceSpec
		message proto.Message
		name    string
	}
)

// New makes an empty mesh.
func New(options Options) *Mesh {
	return &Mesh{
		options:  options,
		services: map[resource.Key]*service{}, workloads: map[resource.Key]*workload{},
		routes: map[resource.Key]*httpRoute{}, gateways: map[resource.Key]*gateway{}, raw: map[resource.Key]*raw{},
		children: map[resource.Key]map[resource.Key]*httpRoute{},
		byNS:     map[string]map[resource.Key]*service{}, loadsByNS: map[string]map[resource.Key]*workload{},
		units: map[unitKey]map[outputKey]output{}, classes: map[Class]*class{}, mentions: newMentions(options, nil),
	}
}

// dirt is what a change set makes to be compiled again.
type dirt struct {
	clusters  map[resource.Key]bool // services
	endpoints map[resource.Key]bool // services
	hosts     map[resource.Key]bool // services
	raw       map[resource.Key]bool
	ports     map[int32]bool // of gateways
	outbound  bool
	mentions  bool
}

// Apply takes the changes of a revision. A resource that cannot be compiled,
// which the config API does not let pass, is left out and reported.
func (m *Mesh) Apply(revision int64, changes []Change) error {
	d := &dirt{clusters: map[resource.Key]bool{}, endpoints: map[resource.Key]bool{}, hosts: map[resource.Key]bool{},
		raw: map[resource.Key]bool{}, ports: map[int32]bool{}}
	var failed error
	for _, c := range changes {
		if err := m.take(c, d); err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", c.Key, err)
		}
	}
	changed := newChangeList()
	fail := func(err error) {
		if err != nil && failed == nil {
			failed = err
		}
	}
	for key := range d.clusters {
		fail(m.compileClusters(key, changed))
	}
	for key := range d.endpoints {
		fail(m.compileEndpoints(key, changed))
	}
	for key := range d.hosts {
		fail(m.compileHosts(key, changed))
	}
	for key := range d.raw {
		fail(m.compileRaw(key, changed))
	}
	if d.mentions {
		m.mentions = newMentions(m.options, m)
		for c := range m.classes {
			if !m.mentions.has(c) {
				delete(m.classes, c)
			}
		}
	}
	m.revision = revision
	cache := map[string]map[outputKey]*xdsserver.Resource{}
	for c, state := range m.classes {
		fail(m.update(c, state, changed, d, cache))
	}
	return failed
}

// Reset makes the mesh hold exactly these resources.
func (m *Mesh) Reset(revision int64, all []*configv1.Resource) error {
	keep := map[resource.Key]bool{}
	var changes []Change
	for _, r := range all {
		keep[resource.KeyOf(r)] = true
		changes = append(changes, Change{resource.KeyOf(r), r})
	}
	gone := func(key resource.Key) {
		if !keep[key] {
			changes = append(changes, Change{Key: key})
		}
	}
	for key := range m.services {
		gone(key)
	}
	for key := range m.workloads {
		gone(key)
	}
	for key := range m.routes {
		gone(key)
	}
	for key := range m.gateways {
		gone(key)
	}
	for key := range m.raw {
		gone(key)
	}
	return m.Apply(revision, changes)
}

// Revision is the last that was applied.
func (m *Mesh) Revision() int64 { return m.revision }

// take stores one changed resource and notes what depends on it.
func (m *Mesh) take(c Change, d *dirt) error {
	var spec proto.Message
	if c.Resource != nil {
		var bad resource.Violations
		if spec, bad = resource.Decode(c.Resource); len(bad) > 0 {
			return bad
		}
	}
	switch c.Key.Kind {
	case resource.Service:
		m.takeService(c, spec, d)
	case resource.Workload:
		m.takeWorkload(c, spec, d)
	case resource.HTTPRoute:
		m.takeRoute(c, spec, d)
	case resource.Gateway:
		m.takeGateway(c, spec, d)
	case resource.EnvoyResource:
		return m.takeRaw(c, spec, d)
	default:
		return fmt.Errorf("kind %q is not known to this distributor", c.Key.Kind)
	}
	return nil
}

func (m *Mesh) takeService(c Change, spec proto.Message, d *dirt) {
	d.clusters[c.Key], d.endpoints[c.Key], d.hosts[c.Key] = true, true, true
	d.outbound, d.mentions = true, true
	old := m.services[c.Key]
	if c.Resource == nil {
		delete(m.services, c.Key)
		drop(m.byNS, c.Key)
		return
	}
	s := &service{key: c.Key, ref: c.Key.Ref(), spec: spec.(*configv1.ServiceSpec), members: map[resource.Key]*workload{}}
	if old != nil {
		s.hosts = old.hosts
	}
	for key, w := range m.loadsByNS[c.Key.Namespace] {
		if s.selects(w) {
			s.members[key] = w
		}
	}
	m.services[c.Key] = s
	put(m.byNS, c.Key, s)
}

func (s *service) selects(w *workload) bool {
	for k, v := range s.spec.GetSelector() {
		if value, ok := w.labels[k]; !ok || value != v {
			return false
		}
	}
	return len(s.spec.GetSelector()) > 0
}

// takeWorkload is the fast lane: nothing but assignments depends on it.
func (m *Mesh) takeWorkload(c Change, spec proto.Message, d *dirt) {
	old := m.workloads[c.Key]
	var w *workload
	if c.Resource == nil {
		delete(m.workloads, c.Key)
		drop(m.loadsByNS, c.Key)
	} else {
		w = &workload{key: c.Key, ref: c.Key.Ref(), labels: c.Resource.GetMetadata().GetLabels(), spec: spec.(*configv1.WorkloadSpec)}
		m.workloads[c.Key] = w
		put(m.loadsByNS, c.Key, w)
	}
	for key, s := range m.byNS[c.Key.Namespace] {
		if old != nil && s.members[c.Key] != nil {
			delete(s.members, c.Key)
			d.endpoints[key] = true
		}
		if w != nil && s.selects(w) {
			s.members[c.Key] = w
			d.endpoints[key] = true
		}
	}
}

func (m *Mesh) takeRoute(c Change, spec proto.Message, d *dirt) {
	if old := m.routes[c.Key]; old != nil {
		m.touchParents(old, d)
		for _, ref := range old.spec.GetParentRefs() {
			delete(m.children[parentKey(old, ref)], c.Key)
		}
		delete(m.routes, c.Key)
	}
	if c.Resource == nil {
		return
	}
	r := &httpRoute{key: c.Key, ref: c.Key.Ref(), spec: spec.(*configv1.HTTPRouteSpec)}
	if t := c.Resource.GetMetadata().GetCreationTimestamp(); t != nil {
		r.created = t.AsTime().UnixNano()
	}
	m.routes[c.Key] = r
	for _, ref := range r.spec.GetParentRefs() {
		parent := parentKey(r, ref)
		if m.children[parent] == nil {
			m.children[parent] = map[resource.Key]*httpRoute{}
		}
		m.children[parent][c.Key] = r
	}
	m.touchParents(r, d)
}

func parentKey(r *httpRoute, ref *configv1.ParentRef) resource.Key {
	kind := resource.Gateway
	if ref.GetKind() == resource.Service {
		kind = resource.Service
	}
	return resource.Key{Kind: kind, Namespace: cmp.Or(ref.GetNamespace(), r.key.Namespace), Name: ref.GetName()}
}

func (m *Mesh) touchParents(r *httpRoute, d *dirt) {
	for _, ref := range r.spec.GetParentRefs() {
		parent := parentKey(r, ref)
		if parent.Kind == resource.Service {
			d.hosts[parent], d.outbound = true, true
		} else if g := m.gateways[parent]; g != nil {
			g.touch(d)
		}
	}
}

func (g *gateway) touch(d *dirt) {
	for _, l := range g.spec.GetListeners() {
		d.ports[l.GetPort()] = true
	}
}

func (m *Mesh) takeGateway(c Change, spec proto.Message, d *dirt) {
	d.mentions = true
	if old := m.gateways[c.Key]; old != nil {
		old.touch(d)
		delete(m.gateways, c.Key)
	}
	if c.Resource == nil {
		return
	}
	g := &gateway{key: c.Key, ref: c.Key.Ref(), spec: spec.(*configv1.GatewaySpec), clusters: resource.ProxyClusters(c.Resource)}
	for _, link := range resource.Links(c.Resource) {
		g.secrets = append(g.secrets, link.To)
	}
	m.gateways[c.Key] = g
	g.touch(d)
}

func (m *Mesh) takeRaw(c Change, spec proto.Message, d *dirt) error {
	d.raw[c.Key], d.mentions = true, true
	delete(m.raw, c.Key)
	for _, g := range m.gateways {
		if slices.Contains(g.secrets, c.Key) {
			g.touch(d)
		}
	}
	if c.Resource == nil {
		return nil
	}
	r := &raw{key: c.Key, spec: spec.(*configv1.EnvoyResourceSpec)}
	var bad resource.Violations
	if r.message, r.name, bad = resource.DecodeEnvoy(r.spec); len(bad) > 0 {
		return bad
	}
	m.raw[c.Key] = r
	return nil
}

func put[V any](index map[string]map[resource.Key]V, key resource.Key, v V) {
	if index[key.Namespace] == nil {
		index[key.Namespace] = map[resource.Key]V{}
	}
	index[key.Namespace][key] = v
}

func drop[V any](index map[string]map[resource.Key]V, key resource.Key) {
	delete(index[key.Namespace], key)
	if len(index[key.Namespace]) == 0 {
		delete(index, key.Namespace)
	}
}

// sortedKeys orders the keys of resources.
func sortedKeys[V any](of map[resource.Key]V) []resource.Key {
	return slices.SortedFunc(maps.Keys(of), resource.Key.Compare)
}
