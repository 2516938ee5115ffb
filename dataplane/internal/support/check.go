package support

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// maxValue bounds how much of a refused value an error shows, in bytes.
const maxValue = 200

// Check walks the fields that are set in msg, which is at p, and returns an
// error for each one that the tables do not support (joined), nil when there
// is none. It does not look into google.protobuf.Any: whoever unpacks one
// checks what was in it.
func Check(msg proto.Message, p fieldpath.Path) error {
	t, err := Load()
	if err != nil {
		return err
	}
	return t.Check(msg, p)
}

// Check is the package's Check with another table.
func (t Table) Check(msg proto.Message, p fieldpath.Path) error {
	c := checker{table: t}
	c.message(msg.ProtoReflect(), p)
	return errors.Join(c.errs...)
}

type checker struct {
	table Table
	errs  []error
}

// wellKnown messages are values, not configuration of their own.
func wellKnown(n protoreflect.FullName) bool { return n.Parent() == "google.protobuf" }

func (c *checker) message(m protoreflect.Message, p fieldpath.Path) {
	d := m.Descriptor()
	if wellKnown(d.FullName()) {
		return
	}
	fields, ok := c.table[string(d.FullName())]
	if !ok {
		c.errs = append(c.errs, p.Errorf("%s is not supported: %s", d.FullName(), show(m.Interface())))
		return
	}
	before := len(c.errs)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		entry, ok := fields[string(f.Name())]
		switch {
		case !ok:
			c.refuse(f, v, p)
		case entry.Ignored != "":
		case entry.Values != nil:
			c.values(f, v, entry.Values, p)
		case f.Message() != nil:
			c.nested(f, v, p)
		}
		return true
	})
	if len(c.errs) > before+1 { // Range has no order, errors have
		slices.SortFunc(c.errs[before:], func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	}
}

func (c *checker) nested(f protoreflect.FieldDescriptor, v protoreflect.Value, p fieldpath.Path) {
	at := p.Field(string(f.Name()))
	switch {
	case f.IsMap():
		if f.MapValue().Message() == nil || wellKnown(f.MapValue().Message().FullName()) {
			return
		}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			c.message(v.Message(), at.Key(k.String()))
			return true
		})
	case f.IsList():
		if wellKnown(f.Message().FullName()) {
			return
		}
		for i := range v.List().Len() {
			c.message(v.List().Get(i).Message(), at.Index(i))
		}
	default:
		c.message(v.Message(), at)
	}
}

func (c *checker) values(f protoreflect.FieldDescriptor, v protoreflect.Value, allowed []string, p fieldpath.Path) {
	check := func(v protoreflect.Value, at fieldpath.Path) {
		if got := scalar(f, v); !slices.Contains(allowed, got) {
			c.errs = append(c.errs, at.Errorf("the value %s is not supported (supported: %s)", got, strings.Join(allowed, ", ")))
		}
	}
	at := p.Field(string(f.Name()))
	if f.IsList() {
		for i := range v.List().Len() {
			check(v.List().Get(i), at.Index(i))
		}
		return
	}
	check(v, at)
}

func (c *checker) refuse(f protoreflect.FieldDescriptor, v protoreflect.Value, p fieldpath.Path) {
	c.errs = append(c.errs, p.Field(string(f.Name())).Errorf("is not supported: %s", value(f, v)))
}

// scalar is a value as a table writes it; of a wrapper, what it wraps.
func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if f.Enum() != nil {
		if d := f.Enum().Values().ByNumber(v.Enum()); d != nil {
			return string(d.Name())
		}
	}
	if f.Message() != nil && wellKnown(f.Message().FullName()) {
		if inner := f.Message().Fields().ByName("value"); inner != nil {
			return v.Message().Get(inner).String()
		}
	}
	return v.String()
}

func value(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.IsMap() || f.IsList():
		m := f.ContainingMessage()
		return fmt.Sprintf("%d entries of %s.%s", length(f, v), m.Name(), f.Name())
	case f.Message() != nil:
		return show(v.Message().Interface())
	}
	return limit(scalar(f, v))
}

func length(f protoreflect.FieldDescriptor, v protoreflect.Value) int {
	if f.IsMap() {
		return v.Map().Len()
	}
	return v.List().Len()
}
