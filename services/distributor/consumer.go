package distributor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/compile"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

const (
	// hashInterval is how often the state is compared when all is well;
	// pollInterval when the bus is away.
	hashInterval = 10 * time.Second
	pollInterval = time.Second
	// callTimeout bounds a call that has a short answer, loadTimeout one that
	// brings the mesh.
	callTimeout = 5 * time.Second
	loadTimeout = 2 * time.Minute
	// maxBatch is how many revisions are compiled at once.
	maxBatch = 256
)

// consumer follows the mesh. Its fields but the last group belong to run.
type consumer struct {
	mesh string
	api  configv1.ConfigServiceClient
	bus  *bus.Conn // nil: none
	pub  *compile.Publisher
	log  *slog.Logger
	m    *metrics

	hash  resource.StateHash
	etags map[resource.Key]string

	// Shared.
	have   atomic.Int64
	loaded atomic.Bool
	lag    atomic.Bool // the subscription to the bus does not stand
	// stands is told when it does: what was published before is to be asked for.
	stands chan struct{}
}

// run follows the mesh until ctx ends.
func (c *consumer) run(ctx context.Context) {
	events := make(chan *busv1.RevisionEvent, maxBatch)
	c.lag.Store(true)
	if c.bus != nil {
		// Before the snapshot is read: what comes in between is in one of them.
		go c.subscribe(ctx, events)
	}
	wait := newBackoff()
	for !c.loaded.Load() {
		if err := c.load(ctx); err != nil {
			c.log.Warn("cannot read the mesh", "error", err)
			if !wait.sleep(ctx) {
				return
			}
		}
	}
	var checked time.Time
	for {
		check := func() {
			checked = time.Now()
			if err := c.compare(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("cannot compare the state with the config API", "error", err)
				c.m.failures.WithLabelValues("compare").Inc()
			}
		}
		// The bus may go away during any wait, so none is longer than this.
		timer := time.NewTimer(pollInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case e := <-events:
			timer.Stop()
			c.take(ctx, e, events)
		case <-c.stands:
			timer.Stop()
			check()
		case <-timer.C:
			away := c.bus == nil || !c.bus.Connected() || c.lag.Load()
			if away || time.Since(checked) >= hashInterval {
				check()
			}
		}
	}
}

// subscribe keeps a subscription to the revisions of the mesh.
func (c *consumer) subscribe(ctx context.Context, events chan<- *busv1.RevisionEvent) {
	wait := newBackoff()
	for ctx.Err() == nil {
		err := c.follow(ctx, events, wait)
		c.lag.Store(true)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("cannot follow the bus", "error", err)
		}
		if !wait.sleep(ctx) {
			return
		}
	}
}

// follow reads the bus until that ends.
func (c *consumer) follow(ctx context.Context, events chan<- *busv1.RevisionEvent, wait *backoffer) error {
	consumer, err := c.bus.JetStream().OrderedConsumer(ctx, bus.StreamRevisions, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.RevisionSubject(c.mesh)}, DeliverPolicy: jetstream.DeliverNewPolicy})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// Whoever is first makes it.
		if err = c.bus.EnsureStream(ctx); err == nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer func() {
		stop()
		messages.Stop()
	}()
	c.lag.Store(false)
	wait.reset()
	select {
	case c.stands <- struct{}{}:
	default:
	}
	for {
		message, err := messages.Next()
		if err != nil {
			return err
		}
		e := new(busv1.RevisionEvent)
		if err := proto.Unmarshal(message.Data(), e); err != nil {
			c.log.Error("not a revision event", "subject", message.Subject(), "error", err)
			continue
		}
		if e.GetMesh() != c.mesh {
			continue
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load reads the whole mesh.
func (c *consumer) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	stream, err := c.api.ReadSnapshot(ctx, &configv1.ReadSnapshotRequest{})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetMesh() != c.mesh {
		return fmt.Errorf("the config API serves mesh %q, not %q", first.GetMesh(), c.mesh)
	}
	all := first.GetResources()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		all = append(all, m.GetResources()...)
	}
	hash, etags := resource.StateHash{}, make(map[resource.Key]string, len(all))
	for _, r := range all {
		key, etag := resource.KeyOf(r), r.GetMetadata().GetEtag()
		etags[key] = etag
		hash.Add(key, etag)
	}
	if hash.String() != first.GetStateHash() {
		return fmt.Errorf("snapshot of revision %d: its state hash is %s, not %s", first.GetRevision(), hash.String(), first.GetStateHash())
	}
	c.hash, c.etags = hash, etags
	c.pub.Reset(first.GetRevision(), all)
	c.at(first.GetRevision())
	c.loaded.Store(true)
	c.m.loads.Inc()
	c.log.Info("read the mesh", "revision", first.GetRevision(), "resources", len(all))
	return nil
}

