package manager

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// codeSchemas are the one-statistic schemas of response codes, shared by all
// clusters.
type codeSchemas struct {
	mu        sync.Mutex
	byCode    map[int]*stats.Schema
	byClass   [6]*stats.Schema
	completed *stats.Schema
}

func newCodeSchemas() *codeSchemas {
	c := &codeSchemas{byCode: map[int]*stats.Schema{}, completed: stats.NewSchema(stats.C("upstream_rq_completed"))}
	for i := range c.byClass {
		c.byClass[i] = stats.NewSchema(stats.C("upstream_rq_" + strconv.Itoa(i) + "xx"))
	}
	return c
}

func (c *codeSchemas) code(status int) *stats.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byCode[status]
	if s == nil {
		s = stats.NewSchema(stats.C("upstream_rq_" + strconv.Itoa(status)))
		c.byCode[status] = s
	}
	return s
}

// codes counts responses of one cluster; it implements upstream.CodeStats.
type codes struct {
	schemas                                  *codeSchemas
	store                                    *stats.Store
	prefix                                   string // "cluster.<name>."
	mu                                       sync.Mutex
	groups                                   []*stats.Group
	plain, internal, external, canary, retry list
}

// list is the handles of the statuses that were seen; it is replaced as a
// whole, and short.
type list struct{ p atomic.Pointer[[]codeHandles] }

type codeHandles struct {
	status                 int
	code, class, completed stats.Counter
}

// Charge implements upstream.CodeStats.
func (c *codes) Charge(l *stats.Local, status int, internal, canary bool) {
	c.charge(&c.plain, "", l, status)
	if internal {
		c.charge(&c.internal, "internal.", l, status)
	} else {
		c.charge(&c.external, "external.", l, status)
	}
	if canary {
		c.charge(&c.canary, "canary.", l, status)
	}
}

// ChargeRetry implements upstream.CodeStats.
func (c *codes) ChargeRetry(l *stats.Local, status int) { c.charge(&c.retry, "retry.", l, status) }

func (c *codes) charge(x *list, sub string, l *stats.Local, status int) {
	if p := x.p.Load(); p != nil {
		for i := range *p {
			if h := &(*p)[i]; h.status == status {
				h.code.Inc(l)
				h.class.Inc(l)
				h.completed.Inc(l)
				return
			}
		}
	}
	if status < 100 || status > 599 {
		return
	}
	c.learn(x, sub, status)
	c.charge(x, sub, l, status)
}

// learn makes the handles of a status that is seen for the first time.
func (c *codes) learn(x *list, sub string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next []codeHandles
	if p := x.p.Load(); p != nil {
		for _, h := range *p {
			if h.status == status {
				return
			}
		}
		next = append(next, *p...)
	}
	group := func(s *stats.Schema) stats.Counter {
		g := c.store.Group(c.prefix+sub, s)
		c.groups = append(c.groups, g)
		return g.Counter(0)
	}
	next = append(next, codeHandles{
		status: status, code: group(c.schemas.code(status)), class: group(c.schemas.byClass[status/100]), completed: group(c.schemas.completed),
	})
	x.p.Store(&next)
}

// release takes the statistics away.
func (c *codes) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups {
		g.Release()
	}
	c.groups = nil
}
