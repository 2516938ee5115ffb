package yaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// decoder turns a tree into a message.
type decoder struct {
	allowUnknown bool
	unknown      int // fields left out, when they are allowed
	errs         []error
}

func (d *decoder) fail(p fieldpath.Path, n *node, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n != nil && n.line > 0 {
		text = fmt.Sprintf("%s (line %d)", text, n.line)
	}
	d.errs = append(d.errs, p.Errorf("%s", text))
}

func (d *decoder) err() error { return errors.Join(d.errs...) }

// object decodes the fields of an object, without the one named skip.
func (d *decoder) object(p fieldpath.Path, n *node, m protoreflect.Message, skip string) {
	if n.kind != objectNode {
		if n.kind != nullNode {
			d.fail(p, n, "expected an object, got %s", n.show())
		}
		return
	}
	fields := m.Descriptor().Fields()
	var seen []protoreflect.FieldNumber
	for i, name := range n.keys {
		if name == skip && skip != "" {
			continue
		}
		v, at := n.item[i], p.Field(name)
		f := fields.ByName(protoreflect.Name(name))
		if f == nil {
			f = fields.ByJSONName(name)
		}
		if f == nil {
			d.unknown++
			if !d.allowUnknown {
				d.fail(at, v, "no such field in %s", m.Descriptor().FullName())
			}
			continue
		}
		if slices.Contains(seen, f.Number()) {
			d.fail(at, v, "the field %s stands twice", f.Name())
			continue
		}
		seen = append(seen, f.Number())
		if v.kind == nullNode && !isValue(f) {
			continue
		}
		if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() {
			if set := m.WhichOneof(one); set != nil {
				d.fail(at, v, "cannot be set together with %s", set.Name())
				continue
			}
		}
		d.field(at, v, f, m)
	}
}

func isValue(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == "google.protobuf.Value"
}

func (d *decoder) field(p fieldpath.Path, n *node, f protoreflect.FieldDescriptor, m protoreflect.Message) {
	switch {
	case f.IsMap():
		d.mapField(p, n, f, m.Mutable(f).Map())
	case f.IsList():
		list := m.Mutable(f).List()
		if n.kind != listNode {
			if v, ok := d.value(p, n, f, list.NewElement); ok {
				list.Append(v)
			}
			return
		}
		for i, x := range n.item {
			if v, ok := d.value(p.Index(i), x, f, list.NewElement); ok {
				list.Append(v)
			}
		}
	default:
		if v, ok := d.value(p, n, f, func() protoreflect.Value { return m.NewField(f) }); ok {
			m.Set(f, v)
		}
	}
}

func (d *decoder) mapField(p fieldpath.Path, n *node, f protoreflect.FieldDescriptor, target protoreflect.Map) {
	if n.kind != objectNode {
		d.fail(p, n, "expected an object, got %s", n.show())
		return
	}
	for i, name := range n.keys {
		at := p.Key(name)
		key := protoreflect.ValueOfString(name)
		if f.MapKey().Kind() != protoreflect.StringKind {
			var ok bool
			if key, ok = d.scalar(at, &node{kind: stringNode, text: name, line: n.line}, f.MapKey()); !ok {
				continue
			}
		}
		if v, ok := d.value(at, n.item[i], f.MapValue(), target.NewValue); ok {
			target.Set(key.MapKey(), v)
		}
	}
}

func (d *decoder) value(p fieldpath.Path, n *node, f protoreflect.FieldDescriptor, newMessage func() protoreflect.Value) (protoreflect.Value, bool) {
	if f.Message() == nil {
		return d.scalar(p, n, f)
	}
	v := newMessage()
	before := len(d.errs)
	d.message(p, n, v.Message())
	return v, len(d.errs) == before
}

// message decodes into a message of any type.
func (d *decoder) message(p fieldpath.Path, n *node, m protoreflect.Message) {
	switch name := m.Descriptor().FullName(); {
	case name == "google.protobuf.Any":
		d.any(p, n, m.Interface().(*anypb.Any))
	case name.Parent() == "google.protobuf":
		d.wellKnown(p, n, m)
	default:
		d.object(p, n, m, "")
	}
}

// any decodes {"@type": ..., fields} into an Any of the named message.
func (d *decoder) any(p fieldpath.Path, n *node, out *anypb.Any) {
	if n.kind != objectNode {
		d.fail(p, n, "expected an object with @type, got %s", n.show())
		return
	}
	if len(n.keys) == 0 {
		return
	}
	t := n.get("@type")
	if t == nil || t.kind != stringNode || t.text == "" {
		d.fail(p.Field("@type"), n, "is missing")
		return
	}
	found, err := protoregistry.GlobalTypes.FindMessageByURL(t.text)
	if err != nil {
		d.fail(p.Field("@type"), t, "unknown type %q", t.text)
		return
	}
	inner := found.New()
	before := len(d.errs)
	if inner.Descriptor().FullName().Parent() == "google.protobuf" {
		if v := n.get("value"); v != nil {
			d.message(p.Field("value"), v, inner)
		} else if inner.Descriptor().FullName() != "google.protobuf.Empty" {
			d.fail(p.Field("value"), n, "is missing")
		}
	} else {
		d.object(p, n, inner, "@type")
	}
	if len(d.errs) > before {
		return
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner.Interface())
	if err != nil {
		d.fail(p, n, "%v", err)
		return
	}
	out.TypeUrl, out.Value = t.text, value
}

func (d *decoder) enum(p fieldpath.Path, n *node, e protoreflect.EnumDescriptor) (protoreflect.Value, bool) {
	switch n.kind {
	case stringNode:
		for i := range e.Values().Len() {
			if v := e.Values().Get(i); strings.EqualFold(string(v.Name()), n.text) {
				return protoreflect.ValueOfEnum(v.Number()), true
			}
		}
		fallthrough
	case numberNode:
		if i, ok := whole(n.text, 32, true); ok {
			if v := e.Values().ByNumber(protoreflect.EnumNumber(i)); v != nil {
				return protoreflect.ValueOfEnum(v.Number()), true
			}
		}
	}
	d.fail(p, n, "%s is not a value of %s", n.show(), e.FullName())
	return protoreflect.Value{}, false
}
