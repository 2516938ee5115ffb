package decode

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// unknown finds a field that the message's type does not have
// (--reject-unknown-dynamic-fields).
func unknown(m protoreflect.Message, p fieldpath.Path) (err error) {
	if b := m.GetUnknown(); len(b) > 0 {
		n, _, _ := protowire.ConsumeTag(b)
		return p.Errorf("%s has no field with number %d", m.Descriptor().FullName(), n)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := p.Field(string(f.Name()))
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
					err = unknown(v.Message(), at.Key(k.String()))
					return err == nil
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = unknown(v.List().Get(i).Message(), at.Index(i))
			}
		default:
			err = unknown(v.Message(), at)
		}
		return err == nil
	})
	return err
}
