package resource

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Decode gives the typed spec of a resource: *configv1.GatewaySpec,
// *configv1.HTTPRouteSpec, *configv1.ServiceSpec, *configv1.WorkloadSpec or
// *configv1.EnvoyResourceSpec. A resource that Check accepted has no
// violations.
func Decode(r *configv1.Resource) (proto.Message, Violations) {
	k, ok := kindOf(r.GetKind())
	if !ok {
		return nil, Violations{{Field: "kind", Message: unknownKind(r.GetKind())}}
	}
	d := decoder{}
	spec := k.spec()
	d.fields("spec", r.GetSpec(), spec.ProtoReflect())
	return spec, d.violations
}

func unknownKind(name string) string {
	switch name {
	case "GatewayClass", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "ListenerSet", "ConfigMap", "Secret", "Namespace":
		return fmt.Sprintf("kind %q is not supported (supported: %s)", name, strings.Join(Kinds(), ", "))
	}
	return fmt.Sprintf("unknown kind %q (known: %s)", name, strings.Join(Kinds(), ", "))
}

type decoder struct {
	violations Violations
}

func (d *decoder) fail(path, format string, args ...any) {
	d.violations = append(d.violations, Violation{Field: path, Message: fmt.Sprintf(format, args...)})
}

// fields decodes an object into a message. Field names are the JSON names
// only: documents have one spelling.
func (d *decoder) fields(path string, object *structpb.Struct, m protoreflect.Message) {
	names := make([]string, 0, len(object.GetFields()))
	for name := range object.GetFields() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, at := object.Fields[name], join(path, name)
		field := m.Descriptor().Fields().ByJSONName(name)
		if field == nil {
			d.unknown(at, name, value, m.Descriptor())
			continue
		}
		// As in Kubernetes, null is the same as absent.
		if _, null := value.GetKind().(*structpb.Value_NullValue); null {
			continue
		}
		switch {
		case field.IsMap():
			d.mapField(at, value, field, m)
		case field.IsList():
			d.list(at, value, field, m)
		default:
			if v, ok := d.value(at, value, field, m.NewField); ok {
				m.Set(field, v)
			}
		}
	}
}

func (d *decoder) unknown(at, name string, value *structpb.Value, message protoreflect.MessageDescriptor) {
	if slices.Contains(notSupported()[string(message.Name())], name) {
		d.fail(at, "%s is not supported (value %s)", name, short(value.AsInterface()))
		return
	}
	best, distance := "", 3
	for i := range message.Fields().Len() {
		known := message.Fields().Get(i).JSONName()
		if n := editDistance(strings.ToLower(known), strings.ToLower(name)); n < distance {
			best, distance = known, n
		}
	}
	if best != "" {
		d.fail(at, "unknown field (did you mean %q?)", best)
		return
	}
	d.fail(at, "unknown field")
}

// notSupported lists, by message, the fields of the Gateway API that exist
// but that Hawser does not have yet, to tell them from misspelt ones.
func notSupported() map[string][]string {
	return map[string][]string{
		"GatewaySpec":       {"addresses", "infrastructure", "allowedListeners", "tls", "defaultScope", "backendTLS"},
		"GatewayTLS":        {"frontendValidation", "options"},
		"RouteNamespaces":   {"selector"},
		"HTTPRouteSpec":     {"useDefaultGateways"},
		"HTTPRouteRule":     {"sessionPersistence"},
		"HTTPRouteFilter":   {"requestMirror", "cors", "extensionRef", "externalAuth"},
		"HTTPRouteTimeouts": {"idle"},
	}
}

func (d *decoder) list(at string, value *structpb.Value, field protoreflect.FieldDescriptor, m protoreflect.Message) {
	list, ok := value.GetKind().(*structpb.Value_ListValue)
	if !ok {
		d.fail(at, "expected a list, got %s", describe(value))
		return
	}
	target := m.Mutable(field).List()
	for i, item := range list.ListValue.GetValues() {
		newItem := func(protoreflect.FieldDescriptor) protoreflect.Value { return target.NewElement() }
		if v, ok := d.value(index(at, i), item, field, newItem); ok {
			target.Append(v)
		}
	}
}

func (d *decoder) mapField(at string, value *structpb.Value, field protoreflect.FieldDescriptor, m protoreflect.Message) {
	object, ok := value.GetKind().(*structpb.Value_StructValue)
	if !ok {
		d.fail(at, "expected an object, got %s", describe(value))
		return
	}
	target := m.Mutable(field).Map()
	keys := make([]string, 0, len(object.StructValue.GetFields()))
	for key := range object.StructValue.GetFields() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		v, ok := d.value(join(at, key), object.StructValue.Fields[key], field.MapValue(), nil)
		if ok {
			target.Set(protoreflect.ValueOfString(key).MapKey(), v)
		}
	}
}

// value decodes one value of the field's type. newMessage makes the message
// to decode into.
func (d *decoder) value(at string, value *structpb.Value, field protoreflect.FieldDescriptor,
	newMessage func(protoreflect.FieldDescriptor) protoreflect.Value,
) (protoreflect.Value, bool) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		object, ok := value.GetKind().(*structpb.Value_StructValue)
		if !ok {
			d.fail(at, "expected an object, got %s", describe(value))
			return protoreflect.Value{}, false
		}
		if field.Message().FullName() == "google.protobuf.Struct" {
			return protoreflect.ValueOfMessage(object.StructValue.ProtoReflect()), true
		}
		v := newMessage(field)
		d.fields(at, object.StructValue, v.Message())
		return v, true
	case protoreflect.StringKind:
		if s, ok := value.GetKind().(*structpb.Value_StringValue); ok {
			return protoreflect.ValueOfString(s.StringValue), true
		}
		d.fail(at, "expected a string, got %s", describe(value))
	case protoreflect.BoolKind:
		if b, ok := value.GetKind().(*structpb.Value_BoolValue); ok {
			return protoreflect.ValueOfBool(b.BoolValue), true
		}
		d.fail(at, "expected true or false, got %s", describe(value))
	case protoreflect.Int32Kind:
		if n, ok := d.integer(at, value, math.MinInt32, math.MaxInt32); ok {
			return protoreflect.ValueOfInt32(int32(n)), true
		}
	case protoreflect.Uint32Kind:
		if n, ok := d.integer(at, value, 0, math.MaxUint32); ok {
			return protoreflect.ValueOfUint32(uint32(n)), true
		}
	default:
		panic("resource: spec field " + string(field.FullName()) + " has a kind that the decoder lacks")
	}
	return protoreflect.Value{}, false
}

func (d *decoder) integer(at string, value *structpb.Value, least, most float64) (float64, bool) {
	n, ok := value.GetKind().(*structpb.Value_NumberValue)
	switch {
	case !ok || n.NumberValue != math.Trunc(n.NumberValue):
		d.fail(at, "expected an integer, got %s", describe(value))
		return 0, false
	case n.NumberValue < least || n.NumberValue > most:
		d.fail(at, "%v is not within %v to %v", n.NumberValue, least, most)
		return 0, false
	}
	return n.NumberValue, true
}

func describe(v *structpb.Value) string {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return "the string " + short(k.StringValue)
	case *structpb.Value_NumberValue:
		return "the number " + short(k.NumberValue)
	case *structpb.Value_BoolValue:
		return short(k.BoolValue)
	case *structpb.Value_StructValue:
		return "an object"
	case *structpb.Value_ListValue:
		return "a list"
	default:
		return "null"
	}
}

// editDistance is Levenshtein's, for suggestions.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
