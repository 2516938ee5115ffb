package configapi

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/pgtest"
)

func workload(i int) string {
	return fmt.Sprintf("apiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w}\nspec: {address: 10.0.0.1, weight: %d}\n", i%128+1)
}

// events reads the revisions in the stream, in its order.
func events(t *testing.T, conn *bus.Conn, want int) []*busv1.RevisionEvent {
	t.Helper()
	consumer, err := conn.JetStream().OrderedConsumer(t.Context(), bus.StreamRevisions, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.RevisionSubject("default")}})
	if err != nil {
		t.Fatal(err)
	}
	var list []*busv1.RevisionEvent
	for len(list) < want {
		msg, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			t.Fatalf("after %d events: %v", len(list), err)
		}
		event := new(busv1.RevisionEvent)
		if err := proto.Unmarshal(msg.Data(), event); err != nil {
			t.Fatal(err)
		}
		list = append(list, event)
	}
	return list
}

func TestEventsReachTheBusInOrder(t *testing.T) {
	nats := natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir()})
	h := start(t, Config{Bus: nats})
	const n = 20
	for i := range n {
		h.apply(workload(i))
	}
	conn, err := bus.Connect(bus.Config{Embedded: nats})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.eventually("stream", func() bool { return conn.EnsureStream(t.Context()) == nil })
	for i, e := range events(t, conn, n) {
		if e.GetRevision().GetNumber() != int64(i+1) || e.GetPreviousRevision() != int64(i) || len(e.GetRevision().GetChanges()) != 1 {
			t.Fatalf("event %d is %v", i, e)
		}
	}
}

func TestLargeRevisionGoesWithoutItsChanges(t *testing.T) {
	nats := natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir()})
	h := start(t, Config{Bus: nats})
	manifest := ""
	for i := range 6000 {
		manifest += fmt.Sprintf("---\napiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w%d, annotations: {note: \"%0150d\"}}\nspec: {address: 10.0.0.1}\n", i, i)
	}
	if answer, err := h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(manifest)}); err != nil || len(answer.GetChanges()) != 6000 {
		t.Fatal(err)
	}
	conn, err := bus.Connect(bus.Config{Embedded: nats})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.eventually("stream", func() bool { return conn.EnsureStream(t.Context()) == nil })
	e := events(t, conn, 1)[0]
	if !e.GetChangesOmitted() || len(e.GetRevision().GetChanges()) != 0 || e.GetRevision().GetChangeCount() != 6000 {
		t.Errorf("%v", e.GetRevision().GetChangeCount())
	}
	stream, err := h.client.ReadSnapshot(h.ctx(), &configv1.ReadSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for {
		part, err := stream.Recv()
		if err != nil {
			break
		}
		total += len(part.GetResources())
	}
	if total != 6000 {
		t.Errorf("the snapshot has %d resources", total)
	}
}

// NATS may be away, and come back with its files or without: writes go on,
// and afterwards the stream has every revision that it lacked.
func TestBusMayBeAway(t *testing.T) {
	dir := t.TempDir()
	first, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: dir, Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	url := first.URL()
	_, portText, err := net.SplitHostPort(url[len("nats://"):])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, Config{NATS: NATSConfig{URL: url}})
	h.apply(workload(1))
	backlog := func() float64 { return gauge(t, h, "hawser_configapi_outbox_revisions") }
	h.eventually("relay", func() bool { return gauge(t, h, "hawser_configapi_relayed_total") == 1 })

	first.Close()
	h.apply(workload(2))
	h.apply(workload(3))
	h.eventually("backlog", func() bool { return backlog() == 2 })
	second, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: dir, Host: "127.0.0.1", Port: port})
	if err != nil {
		t.Fatal(err)
	}
	h.eventually("relay after restart", func() bool { return backlog() == 0 })
	conn, err := bus.Connect(bus.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.eventually("connection", conn.Connected)
	for i, e := range events(t, conn, 3) {
		if e.GetRevision().GetNumber() != int64(i+1) {
			t.Errorf("event %d is revision %d", i, e.GetRevision().GetNumber())
		}
	}

	second.Close()
	third := natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir(), Host: "127.0.0.1", Port: port})
	h.eventually("reconnection", func() bool { return h.server.conn.Load().Connected() })
	h.apply(workload(4))
	h.eventually("relay to an empty server", func() bool { return gauge(t, h, "hawser_configapi_relayed_total") == 4 })
	fresh, err := bus.Connect(bus.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	h.eventually("connection", fresh.Connected)
	if e := events(t, fresh, 1)[0]; e.GetRevision().GetNumber() != 4 || third.URL() != url {
		t.Errorf("the first event of the new stream is %d", e.GetRevision().GetNumber())
	}
}

