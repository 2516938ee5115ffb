package support

import (
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// Data reads a DataSource at p: a file, an environment variable, or what is
// given inline. nil reads as nothing.
func Data(d *corev3.DataSource, p fieldpath.Path) ([]byte, error) {
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), nil
	case *corev3.DataSource_Filename:
		b, err := os.ReadFile(s.Filename)
		if err != nil {
			return nil, p.Field("filename").Errorf("unable to read file: %w", err)
		}
		return b, nil
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			return nil, p.Field("environment_variable").Wrap(fmt.Errorf("the environment variable %q is not set", s.EnvironmentVariable))
		}
		return []byte(v), nil
	}
	return nil, nil
}
