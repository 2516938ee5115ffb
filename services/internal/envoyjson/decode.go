package envoyjson

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Problem is one offending field.
type Problem struct {
	Path, Message string
}

// Decode fills m from the JSON object and checks it. Paths start with path.
func Decode(path string, object *structpb.Struct, m proto.Message) []Problem {
	d := decoder{}
	d.object(path, object, m.ProtoReflect(), "@type")
	if len(d.problems) == 0 {
		d.validate(path, m)
	}
	return d.problems
}

type decoder struct {
	problems []Problem
}

func (d *decoder) fail(path, format string, args ...any) {
	d.problems = append(d.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// object decodes the fields of an object, without the one named skip.
func (d *decoder) object(path string, object *structpb.Struct, m protoreflect.Message, skip string) {
	seen := map[protoreflect.FieldNumber]string{}
	for _, name := range sortedNames(object) {
		if name == skip {
			continue
		}
		value, at := object.Fields[name], path+"."+name
		fields := m.Descriptor().Fields()
		field := fields.ByJSONName(name)
		if field == nil {
			field = fields.ByName(protoreflect.Name(name))
		}
		if field == nil {
			d.fail(at, "unknown field of %s", m.Descriptor().FullName())
			continue
		}
		if other, double := seen[field.Number()]; double {
			d.fail(at, "is the same field as %s", other)
			continue
		}
		seen[field.Number()] = name
		if _, null := value.GetKind().(*structpb.Value_NullValue); null && !isValue(field) {
			continue
		}
		if one := field.ContainingOneof(); one != nil && !one.IsSynthetic() {
			if set := m.WhichOneof(one); set != nil {
				d.fail(at, "cannot be set together with %s", set.Name())
				continue
			}
		}
		d.field(at, value, field, m)
	}
}

func isValue(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == "google.protobuf.Value"
}

func (d *decoder) field(at string, value *structpb.Value, field protoreflect.FieldDescriptor, m protoreflect.Message) {
	switch {
	case field.IsMap():
		d.mapField(at, value, field, m.Mutable(field).Map())
	case field.IsList():
		target := m.Mutable(field).List()
		items := []*structpb.Value{value}
		list, isList := value.GetKind().(*structpb.Value_ListValue)
		if isList {
			items = list.ListValue.GetValues()
		}
		for i, item := range items {
			itemAt := at
			if isList {
				itemAt = fmt.Sprintf("%s[%d]", at, i)
			}
			if v, ok := d.value(itemAt, item, field, target.NewElement); ok {
				target.Append(v)
			}
		}
	default:
		if v, ok := d.value(at, value, field, func() protoreflect.Value { return m.NewField(field) }); ok {
			m.Set(field, v)
		}
	}
}

func (d *decoder) mapField(at string, value *structpb.Value, field protoreflect.FieldDescriptor, target protoreflect.Map) {
	object, ok := value.GetKind().(*structpb.Value_StructValue)
	if !ok {
		d.fail(at, "expected an object")
		return
	}
	for _, name := range sortedNames(object.StructValue) {
		keyAt := at + "." + name
		key, ok := d.mapKey(keyAt, name, field.MapKey())
		if !ok {
			continue
		}
		v, ok := d.value(keyAt, object.StructValue.Fields[name], field.MapValue(), target.NewValue)
		if ok {
			target.Set(key, v)
		}
	}
}

func (d *decoder) mapKey(at, name string, key protoreflect.FieldDescriptor) (protoreflect.MapKey, bool) {
	if key.Kind() == protoreflect.StringKind {
		return protoreflect.ValueOfString(name).MapKey(), true
	}
	v, ok := d.scalar(at, structpb.NewStringValue(name), key)
	if !ok {
		return protoreflect.MapKey{}, false
	}
	return v.MapKey(), true
}

func (d *decoder) value(at string, value *structpb.Value, field protoreflect.FieldDescriptor,
	newMessage func() protoreflect.Value,
) (protoreflect.Value, bool) {
	if field.Message() == nil {
		return d.scalar(at, value, field)
	}
	v := newMessage()
	before := len(d.problems)
	if name := field.Message().FullName(); name == "google.protobuf.Any" {
		d.any(at, value, v.Message())
	} else if name.Parent() == "google.protobuf" {
		d.wellKnown(at, value, v.Message())
	} else if object, ok := value.GetKind().(*structpb.Value_StructValue); ok {
		d.object(at, object.StructValue, v.Message(), "")
		d.secrets(at, v.Message())
	} else {
		d.fail(at, "expected an object")
	}
	return v, len(d.problems) == before
}

// wellKnown leaves durations, wrappers, structs and the like to protojson.
func (d *decoder) wellKnown(at string, value *structpb.Value, m protoreflect.Message) {
	data, err := protojson.Marshal(value)
	if err == nil {
		err = protojson.Unmarshal(data, m.Interface())
	}
	if err != nil {
		d.fail(at, "%s is not a %s", data, m.Descriptor().Name())
	}
}

// any decodes {"@type": ..., fields} into an Any of the named message.
func (d *decoder) any(at string, value *structpb.Value, m protoreflect.Message) {
	object, ok := value.GetKind().(*structpb.Value_StructValue)
	if !ok {
		d.fail(at, "expected an object with @type")
		return
	}
	url := object.StructValue.GetFields()["@type"].GetStringValue()
	if url == "" {
		d.fail(at+".@type", "is missing")
		return
	}
	found, err := types().FindMessageByURL(url)
	if err != nil {
		d.fail(at+".@type", "unknown type %q", url)
		return
	}
	inner := found.New()
	before := len(d.problems)
	if inner.Descriptor().FullName().Parent() == "google.protobuf" {
		d.wellKnown(at+".value", object.StructValue.GetFields()["value"], inner)
	} else {
		d.object(at, object.StructValue, inner, "@type")
		d.secrets(at, inner)
	}
	if len(d.problems) > before {
		return
	}
	d.validate(at, inner.Interface())
	packed := new(anypb.Any)
	if err := anypb.MarshalFrom(packed, inner.Interface(), proto.MarshalOptions{Deterministic: true}); err != nil {
		d.fail(at, "%v", err)
		return
	}
	packed.TypeUrl = url
	proto.Merge(m.Interface(), packed)
}

func (d *decoder) scalar(at string, value *structpb.Value, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch field.Kind() {
	case protoreflect.StringKind:
		if s, ok := value.GetKind().(*structpb.Value_StringValue); ok {
			return protoreflect.ValueOfString(s.StringValue), true
		}
		d.fail(at, "expected a string, got %s", value)
	case protoreflect.BytesKind:
		if s, ok := value.GetKind().(*structpb.Value_StringValue); ok {
			if b, err := base64.StdEncoding.DecodeString(s.StringValue); err == nil {
				return protoreflect.ValueOfBytes(b), true
			}
		}
		d.fail(at, "expected base64")
	case protoreflect.BoolKind:
		switch k := value.GetKind().(type) {
		case *structpb.Value_BoolValue:
			return protoreflect.ValueOfBool(k.BoolValue), true
		case *structpb.Value_StringValue:
			if b, err := strconv.ParseBool(k.StringValue); err == nil {
				return protoreflect.ValueOfBool(b), true
			}
		}
		d.fail(at, "expected true or false, got %s", value)
	case protoreflect.EnumKind:
		return d.enum(at, value, field.Enum())
	default:
		return d.number(at, value, field)
	}
	return protoreflect.Value{}, false
}

func (d *decoder) enum(at string, value *structpb.Value, enum protoreflect.EnumDescriptor) (protoreflect.Value, bool) {
	switch k := value.GetKind().(type) {
	case *structpb.Value_StringValue:
		for i := range enum.Values().Len() {
			if v := enum.Values().Get(i); strings.EqualFold(string(v.Name()), k.StringValue) {
				return protoreflect.ValueOfEnum(v.Number()), true
			}
		}
	case *structpb.Value_NumberValue:
		if v := enum.Values().ByNumber(protoreflect.EnumNumber(k.NumberValue)); v != nil {
			return protoreflect.ValueOfEnum(v.Number()), true
		}
	}
	d.fail(at, "%s is not a value of %s", value, enum.FullName())
	return protoreflect.Value{}, false
}

func (d *decoder) number(at string, value *structpb.Value, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	var text string
	switch k := value.GetKind().(type) {
	case *structpb.Value_StringValue:
		text = k.StringValue
	case *structpb.Value_NumberValue:
		text = strconv.FormatFloat(k.NumberValue, 'f', -1, 64)
	}
	var v protoreflect.Value
	var err error
	switch field.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		var n int64
		n, err = strconv.ParseInt(text, 10, 32)
		v = protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		v = protoreflect.ValueOfInt64(n)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		var n uint64
		n, err = strconv.ParseUint(text, 10, 32)
		v = protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		var n uint64
		n, err = strconv.ParseUint(text, 10, 64)
		v = protoreflect.ValueOfUint64(n)
	case protoreflect.FloatKind:
		var f float64
		f, err = strconv.ParseFloat(text, 32)
		v = protoreflect.ValueOfFloat32(float32(f))
	default:
		var f float64
		f, err = strconv.ParseFloat(text, 64)
		v = protoreflect.ValueOfFloat64(f)
	}
	if err != nil {
		d.fail(at, "%s is not a %s", value, field.Kind())
		return protoreflect.Value{}, false
	}
	return v, true
}

func sortedNames(object *structpb.Struct) []string {
	names := make([]string, 0, len(object.GetFields()))
	for name := range object.GetFields() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func types() *protoregistry.Types { return protoregistry.GlobalTypes }
