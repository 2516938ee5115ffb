package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const wrapperURL = "type.googleapis.com/envoy.service.discovery.v3.Resource"

// sotw is the state of the world protocol: a request says everything.
type sotw struct{ m *Mux }

func (p *sotw) lost(*typeState) {}

func (p *sotw) request(t *typeState) ([]byte, error) {
	t.dirty = false
	names, wildcard := t.wanted()
	if len(t.watches) == 0 && (!t.asked || t.whole) {
		return nil, nil // no names would mean all
	}
	if wildcard && len(names) > 0 {
		names = append([]string{"*"}, names...)
	}
	r := &discoveryv3.DiscoveryRequest{
		VersionInfo: t.version, Node: p.m.node(), ResourceNames: names, TypeUrl: t.url,
		ResponseNonce: t.nonce, ErrorDetail: errorDetail(t.fault),
	}
	t.fault = nil
	return proto.Marshal(r)
}

// errorDetail is the reason of a NACK; nil is an ACK.
func errorDetail(err error) *status.Status {
	if err == nil {
		return nil
	}
	return &status.Status{Code: int32(codes.Internal), Message: err.Error()}
}

func (p *sotw) received(message []byte) error {
	var r discoveryv3.DiscoveryResponse
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
	t.nonce, t.dirty = r.Nonce, true
	if t.fault = p.apply(t, &r); t.fault == nil {
		t.version = r.VersionInfo
	} else {
		p.m.log("xds update of %s rejected: %v", t.url, t.fault)
	}
	return nil
}

func (p *sotw) apply(t *typeState, r *discoveryv3.DiscoveryResponse) error {
	u := &Update{Version: r.VersionInfo, Whole: t.whole}
	present := make(map[string]bool, len(r.Resources))
	var faults []error
	for i, a := range r.Resources {
		res, beat, err := unwrap(a, t.url, r.VersionInfo)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("resource %d: %w", i, err))
			continue
		case present[res.Name]:
			faults = append(faults, fmt.Errorf("%s: duplicate name", res.Name))
		case beat:
			t.heartbeat(res.Name, res.TTL)
		default:
			u.Added = append(u.Added, res)
		}
		present[res.Name] = true
	}
	if len(faults) > 0 {
		t.refuse()
		return errors.Join(faults...)
	}
	if t.whole {
		// A heartbeat alone leaves the resource as it is: the update is then
		// no whole world.
		if len(u.Added) < len(present) {
			u.Whole = false
		}
		for name := range t.known {
			if !present[name] {
				u.Removed = append(u.Removed, name)
			}
		}
	}
	return t.finish(u, t.deliver(u))
}

// finish records what was accepted, makes the disk follow, and returns what to tell the server.
func (t *typeState) finish(u *Update, rejected []Rejected) error {
	bad := rejectedNames(rejected)
	wanted, wildcard := t.wanted()
	if wildcard && !t.settled {
		t.settled = true
		keep := t.knownNames()
		for _, r := range u.Added {
			keep[r.Name] = true
		}
		t.m.cfg.Cache.retain(t.url, keep)
	}
	if !bad[""] {
		for i := range u.Added {
			r := &u.Added[i]
			_, asked := slices.BinarySearch(wanted, r.Name)
			if !bad[r.Name] && (asked || wildcard) {
				t.learn(r)
			}
		}
		for _, name := range u.Removed {
			if !bad[name] {
				t.forget(name)
			}
		}
	}
	return joinRejected(rejected)
}

// joinRejected is the text of a NACK: a line for each refused resource.
func joinRejected(list []Rejected) error {
	if len(list) == 0 {
		return nil
	}
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		if r.Name != "" {
			b.WriteString(r.Name + ": ")
		}
		b.WriteString(r.Err.Error())
	}
	return errors.New(b.String())
}

// unwrap takes a resource out of its envelope. beat says that it only renews
// the time to live.
func unwrap(a *anypb.Any, url, version string) (r Resource, beat bool, err error) {
	r = Resource{Version: version, Message: a}
	if a.GetTypeUrl() == wrapperURL {
		var w discoveryv3.Resource
		if err := proto.Unmarshal(a.Value, &w); err != nil {
			return r, false, err
		}
		r.Name, r.Message, r.TTL = w.Name, w.Resource, ttl(w.Ttl)
		if w.Version != "" {
			r.Version = w.Version
		}
		if w.Resource == nil {
			return r, true, nil
		}
	}
	if got := r.Message.GetTypeUrl(); got != url {
		return r, false, fmt.Errorf("type is %q instead of %q", got, url)
	}
	name, err := nameOf(r.Message.Value)
	if r.Name == "" {
		r.Name = name
	}
	return r, false, err
}

func ttl(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}
