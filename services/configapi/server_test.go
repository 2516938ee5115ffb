package configapi

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	rolloutv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/rollout/v1"
	"github.com/hawser-mesh/hawser/services/internal/bus"
	"github.com/hawser-mesh/hawser/services/internal/pgtest"
)

func pgMain(m *testing.M) int { return pgtest.Main(m) }

const adminToken = "test-admin-token-0123456789"

const shop = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: hawser
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, labels: {app: shop}}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: cart, port: 80}]
---
apiVersion: hawser.dev/v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80}]}
`

// harness is a running server and a client of it.
type harness struct {
	t      *testing.T
	server *Server
	client configv1.ConfigServiceClient
	conn   *grpc.ClientConn
	stop   func()
}

// start runs a server until the test ends or stop is called.
func start(t *testing.T, cfg Config) *harness {
	t.Helper()
	if cfg.Store == (StoreConfig{}) {
		cfg.Store.SQLitePath = filepath.Join(t.TempDir(), "store.db")
	}
	if cfg.Bus == nil && cfg.NATS == (NATSConfig{}) {
		cfg.Bus = natsServer(t, bus.EmbeddedConfig{StoreDir: t.TempDir()})
	}
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.AdminToken = "127.0.0.1:0", "127.0.0.1:0", adminToken
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	h := &harness{t: t, server: s, client: configv1.NewConfigServiceClient(conn), conn: conn}
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(h.stop)
	h.eventually("ready", func() bool { return s.notReady(ctx) == "" })
	return h
}

func natsServer(t *testing.T, cfg bus.EmbeddedConfig) *bus.Server {
	t.Helper()
	s, err := bus.StartEmbedded(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// eventually waits for what only real sockets and processes can bring about.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s did not come about", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func as(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func (h *harness) ctx() context.Context { return as(h.t, adminToken) }

func (h *harness) apply(manifest string) *configv1.ApplyResponse {
	h.t.Helper()
	answer, err := h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(manifest), ManagedBy: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// fields gives the field paths that an error names.
func fields(err error) (paths []string) {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				paths = append(paths, v.GetField())
			}
		}
	}
	return paths
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

func TestApplyGetList(t *testing.T) {
	h := start(t, Config{})
	first := h.apply(shop)
	if first.GetRevision() != 1 || len(first.GetChanges()) != 3 || first.GetChanges()[0].GetAction() != configv1.Change_ACTION_CREATED {
		t.Fatalf("%v", first)
	}
	if again := h.apply(shop); again.GetRevision() != 1 || again.GetChanges()[0].GetAction() != configv1.Change_ACTION_UNCHANGED {
		t.Errorf("applying the same again made revision %d, %v", again.GetRevision(), again.GetChanges())
	}
	route, err := h.client.Get(h.ctx(), &configv1.GetRequest{Kind: "httproute", Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	m := route.GetMetadata()
	if m.GetNamespace() != "default" || m.GetRevision() != 1 || m.GetGeneration() != 1 || m.GetManagedBy() != "test" || m.GetUid() == "" {
		t.Errorf("metadata %v", m)
	}
	if n := len(route.GetStatus().GetConditions()); n != 3 {
		t.Errorf("%d conditions", n)
	}
	h.apply(strings.ReplaceAll(shop, "app: shop", "app: store"))
	for selector, want := range map[string]int{"": 3, "app=store": 1, "app=shop": 0, "!app": 2} {
		list, err := h.client.List(h.ctx(), &configv1.ListRequest{LabelSelector: selector})
		if err != nil || len(list.GetResources()) != want {
			t.Errorf("%q: %d resources, want %d (%v)", selector, len(list.GetResources()), want, err)
		}
	}
	var names []string
	for token := ""; ; {
		page, err := h.client.List(h.ctx(), &configv1.ListRequest{PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, page.GetResources()[0].GetMetadata().GetName())
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if strings.Join(names, " ") != "edge shop cart" {
		t.Errorf("pages %v", names)
	}
	_, err = h.client.Get(h.ctx(), &configv1.GetRequest{Kind: "Service", Name: "none"})
	wantCode(t, "get", err, codes.NotFound)
}

func TestBadInputChangesNothing(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	route := "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
	for name, tc := range map[string]struct {
		manifest string
		code     codes.Code
		fields   string
	}{
		"empty":           {"", codes.InvalidArgument, "manifest"},
		"not yaml":        {"a: [", codes.InvalidArgument, "line 1"},
		"unknown kind":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}", codes.InvalidArgument, "Pod/default/p: kind"},
		"unknown field":   {route + "{parent: 1, hostname: 2}", codes.InvalidArgument, "HTTPRoute/default/r: spec.hostname HTTPRoute/default/r: spec.parent"},
		"wrong type":      {route + "{rules: 5}", codes.InvalidArgument, "HTTPRoute/default/r: spec.rules"},
		"bad reference":   {route + "{parentRefs: [{name: a}, {name: b}]}", codes.InvalidArgument, "HTTPRoute/default/r: spec.parentRefs[0].name HTTPRoute/default/r: spec.parentRefs[1].name"},
		"duplicate":       {route + "{}\n---\n" + route + "{}", codes.InvalidArgument, "HTTPRoute/default/r: metadata.name"},
		"10 MiB":          {strings.Repeat("#", 10<<20), codes.ResourceExhausted, ""},
		"20 MiB":          {strings.Repeat("#", 20<<20), codes.ResourceExhausted, ""},
		"port gone":       {strings.ReplaceAll(shop[strings.Index(shop, "---\napiVersion: hawser"):], "port: 80", "port: 81"), codes.InvalidArgument, "HTTPRoute/default/shop: spec.rules[0].backendRefs[0].port"},
		"port gone whole": {strings.Replace(shop, "ports: [{port: 80}]", "ports: [{port: 81}]", 1), codes.InvalidArgument, "HTTPRoute/default/shop: spec.rules[0].backendRefs[0].port"},
		"gateway clash":   {strings.ReplaceAll(shop[:strings.Index(shop, "---")], "edge", "second"), codes.InvalidArgument, "Gateway/default/second: spec.listeners[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(tc.manifest)})
			wantCode(t, "apply", err, tc.code)
			if got := strings.Join(fields(err), " "); got != tc.fields {
				t.Errorf("fields %q, want %q (%v)", got, tc.fields, err)
			}
		})
	}
	_, err := h.client.Delete(h.ctx(), &configv1.DeleteRequest{Kind: "Service", Name: "cart"})
	if got := fields(err); len(got) != 1 || got[0] != "HTTPRoute/default/shop: spec.rules[0].backendRefs[0].name" {
		t.Errorf("deleting what is referred to: %v", err)
	}
	state, err := h.client.StateHash(h.ctx(), &configv1.StateHashRequest{})
	if err != nil || state.GetRevision() != 1 {
		t.Errorf("revision %d after refused writes (%v)", state.GetRevision(), err)
	}
}

func TestPreconditionsAndDryRun(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	get := func() *configv1.Resource {
		r, err := h.client.Get(h.ctx(), &configv1.GetRequest{Kind: "Service", Name: "cart"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old := get()
	service := shop[strings.Index(shop, "---\napiVersion: hawser"):]
	changed := strings.Replace(service, "port: 80", "port: 80, protocol: HTTP2", 1)
	try := func(req *configv1.ApplyRequest) error {
		_, err := h.client.Apply(h.ctx(), req)
		return err
	}
	dry, err := h.client.Apply(h.ctx(), &configv1.ApplyRequest{Manifest: []byte(changed), DryRun: true})
	if err != nil || dry.GetRevision() != 1 || dry.GetChanges()[0].GetAction() != configv1.Change_ACTION_UPDATED {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	if get().GetMetadata().GetEtag() != old.GetMetadata().GetEtag() {
		t.Error("a dry run changed something")
	}
	wantCode(t, "wrong etag", try(&configv1.ApplyRequest{Manifest: []byte(changed), IfMatch: "x"}), codes.Aborted)
	wantCode(t, "wrong revision", try(&configv1.ApplyRequest{Manifest: []byte(changed), IfRevision: 7}), codes.Aborted)
	wantCode(t, "right etag", try(&configv1.ApplyRequest{Manifest: []byte(changed), IfMatch: old.GetMetadata().GetEtag()}), codes.OK)
	wantCode(t, "stale etag", try(&configv1.ApplyRequest{Manifest: []byte(service), IfMatch: old.GetMetadata().GetEtag()}), codes.Aborted)
	wantCode(t, "stale metadata.etag", try(&configv1.ApplyRequest{Resources: []*configv1.Resource{old}}), codes.Aborted)
	wantCode(t, "must exist", try(&configv1.ApplyRequest{Manifest: []byte(strings.ReplaceAll(service, "cart", "new")), IfMatch: "*"}), codes.Aborted)
	wantCode(t, "two resources", try(&configv1.ApplyRequest{Manifest: []byte(shop), IfMatch: "*"}), codes.InvalidArgument)
}

func TestHistoryDiffRevert(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	h.apply(strings.Replace(shop, "port: 8080", "port: 8081", 1) + "---\napiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w}\nspec: {address: 10.0.0.1}\n")
	diff, err := h.client.Diff(h.ctx(), &configv1.DiffRequest{FromRevision: 1})
	if err != nil || len(diff.GetDiffs()) != 2 || diff.GetToRevision() != 2 {
		t.Fatalf("%v, %v", diff, err)
	}
	if f := diff.GetDiffs()[0].GetFields(); len(f) != 1 || f[0].GetPath() != "spec.listeners[0].port" || f[0].GetBefore() != "8080" || f[0].GetAfter() != "8081" {
		t.Errorf("fields %v", f)
	}
	back, err := h.client.Revert(h.ctx(), &configv1.RevertRequest{Revision: 1})
	if err != nil || back.GetRevision() != 3 || len(back.GetChanges()) != 2 {
		t.Fatalf("%v, %v", back, err)
	}
	same, err := h.client.Diff(h.ctx(), &configv1.DiffRequest{FromRevision: 1})
	if err != nil || len(same.GetDiffs()) != 0 {
		t.Errorf("after the revert: %v, %v", same, err)
	}
	one, err := h.client.GetRevision(h.ctx(), &configv1.GetRevisionRequest{Revision: 1})
	if err != nil || one.GetStateHash() != back.GetStateHash() || one.GetAuthor() != "bootstrap" {
		t.Errorf("%v, %v", one, err)
	}
	history, err := h.client.History(h.ctx(), &configv1.HistoryRequest{Kind: "Gateway", Name: "edge", PageSize: 2})
	if err != nil || len(history.GetRevisions()) != 2 || history.GetNextPageToken() == "" || history.GetRevisions()[0].GetNumber() != 3 {
		t.Errorf("%v, %v", history, err)
	}
	if noop, err := h.client.Revert(h.ctx(), &configv1.RevertRequest{Revision: 3}); err != nil || noop.GetRevision() != 3 {
		t.Errorf("reverting to now: %v, %v", noop, err)
	}
	_, err = h.client.Revert(h.ctx(), &configv1.RevertRequest{Revision: 99})
	wantCode(t, "revert to 99", err, codes.NotFound)
}

func TestTokensRolesAndAudit(t *testing.T) {
	h := start(t, Config{})
	create := func(ctx context.Context, name, role string, namespaces ...string) (string, error) {
		answer, err := h.client.CreateToken(ctx, &configv1.CreateTokenRequest{Name: name, Role: role, Namespaces: namespaces})
		return answer.GetSecret(), err
	}
	editor, err := create(h.ctx(), "ci", "editor", "shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = create(h.ctx(), "ci", "reader")
	wantCode(t, "twice", err, codes.AlreadyExists)
	_, err = create(h.ctx(), "x", "root")
	wantCode(t, "role", err, codes.InvalidArgument)
	admin, err := create(h.ctx(), "lead", "admin", "shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = create(as(t, admin), "sub", "reader", "shop")
	wantCode(t, "admin in its namespace", err, codes.OK)
	_, err = create(as(t, admin), "more", "reader")
	wantCode(t, "admin beyond its namespace", err, codes.PermissionDenied)

	apply := func(token, namespace string) error {
		_, err := h.client.Apply(as(t, token), &configv1.ApplyRequest{Manifest: []byte(shop), DefaultNamespace: namespace})
		return err
	}
	wantCode(t, "none", apply("", "shop"), codes.Unauthenticated)
	wantCode(t, "wrong", apply("hwt_wrong", "shop"), codes.Unauthenticated)
	wantCode(t, "editor at home", apply(editor, "shop"), codes.OK)
	wantCode(t, "editor abroad", apply(editor, "default"), codes.PermissionDenied)
	list, err := h.client.List(as(t, editor), &configv1.ListRequest{})
	if err != nil || len(list.GetResources()) != 3 {
		t.Errorf("editor lists %d (%v)", len(list.GetResources()), err)
	}
	_, err = h.client.ListAudit(as(t, editor), &configv1.ListAuditRequest{})
	wantCode(t, "audit", err, codes.PermissionDenied)
	if _, err := h.client.RevokeToken(h.ctx(), &configv1.RevokeTokenRequest{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "revoked", apply(editor, "shop"), codes.Unauthenticated)

	audit, err := h.client.ListAudit(h.ctx(), &configv1.ListAuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range audit.GetRecords() {
		lines = append(lines, r.GetMethod()+" "+r.GetActor()+" "+r.GetCode())
	}
	want := []string{"Apply ci Unauthenticated", "RevokeToken bootstrap OK", "Apply ci PermissionDenied", "Apply ci OK", "Apply  Unauthenticated", "Apply  Unauthenticated",
		"CreateToken lead PermissionDenied", "CreateToken lead OK", "CreateToken bootstrap OK", "CreateToken bootstrap InvalidArgument", "CreateToken bootstrap AlreadyExists", "CreateToken bootstrap OK"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("audit:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestWatch(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	watch, err := h.client.Watch(h.ctx(), &configv1.WatchRequest{Kind: "Service", FromRevision: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Header(); err != nil {
		t.Fatal(err)
	}
	h.apply(strings.Replace(shop, "selector: {app: cart}", "selector: {app: basket}", 1))
	h.apply(strings.Replace(strings.Replace(shop, "selector: {app: cart}", "selector: {app: basket}", 1), "app: shop", "app: store", 1))
	for number, changes := range []int{2: 1, 3: 0} {
		if number < 2 {
			continue
		}
		got, err := watch.Recv()
		if err != nil || got.GetRevision().GetNumber() != int64(number) || len(got.GetRevision().GetChanges()) != changes {
			t.Fatalf("revision %d: %v, %v", number, got, err)
		}
	}
	_, err = h.client.Watch(h.ctx(), &configv1.WatchRequest{FromRevision: 99})
	if err != nil {
		t.Fatal(err)
	}
	// Shutdown ends the stream and does not wait for it.
	go h.stop()
	for err == nil {
		_, err = watch.Recv()
	}
	if c := status.Code(err); c != codes.Unavailable && c != codes.Canceled {
		t.Errorf("end of watch: %v", err)
	}
	h.stop()
}

func TestWorkloadsLiveByHeartbeats(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	h.apply("apiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: w, labels: {app: cart}}\nspec: {address: 10.0.0.1, ttl: 1s}\n")
	beat, err := h.client.Heartbeat(h.ctx(), &configv1.HeartbeatRequest{Name: "w"})
	if err != nil || beat.GetInterval().AsDuration() <= 0 {
		t.Fatalf("%v, %v", beat, err)
	}
	watch, err := h.client.Watch(h.ctx(), &configv1.WatchRequest{FromRevision: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	r := got.GetRevision()
	if r.GetAuthor() != "system" || len(r.GetChanges()) != 1 || r.GetChanges()[0].GetAction() != configv1.Change_ACTION_DELETED {
		t.Errorf("%v", r)
	}
	_, err = h.client.Heartbeat(h.ctx(), &configv1.HeartbeatRequest{Name: "w"})
	wantCode(t, "heartbeat of what is gone", err, codes.NotFound)
	again := &configv1.HeartbeatRequest{Name: "w", Workload: r.GetChanges()[0].GetResource()}
	again.Workload.Metadata.Etag = ""
	if beat, err := h.client.Heartbeat(h.ctx(), again); err != nil || beat.GetRevision() != 4 {
		t.Errorf("%v, %v", beat, err)
	}
	if beat, err := h.client.Heartbeat(h.ctx(), again); err != nil || beat.GetRevision() != 0 {
		t.Errorf("a heartbeat without a change made a revision: %v, %v", beat, err)
	}
}

func TestRollout(t *testing.T) {
	h := start(t, Config{})
	h.apply(shop)
	stream, err := rolloutv1.NewRolloutServiceClient(h.conn).ReportAcks(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	say := func(sequence int64, full bool, ps ...*rolloutv1.ProxyReport) {
		t.Helper()
		if err := stream.Send(&rolloutv1.ReportAcksRequest{DistributorId: "d", Sequence: sequence, Full: full, Proxies: ps}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.GetSequence() != sequence {
			t.Fatalf("%v, %v", got, err)
		}
	}
	condition := func() *configv1.Condition {
		r, err := h.client.Get(h.ctx(), &configv1.GetRequest{Kind: "HTTPRoute", Name: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetStatus().GetConditions()[2]
	}
	if c := condition(); c.GetStatus() != "Unknown" {
		t.Errorf("without proxies: %v", c)
	}
	a := &rolloutv1.ProxyReport{Id: "a", Connected: true}
	b := &rolloutv1.ProxyReport{Id: "b", Connected: true, SettledRevision: 1}
	say(1, true, a, b)
	if c := condition(); c.GetStatus() != "False" || c.GetReason() != "Pending" {
		t.Errorf("pending: %v", c)
	}
	a.SettledRevision = 1
	a.Rejections = []*rolloutv1.ProxyRejection{{Message: "no such filter", Revision: 1,
		Sources: []*configv1.ResourceRef{{Kind: "HTTPRoute", Namespace: "default", Name: "shop"}}}}
	say(2, false, a)
	if c := condition(); c.GetReason() != "Rejected" || !strings.Contains(c.GetMessage(), "no such filter") {
		t.Errorf("rejected: %v", c)
	}
	state, err := h.client.RolloutStatus(h.ctx(), &configv1.RolloutStatusRequest{Revision: 1})
	if err != nil || state.GetProxies() != 2 || state.GetAcknowledged() != 1 || state.GetRejected() != 1 || len(state.GetResources()) != 3 {
		t.Errorf("%v, %v", state, err)
	}
	a.Rejections = nil
	say(3, false, a)
	if c := condition(); c.GetStatus() != "True" {
		t.Errorf("acknowledged: %v", c)
	}
	proxies, err := h.client.ListProxies(h.ctx(), &configv1.ListProxiesRequest{})
	if err != nil || len(proxies.GetProxies()) != 2 {
		t.Errorf("%v, %v", proxies, err)
	}
}

func TestStrictConfiguration(t *testing.T) {
	for want, cfg := range map[string]Config{
		"exactly one of postgresUrl and sqlitePath": {},
		"exactly one of url and embeddedDir":        {Store: StoreConfig{SQLitePath: "x"}},
		"at least 24":                               {AdminToken: "short"},
		"not a DNS label":                           {Mesh: "A.B"},
		"belong together":                           {TLS: TLSConfig{CertFile: "x"}},
		"adminTokenFile: open":                      {AdminTokenFile: "/does/not/exist"},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
