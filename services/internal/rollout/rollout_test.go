package rollout

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

var start = time.Unix(1000, 0)

func connected(id string, settled int64, at time.Time, rejects ...resource.Key) *rolloutv1.ProxyReport {
	p := &rolloutv1.ProxyReport{Id: id, Connected: true, SettledRevision: settled, ConnectTime: timestamppb.New(at)}
	for _, k := range rejects {
		p.Rejections = append(p.Rejections, &rolloutv1.ProxyRejection{Message: "no", Sources: []*configv1.ResourceRef{k.Ref()}, Revision: settled})
	}
	return p
}

func report(d string, full bool, ps ...*rolloutv1.ProxyReport) *rolloutv1.ReportAcksRequest {
	return &rolloutv1.ReportAcksRequest{DistributorId: d, Full: full, Proxies: ps}
}

func TestStatus(t *testing.T) {
	route := resource.Key{Kind: resource.HTTPRoute, Namespace: "default", Name: "r"}
	other := resource.Key{Kind: resource.HTTPRoute, Namespace: "default", Name: "o"}
	tracker := New()
	tracker.Report(start, "s", report("d", true, connected("a", 5, start), connected("b", 4, start), connected("c", 5, start, route)))
	got := tracker.Status(start, 5, []Item{{route, 5}, {other, 4}, {route, 6}})
	if got.GetProxies() != 3 || got.GetAcknowledged() != 1 || got.GetPending() != 1 || got.GetRejected() != 1 {
		t.Errorf("mesh: %v", got)
	}
	for i, want := range [][3]int32{{1, 1, 1}, {3, 0, 0}, {0, 2, 1}} {
		r := got.GetResources()[i]
		if r.GetAcknowledged() != want[0] || r.GetPending() != want[1] || int32(len(r.GetRejections())) != want[2] {
			t.Errorf("resource %d: %v, want %v", i, r, want)
		}
	}
	if m := got.GetResources()[0].GetRejections()[0]; m.GetMessage() != "no" || m.GetProxyId() != "c" {
		t.Errorf("rejection %v", m)
	}
}

func TestProxiesComeAndGo(t *testing.T) {
	tracker := New()
	count := func(at time.Time) (n int) {
		for _, p := range tracker.Proxies(at) {
			if p.GetConnected() {
				n++
			}
		}
		return n
	}
	tracker.Report(start, "s1", report("d1", true, connected("a", 1, start), connected("b", 1, start)))
	// b moves to another distributor: it counts once, with the new report.
	tracker.Report(start, "s2", report("d2", true, connected("b", 9, start.Add(time.Second))))
	if n := count(start); n != 2 {
		t.Fatalf("%d connected, want 2", n)
	}
	if p := tracker.Proxies(start)[1]; p.GetSettledRevision() != 9 {
		t.Errorf("the older connection counts: %v", p)
	}
	// d1 comes back at once on a new stream: the end of the old one is late.
	tracker.Report(start, "s3", report("d1", true, connected("a", 2, start)))
	tracker.Ended(start, "d1", "s1")
	if n := count(start.Add(Grace)); n != 2 {
		t.Errorf("%d connected, want 2", n)
	}
	tracker.Ended(start, "d1", "s3")
	if n := count(start.Add(Grace - 1)); n != 2 {
		t.Errorf("%d connected within grace, want 2", n)
	}
	if n := count(start.Add(Grace)); n != 1 {
		t.Errorf("%d connected after grace, want 1", n)
	}
	if n := len(tracker.Proxies(start.Add(Memory))); n != 1 {
		t.Errorf("%d listed after %v, want 1", n, Memory)
	}
	// A full report without b says that it is gone.
	tracker.Report(start, "s2", report("d2", true))
	if n := count(start); n != 0 {
		t.Errorf("%d connected, want 0", n)
	}
}
