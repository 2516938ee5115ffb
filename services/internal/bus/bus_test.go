package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

func connect(t *testing.T) *Conn {
	t.Helper()
	s, err := StartEmbedded(EmbeddedConfig{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if s.URL() != "" {
		t.Errorf("a server without an address says %q", s.URL())
	}
	c, err := Connect(Config{Embedded: s, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func revision(n int64, size int) *configv1.Revision {
	return &configv1.Revision{Number: n, Mesh: "m", StateHash: "h", ChangeCount: 1, Changes: []*configv1.Change{{
		Resource: &configv1.Resource{Kind: "Service", Metadata: &configv1.Metadata{Annotations: map[string]string{"a": strings.Repeat("x", size)}}}}}}
}

func TestPublishingAgainIsHarmless(t *testing.T) {
	c, ctx := connect(t), t.Context()
	// The first makes the stream.
	for _, n := range []int64{1, 2, 2, 1, 3} {
		if err := c.PublishRevision(ctx, revision(n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PublishRevision(ctx, revision(4, MaxEventBytes)); err != nil {
		t.Fatal(err)
	}
	consumer, err := c.JetStream().OrderedConsumer(ctx, StreamRevisions, jetstream.OrderedConsumerConfig{FilterSubjects: []string{RevisionSubject("m")}})
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= 4; n++ {
		msg, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		var e busv1.RevisionEvent
		if err := proto.Unmarshal(msg.Data(), &e); err != nil {
			t.Fatal(err)
		}
		if e.GetRevision().GetNumber() != n || e.GetPreviousRevision() != n-1 || e.GetMesh() != "m" {
			t.Errorf("event %d is %v", n, &e)
		}
		if omitted := n == 4; e.GetChangesOmitted() != omitted || (len(e.GetRevision().GetChanges()) == 0) != omitted {
			t.Errorf("event %d: changes omitted %v", n, e.GetChangesOmitted())
		}
		if id := msg.Headers().Get("Nats-Msg-Id"); id != MessageID("m", n) {
			t.Errorf("event %d has id %q", n, id)
		}
	}
}

func TestConnectDoesNotNeedTheServer(t *testing.T) {
	c, err := Connect(Config{URL: "nats://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Connected() {
		t.Error("connected to nothing")
	}
	if err := c.PublishRevision(t.Context(), revision(1, 1)); err == nil {
		t.Error("published to nothing")
	}
}

func TestMeshNames(t *testing.T) {
	for name, want := range map[string]bool{"default": true, "a-1": true, "": false, "a.b": false, "*": false, "A": false, "-a": false, strings.Repeat("a", 64): false} {
		if got := ValidMesh(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