// gauge reads a metric that has no labels.
func gauge(t *testing.T, h *harness, name string) float64 {
	t.Helper()
	families, err := h.server.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// Postgres may not be there at the start, die and come back.
func TestStoreMayBeAway(t *testing.T) {
	pg, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	h := start(t, Config{Store: StoreConfig{PostgresURL: pg.URL("postgres")}})
	h.apply(workload(1))
	pg.Kill()
	_, err = h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(workload(2))})
	wantCode(t, "without the store", err, codes.Unavailable)
	if code, _, _ := h.rest("GET", "/readyz", "", ""); code != 503 {
		t.Errorf("readyz %d without the store", code)
	}
	if code, _, _ := h.rest("GET", "/livez", "", ""); code != 200 {
		t.Errorf("livez %d without the store", code)
	}
	if err := pg.Launch(); err != nil {
		t.Fatal(err)
	}
	h.eventually("recovery", func() bool { return h.server.notReady(h.ctx()) == "" })
	var answer *configv1.ApplyResponse
	h.eventually("write", func() bool {
		answer, err = h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(workload(2))})
		return err == nil
	})
	if answer.GetRevision() != 2 {
		t.Errorf("revision %d", answer.GetRevision())
	}
	// A server that starts before its store waits for it.
	pg.Kill()
	cfg := Config{Store: StoreConfig{PostgresURL: pg.URL("postgres")}, Bus: natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir()})}
	launched := make(chan error, 1)
	go func() { launched <- pg.Launch() }()
	second := start(t, cfg)
	if err := <-launched; err != nil {
		t.Fatal(err)
	}
	if state, err := second.client.StateHash(second.ctx(), &configv1.StateHashRequest{}); err != nil || state.GetRevision() != 2 {
		t.Errorf("%v, %v", state, err)
	}
}

// Two replicas on one database and one bus see each other's commits and
// each other's proxies.
func TestReplicas(t *testing.T) {
	nats := natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir()})
	url := pgtest.URL(t)
	a := start(t, Config{Store: StoreConfig{PostgresURL: url}, Bus: nats})
	b := start(t, Config{Store: StoreConfig{PostgresURL: url}, Bus: nats})
	watch, err := b.client.Watch(b.ctx(), &configv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Header(); err != nil {
		t.Fatal(err)
	}
	a.apply(workload(1))
	if got, err := watch.Recv(); err != nil || got.GetRevision().GetNumber() != 1 {
		t.Errorf("%v, %v", got, err)
	}
	stream, err := rolloutv1.NewRolloutServiceClient(a.conn).ReportAcks(a.ctx())
	if err != nil {
		t.Fatal(err)
	}
	report := &rolloutv1.ReportAcksRequest{DistributorId: "d", Full: true, Sequence: 1,
		Proxies: []*rolloutv1.ProxyReport{{Id: "p", Connected: true, SettledRevision: 1}}}
	b.eventually("the other replica's proxy", func() bool {
		// Core NATS forgets what was sent before the subscription stood.
		if err := stream.Send(report); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		list, err := b.client.ListProxies(b.ctx(), &configv1.ListProxiesRequest{})
		return err == nil && len(list.GetProxies()) == 1
	})
}
