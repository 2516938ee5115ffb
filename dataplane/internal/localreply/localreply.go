package localreply

import (
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Mapper is ResponseMapper.
type Mapper struct {
	Filter  accesslog.Filter
	Status  int     // 0: it stays
	Body    *string // nil: it stays
	Format  *Body   // body_format_override
	Headers []route.HeaderOp
}

// Body is a body format with its content type.
type Body struct {
	Format      formatter.Format
	ContentType string
}

// Config is LocalReplyConfig. It is immutable, and called on any worker.
type Config struct {
	Mappers []Mapper
	Format  *Body // nil: the body as it is
}

// Rewrite changes a local reply's headers and the stream's status, and returns
// the body.
func (c *Config) Rewrite(w *event.Worker, i *streaminfo.Info, h *header.Map, body string) string {
	format := c.Format
	for k := range c.Mappers {
		m := &c.Mappers[k]
		if !m.Filter.Match(w, i) {
			continue
		}
		if m.Status != 0 {
			i.Code = m.Status
			h.SetID(header.Status, strconv.Itoa(m.Status))
		}
		if m.Body != nil {
			body = *m.Body
		}
		if m.Format != nil {
			format = m.Format
		}
		if len(m.Headers) > 0 {
			route.Apply(h, nil, m.Headers, i, nil)
		}
		break
	}
	if format == nil {
		return body
	}
	i.LocalReplyBody = body
	h.SetID(header.ContentType, format.ContentType)
	return string(format.Format.Append(nil, i))
}