func (c *consumer) at(revision int64) {
	c.have.Store(revision)
	c.m.revision.Set(float64(revision))
}

// take handles an event and those that wait behind it.
func (c *consumer) take(ctx context.Context, e *busv1.RevisionEvent, more <-chan *busv1.RevisionEvent) {
	var batch []*configv1.Revision
	next := c.have.Load() + 1
	gap := false
	for {
		switch n := e.GetRevision().GetNumber(); {
		case n < next:
			// Told twice.
		case n == next && !e.GetChangesOmitted():
			batch = append(batch, e.GetRevision())
			next++
		default:
			gap = true
		}
		if gap || len(batch) >= maxBatch || len(more) == 0 {
			break
		}
		e = <-more
	}
	err := c.apply(batch)
	if err == nil && gap {
		c.m.gaps.Inc()
		err = c.readRange(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("reading the mesh again", "error", err)
		c.m.failures.WithLabelValues("apply").Inc()
		if err := c.load(ctx); err != nil {
			// The next comparison tries again.
			c.log.Warn("cannot read the mesh", "error", err)
		}
	}
}

// readRange reads what is missing up to the head.
func (c *consumer) readRange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	stream, err := c.api.ReadRange(ctx, &configv1.ReadRangeRequest{FromRevision: c.have.Load() + 1})
	if err != nil {
		return err
	}
	var batch []*configv1.Revision
	for {
		r, err := stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err == nil {
			batch = append(batch, r)
		}
		if err != nil || len(batch) >= maxBatch {
			if err := c.apply(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if err != nil {
			return nil
		}
	}
}

// apply takes consecutive revisions as one change.
func (c *consumer) apply(batch []*configv1.Revision) error {
	if len(batch) == 0 {
		return nil
	}
	last := map[resource.Key]*configv1.Resource{}
	for i, r := range batch {
		if r.GetNumber() != c.have.Load()+1+int64(i) {
			return fmt.Errorf("revision %d does not follow on %d", r.GetNumber(), c.have.Load()+int64(i))
		}
		for _, change := range r.GetChanges() {
			key := resource.KeyOf(change.GetResource())
			if old, had := c.etags[key]; had {
				c.hash.Remove(key, old)
				delete(c.etags, key)
			}
			last[key] = nil
			if change.GetAction() != configv1.Change_ACTION_DELETED {
				etag := change.GetResource().GetMetadata().GetEtag()
				c.hash.Add(key, etag)
				c.etags[key] = etag
				last[key] = change.GetResource()
			}
		}
	}
	changes := make([]compile.Change, 0, len(last))
	for key, r := range last {
		changes = append(changes, compile.Change{Key: key, Resource: r})
	}
	newest := batch[len(batch)-1]
	start := time.Now()
	c.pub.Apply(newest.GetNumber(), changes)
	c.m.compile.Observe(time.Since(start).Seconds())
	c.at(newest.GetNumber())
	if c.hash.String() != newest.GetStateHash() {
		return fmt.Errorf("revision %d: the state hash is %s here and %s there", newest.GetNumber(), c.hash.String(), newest.GetStateHash())
	}
	return nil
}

// compare asks the config API what the state is and catches up.
func (c *consumer) compare(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	head, err := c.api.StateHash(asked, &configv1.StateHashRequest{})
	if err != nil {
		return err
	}
	switch have := c.have.Load(); {
	case head.GetRevision() > have:
		if err := c.readRange(ctx); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return err
		}
		return c.load(ctx)
	case head.GetRevision() < have || head.GetStateHash() != c.hash.String():
		// The store went back in time, or we went astray.
		c.log.Error("the state differs from the config API's", "revision", have, "theirs", head.GetRevision())
		c.m.failures.WithLabelValues("hash").Inc()
		return c.load(ctx)
	}
	return nil
}
