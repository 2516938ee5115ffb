package configapi

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

const (
	// pollInterval is how soon a replica sees what another committed.
	pollInterval = 500 * time.Millisecond
	// sweepInterval is how late an expired workload may be removed.
	sweepInterval = 250 * time.Millisecond
	// outage is the pause in sweeping from which leases get another ttl.
	outage = 3 * time.Second
	// shareInterval is how soon a replica that started knows all proxies.
	shareInterval = 10 * time.Second
	relayBatch    = 64
	sweepBatch    = 500
)

// notifier wakes those who wait for a commit. Signals coalesce.
type notifier struct {
	mu      sync.Mutex
	waiting map[chan struct{}]struct{}
}

func newNotifier() *notifier { return &notifier{waiting: map[chan struct{}]struct{}{}} }

func (n *notifier) subscribe() chan struct{} {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting[c] = struct{}{}
	return c
}

func (n *notifier) unsubscribe(c chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, c)
}

func (n *notifier) signal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.waiting {
		select {
		case c <- struct{}{}:
		default: // awake already
		}
	}
}

// poll fires when it is time to look whether another replica committed.
func (s *Server) poll() <-chan time.Time { return time.After(pollInterval) }

// relayLoop moves the outbox to the bus until ctx ends.
func (s *Server) relayLoop(ctx context.Context, st *store.Store, conn *bus.Conn) {
	wake := s.changed.subscribe()
	defer s.changed.unsubscribe(wake)
	failing, ensured, session := false, false, uint64(0)
	for ctx.Err() == nil {
		n, err := 0, error(nil)
		if conn.Connected() {
			// The server may have come back without its files.
			if now := conn.NATS().Stats().Reconnects; !ensured || now != session {
				err = conn.EnsureStream(ctx)
				ensured, session = err == nil, now
			}
			if err == nil {
				n, err = st.Relay(ctx, s.cfg.Mesh, relayBatch, func(r *configv1.Revision) error {
					return conn.PublishRevision(ctx, r)
				})
			}
		}
		s.metrics.relayed.Add(float64(n))
		if err != nil && ctx.Err() == nil {
			ensured = false
			s.metrics.failures.WithLabelValues("relay").Inc()
			if !failing {
				s.log.Warn("relay", "error", err)
			}
		}
		failing = err != nil
		s.observe(ctx, st)
		if n == relayBatch {
			continue
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-s.poll():
		}
	}
}

// observe brings the gauges up to date.
func (s *Server) observe(ctx context.Context, st *store.Store) {
	err := st.View(ctx, s.cfg.Mesh, func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		backlog, err := tx.Backlog()
		s.metrics.head.Set(float64(head.Revision))
		s.metrics.backlog.Set(float64(backlog))
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.metrics.failures.WithLabelValues("observe").Inc()
	}
}

// sweepLoop removes workloads whose heartbeats stayed away, until ctx ends.
func (s *Server) sweepLoop(ctx context.Context, st *store.Store) {
	var last time.Time
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		now := s.cfg.Now()
		var err error
		if now.Sub(last) > outage {
			// Nobody could be heard in this time.
			err = st.ExtendLeases(ctx, s.cfg.Mesh)
		}
		if err == nil {
			err = s.sweep(ctx, st, now)
		}
		if err == nil {
			last = now
		} else if ctx.Err() == nil {
			s.metrics.failures.WithLabelValues("sweep").Inc()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep removes the workloads whose leases ended by now, in one revision.
func (s *Server) sweep(ctx context.Context, st *store.Store, now time.Time) error {
	var ended []store.Lease
	err := st.View(ctx, s.cfg.Mesh, func(tx *store.Tx) (err error) {
		ended, err = tx.Expired(now, sweepBatch)
		return err
	})
	if err != nil || len(ended) == 0 {
		return err
	}
	ctx = context.WithValue(ctx, callKey{}, &call{method: "Expire"})
	set := &changeSet{missingOK: true}
	answer, err := s.commit(ctx, set, write{author: "system", message: "workloads without a heartbeat",
		extra: func(tx *store.Tx, set *changeSet) error {
			for _, l := range ended {
				k := resource.Key{Kind: resource.Workload, Namespace: l.Namespace, Name: l.Name}
				// A heartbeat may have come since.
				taken, err := tx.TakeExpired(k, now)
				if err != nil {
					return err
				}
				if taken {
					set.deletes = append(set.deletes, k)
				}
			}
			return nil
		}})
	if err != nil {
		return err
	}
	s.metrics.expired.Add(float64(len(answer.GetChanges())))
	for _, c := range answer.GetChanges() {
		s.log.Info("workload expired", "workload", resource.KeyOf(c.GetResource()).String(), "revision", answer.GetRevision())
	}
	return nil
}

// share tells the other replicas what a distributor reported here.
func (s *Server) share(session string, report *rolloutv1.ReportAcksRequest) {
	s.publishRollout(&busv1.RolloutEvent{Mesh: s.cfg.Mesh, Origin: s.instance + "/" + session, Report: report})
}

// forget tells them that the distributor's stream has ended.
func (s *Server) forget(session, distributorID string) {
	s.publishRollout(&busv1.RolloutEvent{Mesh: s.cfg.Mesh, Origin: s.instance + "/" + session, Ended: true,
		Report: &rolloutv1.ReportAcksRequest{DistributorId: distributorID}})
}

func (s *Server) publishRollout(event *busv1.RolloutEvent) {
	conn := s.conn.Load()
	if conn == nil || !conn.Connected() {
		return // told again by shareLoop
	}
	data, err := proto.Marshal(event)
	if err == nil && len(data) <= bus.MaxEventBytes {
		err = conn.NATS().Publish(bus.RolloutSubject(s.cfg.Mesh), data)
	}
	if err != nil {
		s.metrics.failures.WithLabelValues("share").Inc()
	}
}

// shareLoop listens to the other replicas and, for those that started
// since, tells from time to time everything that was reported here.
func (s *Server) shareLoop(ctx context.Context, conn *bus.Conn) {
	sub, err := conn.NATS().Subscribe(bus.RolloutSubject(s.cfg.Mesh), func(msg *nats.Msg) { s.heard(msg.Data) })
	if err != nil {
		s.log.Error("rollout subscription", "error", err)
		return
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection closes next
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sessions.Range(func(session, _ any) bool {
				for _, report := range s.tracker.Full(session.(string)) {
					s.share(session.(string), report)
				}
				return true
			})
		}
	}
}

func (s *Server) heard(data []byte) {
	event := new(busv1.RolloutEvent)
	if err := proto.Unmarshal(data, event); err != nil || event.GetMesh() != s.cfg.Mesh || event.GetReport() == nil {
		s.metrics.failures.WithLabelValues("share").Inc()
		return
	}
	if len(event.GetOrigin()) > len(s.instance) && event.GetOrigin()[:len(s.instance)] == s.instance {
		return
	}
	if event.GetEnded() {
		s.tracker.Ended(s.cfg.Now(), event.GetReport().GetDistributorId(), event.GetOrigin())
		return
	}
	s.tracker.Report(s.cfg.Now(), event.GetOrigin(), event.GetReport())
}
