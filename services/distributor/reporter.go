package distributor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/xdsserver"
)

const (
	// gather is how long changes are collected into one report.
	gather = 50 * time.Millisecond
	// Bounds of a report.
	maxRejections = 100
	maxSources    = 200
)

// reporter tells the config API what clients answer. It implements
// xdsserver.Observer.
type reporter struct {
	id  string
	api rolloutv1.RolloutServiceClient
	log *slog.Logger
	m   *metrics

	mu      sync.Mutex // for what follows
	proxies map[string]*proxy
	dirty   map[string]bool
	wake    chan struct{} // holds one
}

// proxy is a node; it may have several streams (one a type, or an old one
// that has not ended yet).
type proxy struct{ streams map[uint64]*stream }

type stream struct {
	client xdsserver.Client
	status xdsserver.Status
}

func newReporter(id string, api rolloutv1.RolloutServiceClient, log *slog.Logger, m *metrics) *reporter {
	return &reporter{id: id, api: api, log: log, m: m,
		proxies: map[string]*proxy{}, dirty: map[string]bool{}, wake: make(chan struct{}, 1)}
}

func (r *reporter) touch(id string) {
	r.dirty[id] = true
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Connected implements xdsserver.Observer.
func (r *reporter) Connected(c xdsserver.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.proxies[c.Node.GetId()]
	if p == nil {
		p = &proxy{streams: map[uint64]*stream{}}
		r.proxies[c.Node.GetId()] = p
	}
	p.streams[c.Stream] = &stream{client: c}
	r.touch(c.Node.GetId())
}

// Status implements xdsserver.Observer.
func (r *reporter) Status(c xdsserver.Client, s xdsserver.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.proxies[c.Node.GetId()]; p != nil && p.streams[c.Stream] != nil {
		p.streams[c.Stream].status = s
		r.touch(c.Node.GetId())
	}
}

// Disconnected implements xdsserver.Observer.
func (r *reporter) Disconnected(c xdsserver.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.proxies[c.Node.GetId()]; p != nil {
		delete(p.streams, c.Stream)
		r.touch(c.Node.GetId())
	}
}

// report makes what there is to tell of a node. The caller holds the lock.
func (r *reporter) report(id string) *rolloutv1.ProxyReport {
	report := &rolloutv1.ProxyReport{Id: id}
	p := r.proxies[id]
	if p == nil || len(p.streams) == 0 {
		delete(r.proxies, id)
		return report
	}
	report.Connected = true
	first := true
	var newest uint64
	for _, s := range p.streams {
		if first || s.status.Settled < report.SettledRevision {
			report.SettledRevision = s.status.Settled
		}
		if at := s.client.Connected; first || at.Before(report.ConnectTime.AsTime()) {
			report.ConnectTime = timestamppb.New(at)
		}
		if s.client.Stream > newest {
			newest = s.client.Stream
			report.Cluster, report.Address = s.client.Node.GetCluster(), s.client.Address
			report.UserAgent = userAgent(s.client.Node)
		}
		for _, rejection := range s.status.Rejections {
			if len(report.Rejections) < maxRejections {
				report.Rejections = append(report.Rejections, told(rejection))
			}
		}
		first = false
	}
	return report
}

func told(r xdsserver.Rejection) *rolloutv1.ProxyRejection {
	return &rolloutv1.ProxyRejection{
		TypeUrl: r.TypeURL, XdsResource: r.Resource, Message: r.Message, Revision: r.Revision,
		Sources: r.Sources[:min(len(r.Sources), maxSources)], Time: timestamppb.New(r.Time),
	}
}

// userAgent is like "envoy 1.40.0".
func userAgent(n *corev3.Node) string {
	name := n.GetUserAgentName()
	if v := n.GetUserAgentVersion(); v != "" {
		return name + " " + v
	}
	if v := n.GetUserAgentBuildVersion().GetVersion(); v != nil {
		return name + " " + semantic(v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
	}
	return name
}

// run keeps a stream of reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	wait := newBackoff()
	for ctx.Err() == nil {
		err := r.stream(ctx, wait)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("reports to the config API", "error", err)
			r.m.failures.WithLabelValues("report").Inc()
		}
		if !wait.sleep(ctx) {
			return
		}
	}
}

// stream reports until it breaks.
func (r *reporter) stream(ctx context.Context, wait *backoffer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := r.api.ReportAcks(ctx)
	if err != nil {
		return err
	}
	broken := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Recv(); err != nil {
				broken <- err
				return
			}
			wait.reset()
		}
	}()
	for sequence := int64(1); ; sequence++ {
		m := r.next(sequence == 1)
		m.DistributorId, m.Sequence = r.id, sequence
		if m.Full || len(m.Proxies) > 0 {
			if err := s.Send(m); err != nil {
				return <-broken
			}
		}
		select {
		case <-r.wake:
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(gather):
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes what is to be told.
func (r *reporter) next(full bool) *rolloutv1.ReportAcksRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &rolloutv1.ReportAcksRequest{Full: full}
	if full {
		for id := range r.proxies {
			r.dirty[id] = true
		}
	}
	for id := range r.dirty {
		if report := r.report(id); report.Connected || !full {
			m.Proxies = append(m.Proxies, report)
		}
	}
	clear(r.dirty)
	return m
}

// count is the number of connected nodes.
func (r *reporter) count() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(len(r.proxies))
}
