package localreply

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Deps are what decoding needs.
type Deps struct {
	Formats formatter.Options
	Runtime accesslog.Runtime // may be nil
	// Headers compiles a list of HeaderValueOption at p.
	Headers func(list []*corev3.HeaderValueOption, p fieldpath.Path) ([]route.HeaderOp, error)
}

// Decode compiles a LocalReplyConfig at p that is checked already.
func Decode(m *hcmv3.LocalReplyConfig, d Deps, p fieldpath.Path) (*Config, error) {
	c := &Config{}
	var err error
	if c.Format, err = body(m.GetBodyFormat(), d, p.Field("body_format")); err != nil {
		return nil, err
	}
	for i, x := range m.GetMappers() {
		at := p.Field("mappers").Index(i)
		out, err := mapper(x, d, at)
		if err != nil {
			return nil, err
		}
		c.Mappers = append(c.Mappers, out)
	}
	return c, nil
}

func mapper(m *hcmv3.ResponseMapper, d Deps, p fieldpath.Path) (Mapper, error) {
	out := Mapper{Status: int(m.GetStatusCode().GetValue())}
	var err error
	if out.Filter, err = accesslog.DecodeFilter(m.GetFilter(), p.Field("filter"), d.Runtime); err != nil {
		return out, err
	}
	if m.GetBody() != nil {
		b, err := support.Data(m.GetBody(), p.Field("body"))
		if err != nil {
			return out, err
		}
		text := string(b)
		out.Body = &text
	}
	if out.Format, err = body(m.GetBodyFormatOverride(), d, p.Field("body_format_override")); err != nil {
		return out, err
	}
	out.Headers, err = d.Headers(m.GetHeadersToAdd(), p.Field("headers_to_add"))
	return out, err
}

func body(m *corev3.SubstitutionFormatString, d Deps, p fieldpath.Path) (*Body, error) {
	if m == nil {
		return nil, nil
	}
	f, err := formatter.Decode(m, p, d.Formats)
	if err != nil {
		return nil, err
	}
	return &Body{Format: f, ContentType: f.BodyType()}, nil
}
