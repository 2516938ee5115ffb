package formatter

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Format is a compiled text or JSON format.
type Format interface {
	Append(b []byte, i *streaminfo.Info) []byte
}

// Decoded is a SubstitutionFormatString.
type Decoded struct {
	Format
	ContentType string // "": the default of the form
	JSON        bool
}

// Decode compiles a SubstitutionFormatString at p.
func Decode(f *corev3.SubstitutionFormatString, p fieldpath.Path, o Options) (*Decoded, error) {
	o.OmitEmpty = f.GetOmitEmptyValues()
	d := &Decoded{ContentType: f.GetContentType()}
	var err error
	switch k := f.GetFormat().(type) {
	case *corev3.SubstitutionFormatString_TextFormat:
		d.Format, err = CompileText(k.TextFormat, o)
		return d, p.Field("text_format").Wrap(err)
	case *corev3.SubstitutionFormatString_TextFormatSource:
		at := p.Field("text_format_source")
		text, err := support.Data(k.TextFormatSource, at)
		if err != nil {
			return nil, err
		}
		d.Format, err = CompileText(string(text), o)
		return d, at.Wrap(err)
	case *corev3.SubstitutionFormatString_JsonFormat:
		d.JSON = true
		d.Format, err = CompileJSON(k.JsonFormat.AsMap(), o)
		return d, p.Field("json_format").Wrap(err)
	}
	return nil, p.Errorf("a format is required")
}

// BodyType is the content type of a body in this format.
func (d *Decoded) BodyType() string {
	switch {
	case d.ContentType != "":
		return d.ContentType
	case d.JSON:
		return "application/json"
	}
	return "text/plain"
}
