package rollout

import (
	"slices"
	"strings"
	"sync"
	"time"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// How long what is gone is remembered.
const (
	Grace  = 15 * time.Second
	Memory = 10 * time.Minute
	// maxRejections bounds the rejections kept of one proxy, and those
	// listed of one resource.
	maxRejections = 100
)

// Tracker holds the reports. Its methods may be called from any goroutine.
type Tracker struct {
	mu           sync.Mutex
	distributors map[string]*distributor
}

type distributor struct {
	// session tells streams of one distributor apart.
	session string
	ended   time.Time // zero while the stream stands
	proxies map[string]*proxy
}

type proxy struct {
	report *rolloutv1.ProxyReport
	gone   time.Time // zero while connected
}

// New makes an empty tracker.
func New() *Tracker { return &Tracker{distributors: map[string]*distributor{}} }

// Report takes one message of a distributor's stream. session names the
// stream.
func (t *Tracker) Report(now time.Time, session string, r *rolloutv1.ReportAcksRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.distributors[r.GetDistributorId()]
	if d == nil {
		d = &distributor{proxies: map[string]*proxy{}}
		t.distributors[r.GetDistributorId()] = d
	}
	d.session, d.ended = session, time.Time{}
	named := map[string]bool{}
	for _, p := range r.GetProxies() {
		named[p.GetId()] = true
		if len(p.GetRejections()) > maxRejections {
			p.Rejections = p.Rejections[:maxRejections]
		}
		kept := &proxy{report: p}
		if !p.GetConnected() {
			kept.gone = now
			if old := d.proxies[p.GetId()]; old != nil && !old.gone.IsZero() {
				kept.gone = old.gone
			}
		}
		d.proxies[p.GetId()] = kept
	}
	if r.GetFull() {
		for id, p := range d.proxies {
			if !named[id] && p.gone.IsZero() {
				p.gone = now
			}
		}
	}
}

// Ended says that a stream is over; it has no effect if the distributor has
// another one already.
func (t *Tracker) Ended(now time.Time, distributorID, session string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.distributors[distributorID]; d != nil && d.session == session && d.ended.IsZero() {
		d.ended = now
	}
}

// Full gives a report of everything a session has told, to pass on.
func (t *Tracker) Full(session string) []*rolloutv1.ReportAcksRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*rolloutv1.ReportAcksRequest
	for id, d := range t.distributors {
		if d.session != session || !d.ended.IsZero() {
			continue
		}
		r := &rolloutv1.ReportAcksRequest{DistributorId: id, Full: true}
		for _, p := range d.proxies {
			if p.gone.IsZero() {
				r.Proxies = append(r.Proxies, p.report)
			}
		}
		list = append(list, r)
	}
	return list
}

// current merges the reports; the caller holds the lock.
func (t *Tracker) current(now time.Time) []*configv1.Proxy {
	best := map[string]*configv1.Proxy{}
	for id, d := range t.distributors {
		lost := !d.ended.IsZero() && now.Sub(d.ended) >= Grace
		for name, p := range d.proxies {
			if lost && p.gone.IsZero() {
				p.gone = d.ended
			}
			if !p.gone.IsZero() && now.Sub(p.gone) >= Memory {
				delete(d.proxies, name)
				continue
			}
			view := view(id, p)
			if other := best[name]; other == nil || younger(view, other) {
				best[name] = view
			}
		}
		if lost && len(d.proxies) == 0 {
			delete(t.distributors, id)
		}
	}
	list := make([]*configv1.Proxy, 0, len(best))
	for _, p := range best {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *configv1.Proxy) int { return strings.Compare(a.GetId(), b.GetId()) })
	return list
}

func younger(a, b *configv1.Proxy) bool {
	if a.GetConnected() != b.GetConnected() {
		return a.GetConnected()
	}
	return a.GetConnectTime().AsTime().After(b.GetConnectTime().AsTime())
}

func view(distributorID string, p *proxy) *configv1.Proxy {
	r := p.report
	v := &configv1.Proxy{
		Id: r.GetId(), Cluster: r.GetCluster(), UserAgent: r.GetUserAgent(), Address: r.GetAddress(),
		DistributorId: distributorID, Connected: p.gone.IsZero(), ConnectTime: r.GetConnectTime(),
		SettledRevision: r.GetSettledRevision(),
	}
	for _, reason := range r.GetRejections() {
		v.Rejections = append(v.Rejections, rejection(r.GetId(), reason))
	}
	return v
}

func rejection(proxyID string, r *rolloutv1.ProxyRejection) *configv1.Rejection {
	return &configv1.Rejection{
		ProxyId: proxyID, TypeUrl: r.GetTypeUrl(), XdsResource: r.GetXdsResource(),
		Message: r.GetMessage(), Revision: r.GetRevision(), Time: r.GetTime(),
	}
}

// Proxies lists all that are connected or were a short while ago, by id.
func (t *Tracker) Proxies(now time.Time) []*configv1.Proxy {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current(now)
}

// Item is a resource to tell the rollout of.
type Item struct {
	Key      resource.Key
	Revision int64
}

// Status computes the rollout of the items, and of the mesh up to revision.
// Of each connected proxy a resource is acknowledged, rejected or pending.
func (t *Tracker) Status(now time.Time, revision int64, items []Item) *configv1.RolloutStatusResponse {
	t.mu.Lock()
	defer t.mu.Unlock()
	answer := &configv1.RolloutStatusResponse{}
	rejected := map[resource.Key][]*configv1.Rejection{}
	rejecters := map[resource.Key]map[string]int64{}
	var settled []int64
	for _, p := range t.current(now) {
		if !p.GetConnected() {
			continue
		}
		answer.Proxies++
		settled = append(settled, p.GetSettledRevision())
		reasons := t.distributors[p.GetDistributorId()].proxies[p.GetId()].report.GetRejections()
		switch {
		case p.GetSettledRevision() < revision:
			answer.Pending++
		case len(reasons) > 0:
			answer.Rejected++
		default:
			answer.Acknowledged++
		}
		for _, reason := range reasons {
			for _, source := range reason.GetSources() {
				k := resource.KeyOfRef(source)
				if len(rejected[k]) < maxRejections {
					rejected[k] = append(rejected[k], rejection(p.GetId(), reason))
				}
				if rejecters[k] == nil {
					rejecters[k] = map[string]int64{}
				}
				rejecters[k][p.GetId()] = p.GetSettledRevision()
			}
		}
	}
	slices.Sort(settled)
	for _, item := range items {
		behind, _ := slices.BinarySearch(settled, item.Revision)
		r := &configv1.ResourceRollout{Ref: item.Key.Ref(), Revision: item.Revision, Rejections: rejected[item.Key]}
		said := 0
		for _, at := range rejecters[item.Key] {
			if at < item.Revision {
				behind-- // counts as a rejection, not as pending
			}
			said++
		}
		r.Pending, r.Acknowledged = int32(behind), int32(len(settled)-behind-said)
		answer.Resources = append(answer.Resources, r)
	}
	return answer
}
