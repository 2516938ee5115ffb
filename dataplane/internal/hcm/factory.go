package hcm

import (
	"time"
	"unsafe"

	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h1"
	"github.com/hawser-mesh/hawser/dataplane/internal/codec/h2"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Factory makes a connection manager for each connection.
type Factory struct {
	opts     *Options
	group    *stats.Group
	listener *stats.Group
	codecs   Codecs
	workers  []workerState
}

// Codecs are the statistics of the codecs, shared by all managers.
type Codecs struct {
	H1 *h1.Stats
	H2 *h2.Stats
}

// workerState is what a worker keeps between streams.
type workerState struct {
	free   *activeStream
	nfree  int
	date   []byte
	dateAt int64 // unix second
}

// maxFree bounds the streams that a worker keeps for later.
const maxFree = 1024

// NewFactory returns the network filter of a configuration for so many workers
// (worker indices below n).
func NewFactory(o *Options, store *stats.Store, workers int, c Codecs) *Factory {
	if o.ServerName == "" {
		o.ServerName = "envoy"
	}
	f := &Factory{
		opts: o, group: store.Group("http."+o.StatPrefix+".", schema),
		codecs:  c,
		workers: make([]workerState, workers),
	}
	f.listener = store.Group("listener."+o.Listener+".http."+o.StatPrefix+".", listenerSchema)
	return f
}

// Options returns the configuration.
func (f *Factory) Options() *Options { return f.opts }

// AddFilters implements network.FilterFactory.
func (f *Factory) AddFilters(m network.FilterManager) {
	c := &conn{f: f, opts: f.opts, conn: m.Connection(), ws: &f.workers[m.Connection().Worker().Index()]}
	m.AddReadFilter(c)
	m.Connection().AddEvents(c)
}

func (f *Factory) count(w *event.Worker, stat int) { f.group.Counter(stat).Inc(w.Stats()) }

// now formats the date header once a second (RFC 9110 section 6.6.1).
func (ws *workerState) now(t time.Time) string {
	if s := t.Unix(); s != ws.dateAt || ws.date == nil {
		ws.dateAt = s
		ws.date = t.UTC().AppendFormat(ws.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return unsafe.String(&ws.date[0], len(ws.date)) // copied by the header map
}
