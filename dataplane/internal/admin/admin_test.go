package admin

import (
	"strings"
	"testing"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

type fakeServer struct {
	state  State
	failed bool
	quit   bool
	drain  *DrainOptions
}

func (f *fakeServer) State() State                  { return f.state }
func (f *fakeServer) Info() any                     { return map[string]string{"state": f.state.String()} }
func (f *fakeServer) FailHealthChecks(fail bool)    { f.failed = fail }
func (f *fakeServer) DrainListeners(o DrainOptions) { f.drain = &o }
func (f *fakeServer) ReopenLogs()                   {}
func (f *fakeServer) Quit()                         { f.quit = true }
func (f *fakeServer) HotRestartVersion() string     { return "disabled" }
func (f *fakeServer) Unready() []string             { return nil }

type fakeLogging map[string]string

func (f fakeLogging) Names() []string       { return []string{"admin", "http"} }
func (f fakeLogging) Level(n string) string { return f[n] }
func (f fakeLogging) SetLevel(n, l string) bool {
	_, known := f[n]
	f[n] = l
	return known
}
func (f fakeLogging) SetAll(l string) {
	for n := range f {
		f[n] = l
	}
}

func newTest() (*Handler, *fakeServer, *stats.Group) {
	store := stats.NewStore()
	schema := stats.NewSchema(stats.C("upstream_rq_200"), stats.G("upstream_rq_active"), stats.H("size", stats.UnitBytes), stats.C("upstream_rq_total"))
	g := store.Group("cluster.a.", schema)
	g.Counter(0).Add(store.Main(), 2)
	for range 4 {
		g.Histogram(2).Record(store.Main(), 100)
	}
	srv := &fakeServer{}
	return New(Sources{
		Stats: store, Tagger: &stats.Tagger{Extractors: stats.DefaultExtractors()}, Server: srv,
		Logging: fakeLogging{"admin": "info", "http": "info"},
	}, nil), srv, g
}

func TestStats(t *testing.T) {
	h, _, _ := newTest()
	for _, c := range []struct {
		target string
		status int
		want   string
	}{
		{"/stats?usedonly&type=Counters", 200, "cluster.a.upstream_rq_200: 2\n"},
		{"/stats?filter=rq_total$", 200, "cluster.a.upstream_rq_total: 0\n"},
		{"/stats?filter=[", 400, "Invalid re2 regex: missing ]: [\n"},
		{"/stats?type=Nonsense", 400, "invalid &type= param"},
		{"/stats?format=nope", 400, "usage: /stats?format=(html|active-html|json|prometheus|text)\n"},
		{"/stats?filter=size", 200, "cluster.a.size: P0(nan,102) P25(nan,102) P50(nan,104) P75(nan,106) P90(nan,108) P95(nan,108) P99(nan,108) P99.5(nan,108) P99.9(nan,108) P100(nan,108)\n"},
		{"/stats?filter=rq_200&format=json", 200, `{"stats":[{"name":"cluster.a.upstream_rq_200","value":2}]}`},
		{"/stats/prometheus?filter=rq_200", 200, "# TYPE envoy_cluster_upstream_rq counter\nenvoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"a\"} 2\n"},
		{"/stats?filter=rq_200&invert_filter&type=Gauges", 200, "cluster.a.upstream_rq_active: 0\n"},
	} {
		r := h.Serve("GET", c.target, nil)
		if r.Status != c.status || string(r.Body) != c.want {
			t.Errorf("%s: %d %q, want %d %q", c.target, r.Status, r.Body, c.status, c.want)
		}
	}
	if b := string(h.Serve("GET", "/stats?filter=size&histogram_buckets=cumulative", nil).Body); !strings.Contains(b, " B50(0,0) B100(0,4) B250(0,4)") {
		t.Error(b)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	h, srv, _ := newTest()
	if r := h.Serve("GET", "/healthcheck/fail", nil); r.Status != 405 || srv.failed {
		t.Errorf("GET of a mutation: %d", r.Status)
	}
	if r := h.Serve("POST", "/healthcheck/fail", nil); r.Status != 200 || !srv.failed {
		t.Errorf("POST: %d", r.Status)
	}
	if r := h.Serve("GET", "/nowhere", nil); r.Status != 404 || !strings.HasPrefix(string(r.Body), "invalid path. admin commands are:\n  /: Admin home page\n") {
		t.Errorf("unknown path: %d %s", r.Status, r.Body)
	}
	r := h.Serve("POST", "/quitquitquit", nil)
	if r.After == nil || srv.quit {
		t.Fatal("quit before the answer")
	}
	srv.state = Draining
	if r := h.Serve("GET", "/ready", nil); r.Status != 503 || string(r.Body) != "DRAINING\n" {
		t.Errorf("ready: %d %s", r.Status, r.Body)
	}
	h.allow = func(p string) bool { return p == "/ready" }
	if r := h.Serve("GET", "/stats", nil); r.Status != 403 {
		t.Errorf("not allowed: %d", r.Status)
	}
}

func TestLogging(t *testing.T) {
	h, _, _ := newTest()
	levelsNow := func() string {
		return strings.ReplaceAll(strings.TrimSpace(string(h.Serve("POST", "/logging", nil).Body)), "\n", "")
	}
	for _, c := range []struct {
		query, problem, after string
	}{
		{"?level=debug", "", "active loggers:  admin: debug  http: debug"},
		{"?http=error", "", "active loggers:  admin: debug  http: error"},
		{"?paths=admin:info,http:warn", "", "active loggers:  admin: info  http: warning"},
		{"?paths=admin:off,http:loud", "unknown logger level", "active loggers:  admin: info  http: warning"},
		{"?nobody=info", "unknown logger name", "active loggers:  admin: info  http: warning"},
		{"?paths=", "empty logger name or empty logger level", "active loggers:  admin: info  http: warning"},
		{"?level=info&http=debug", "invalid number of parameters", "active loggers:  admin: info  http: warning"},
	} {
		r := h.Serve("POST", "/logging"+c.query, nil)
		if c.problem != "" && !strings.HasPrefix(string(r.Body), "error: "+c.problem+"\n") {
			t.Errorf("%s: %s", c.query, r.Body)
		}
		if got := levelsNow(); got != c.after {
			t.Errorf("%s: %s, want %s", c.query, got, c.after)
		}
	}
}
