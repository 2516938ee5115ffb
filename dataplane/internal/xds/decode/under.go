package decode

import (
	"errors"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// NewRegistry returns a registry without extensions.
func NewRegistry() *Registry {
	return &Registry{
		Network: map[string]Factory{}, HTTP: map[string]Factory{}, PerRoute: map[string]Factory{}, ListenerFilter: map[string]Factory{},
		TransportSocketDown: map[string]Factory{}, TransportSocketUp: map[string]Factory{}, AccessLog: map[string]Factory{},
	}
}

// ListenerPath is where listener i of the bootstrap stands in it.
func (b *Bootstrap) ListenerPath(i int) fieldpath.Path {
	return fieldpath.New("static_resources").Field("listeners").Index(b.index[i])
}

// Under puts the errors of a resource that was decoded on its own below the
// place p where it stands.
func Under(p fieldpath.Path, err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the list itself
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, Under(p, e))
		}
		return errors.Join(out...)
	}
	var at *fieldpath.Error
	if errors.As(err, &at) && at.Path != (fieldpath.Path{}) {
		return p.Field(at.Path.String()).Wrap(at.Err)
	}
	return p.Wrap(err)
}
