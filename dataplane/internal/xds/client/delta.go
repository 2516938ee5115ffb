package client

import (
	"errors"
	"fmt"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// delta is the incremental protocol: a request says what has changed.
type delta struct{ m *Mux }

func (p *delta) lost(*typeState) {}

func (p *delta) request(t *typeState) ([]byte, error) {
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.url}
	names, wildcard := t.wanted()
	if t.asked {
		p.changes(t, r, names, wildcard)
	} else {
		if len(t.watches) == 0 {
			t.dirty = false
			return nil, nil
		}
		p.begin(t, r, names, wildcard)
	}
	more := len(r.ResourceNamesSubscribe)+len(r.ResourceNamesUnsubscribe) > 0 || !t.asked
	if len(t.acks) > 0 {
		r.ResponseNonce, r.ErrorDetail = t.acks[0].nonce, errorDetail(t.acks[0].err)
		t.acks = t.acks[1:]
		more = true
	}
	t.dirty = len(t.acks) > 0
	if !more {
		return nil, nil
	}
	r.Node = p.m.node()
	return proto.Marshal(r)
}

// begin subscribes on a new stream. A wildcard alone is an empty list, which
// every server understands.
func (p *delta) begin(t *typeState, r *discoveryv3.DeltaDiscoveryRequest, names []string, wildcard bool) {
	t.sent = nameSet(names)
	if t.sent == nil {
		t.sent = map[string]bool{}
	}
	if wildcard {
		t.sent["*"] = true
		if len(names) > 0 {
			names = append([]string{"*"}, names...)
		}
	}
	r.ResourceNamesSubscribe = names
	if len(t.known) > 0 {
		r.InitialResourceVersions = make(map[string]string, len(t.known))
		for name, k := range t.known {
			r.InitialResourceVersions[name] = k.version
		}
	}
}

// changes compares what is wanted with what the server was told.
func (p *delta) changes(t *typeState, r *discoveryv3.DeltaDiscoveryRequest, names []string, wildcard bool) {
	if wildcard {
		names = append(names, "*")
	}
	want := nameSet(names)
	for n := range want {
		if !t.sent[n] {
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, n)
		}
	}
	for n := range t.sent {
		if !want[n] {
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, n)
		}
	}
	slices.Sort(r.ResourceNamesSubscribe)
	slices.Sort(r.ResourceNamesUnsubscribe)
	if t.sent = want; want == nil {
		t.sent = map[string]bool{}
	}
}

func (p *delta) received(message []byte) error {
	var r discoveryv3.DeltaDiscoveryResponse
	if err := proto.Unmarshal(message, &r); err != nil {
		return err
	}
	p.m.cfg.Stats.identified(r.GetControlPlane().GetIdentifier())
	url := r.TypeUrl
	if url == "" {
		url = p.m.cfg.Type
	}
	t := p.m.types[url]
	if t == nil {
		return fmt.Errorf("nobody asked for type %q", r.TypeUrl)
	}
	err := p.apply(t, &r)
	if err != nil {
		p.m.log("xds update of %s rejected: %v", t.url, err)
	}
	t.acks = append(t.acks, ack{r.Nonce, err})
	t.dirty = true
	return nil
}

func (p *delta) apply(t *typeState, r *discoveryv3.DeltaDiscoveryResponse) error {
	u := &Update{Version: r.SystemVersionInfo}
	seen := make(map[string]bool, len(r.Resources))
	var faults []error
	for i, w := range r.Resources {
		if seen[w.Name] {
			faults = append(faults, fmt.Errorf("%s: duplicate name", w.Name))
			continue
		}
		seen[w.Name] = true
		if w.Resource == nil {
			t.heartbeat(w.Name, ttl(w.Ttl))
			continue
		}
		res, _, err := unwrap(w.Resource, t.url, w.Version)
		if err != nil {
			faults = append(faults, fmt.Errorf("resource %d (%s): %w", i, w.Name, err))
			continue
		}
		res.Name, res.TTL = w.Name, ttl(w.Ttl)
		u.Added = append(u.Added, res)
	}
	for _, name := range r.RemovedResources {
		if seen[name] {
			faults = append(faults, fmt.Errorf("%s: duplicate name in resources and removed_resources", name))
			continue
		}
		u.Removed = append(u.Removed, name)
	}
	if len(faults) > 0 {
		t.refuse()
		return errors.Join(faults...)
	}
	t.version = r.SystemVersionInfo
	return t.finish(u, t.deliver(u))
}
