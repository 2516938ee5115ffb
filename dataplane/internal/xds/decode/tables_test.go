package decode

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// A table that names what no message has would refuse what it means to allow.
func TestTablesNameRealFields(t *testing.T) {
	tab, err := support.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range tab {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, ok := d.(protoreflect.MessageDescriptor)
		if !ok {
			t.Errorf("%s is no message", name)
			continue
		}
		for f, what := range fields {
			fd := m.Fields().ByName(protoreflect.Name(f))
			if fd == nil {
				t.Errorf("%s has no field %s", name, f)
				continue
			}
			for _, v := range what.Values {
				if fd.Enum() != nil && fd.Enum().Values().ByName(protoreflect.Name(v)) == nil {
					t.Errorf("%s.%s has no value %s", name, f, v)
				}
			}
			// What is supported must be described in turn.
			inner := fd.Message()
			if fd.IsMap() {
				inner = fd.MapValue().Message()
			}
			if inner != nil && what.Ignored == "" && inner.FullName().Parent() != "google.protobuf" {
				if _, ok := tab[string(inner.FullName())]; !ok {
					t.Errorf("%s.%s is supported, but no table describes %s", name, f, inner.FullName())
				}
			}
		}
	}
}
