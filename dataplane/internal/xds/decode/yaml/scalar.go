package yaml

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

func (d *decoder) scalar(p fieldpath.Path, n *node, f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		if n.kind == stringNode {
			return protoreflect.ValueOfString(n.text), true
		}
		d.fail(p, n, "expected a string, got %s", n.show())
	case protoreflect.BytesKind:
		if n.kind == stringNode {
			if b, err := decodeBase64(n.text); err == nil {
				return protoreflect.ValueOfBytes(b), true
			}
		}
		d.fail(p, n, "expected base64, got %s", n.show())
	case protoreflect.BoolKind:
		if n.kind == boolNode {
			return protoreflect.ValueOfBool(n.yes), true
		}
		if n.kind == stringNode {
			switch strings.ToLower(n.text) { // as absl::SimpleAtob
			case "true", "t", "yes", "y", "1":
				return protoreflect.ValueOfBool(true), true
			case "false", "f", "no", "n", "0":
				return protoreflect.ValueOfBool(false), true
			}
		}
		d.fail(p, n, "expected true or false, got %s", n.show())
	case protoreflect.EnumKind:
		return d.enum(p, n, f.Enum())
	default:
		return d.number(p, n, f)
	}
	return protoreflect.Value{}, false
}

// decodeBase64 takes both alphabets, with or without padding.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

func (d *decoder) number(p fieldpath.Path, n *node, f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if n.kind == numberNode || n.kind == stringNode {
		switch f.Kind() {
		case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
			if i, ok := whole(n.text, 32, true); ok {
				return protoreflect.ValueOfInt32(int32(i)), true
			}
		case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
			if i, ok := whole(n.text, 64, true); ok {
				return protoreflect.ValueOfInt64(i), true
			}
		case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
			if i, ok := whole(n.text, 32, false); ok {
				return protoreflect.ValueOfUint32(uint32(i)), true
			}
		case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
			if i, ok := whole(n.text, 64, false); ok {
				return protoreflect.ValueOfUint64(uint64(i)), true
			}
		case protoreflect.FloatKind:
			if v, err := strconv.ParseFloat(n.text, 32); err == nil {
				return protoreflect.ValueOfFloat32(float32(v)), true
			}
		default:
			if v, err := strconv.ParseFloat(n.text, 64); err == nil {
				return protoreflect.ValueOfFloat64(v), true
			}
		}
	}
	d.fail(p, n, "expected a number (%s), got %s", f.Kind(), n.show())
	return protoreflect.Value{}, false
}

// whole reads a whole number, written with or without fraction or exponent;
// an unsigned one comes as its bits.
func whole(s string, bits int, signed bool) (int64, bool) {
	if signed {
		if i, err := strconv.ParseInt(s, 10, bits); err == nil {
			return i, true
		}
	} else if u, err := strconv.ParseUint(s, 10, bits); err == nil {
		return int64(u), true
	}
	if f, err := strconv.ParseFloat(s, 64); err != nil || math.Abs(f) > 1<<64 {
		return 0, false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() {
		return 0, false
	}
	if signed {
		i := r.Num()
		if !i.IsInt64() || bits == 32 && int64(int32(i.Int64())) != i.Int64() {
			return 0, false
		}
		return i.Int64(), true
	}
	u := r.Num()
	if !u.IsUint64() || bits == 32 && u.Uint64() > math.MaxUint32 {
		return 0, false
	}
	return int64(u.Uint64()), true
}

// wellKnown decodes the messages that have a JSON form of their own.
func (d *decoder) wellKnown(p fieldpath.Path, n *node, m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *durationpb.Duration:
		if n.kind == stringNode {
			if v, ok := duration(n.text); ok {
				x.Seconds, x.Nanos = v.Seconds, v.Nanos
				return
			}
		}
		d.fail(p, n, "expected a duration such as \"1.5s\", got %s", n.show())
	case *structpb.Struct:
		if n.kind != objectNode {
			d.fail(p, n, "expected an object, got %s", n.show())
			return
		}
		x.Fields = toValue(n).GetStructValue().GetFields()
	case *structpb.Value:
		x.Kind = toValue(n).Kind
	case *structpb.ListValue:
		if n.kind != listNode {
			d.fail(p, n, "expected a list, got %s", n.show())
			return
		}
		x.Values = toValue(n).GetListValue().GetValues()
	default:
		if v := m.Descriptor().Fields().ByName("value"); v != nil && m.Descriptor().Fields().Len() == 1 {
			if s, ok := d.scalar(p, n, v); ok { // a wrapper
				m.Set(v, s)
			}
			return
		}
		if n.kind == objectNode && len(n.keys) == 0 { // Empty
			return
		}
		if n.kind != stringNode || protojson.Unmarshal([]byte(strconv.Quote(n.text)), m.Interface()) != nil {
			d.fail(p, n, "expected a %s, got %s", m.Descriptor().Name(), n.show())
		}
	}
}

// duration reads seconds with at most nine digits after the point and an "s".
func duration(s string) (*durationpb.Duration, bool) {
	s, ok := strings.CutSuffix(s, "s")
	if !ok {
		return nil, false
	}
	digits, negative := strings.CutPrefix(s, "-")
	secs, frac, _ := strings.Cut(digits, ".")
	if secs == "" || strings.Trim(secs, "0123456789") != "" || strings.Trim(frac, "0123456789") != "" || len(frac) > 9 {
		return nil, false
	}
	n, err := strconv.ParseInt(secs, 10, 64)
	if err != nil || n > int64(math.MaxInt64/time.Second) {
		return nil, false
	}
	nanos, err := strconv.ParseInt((frac + "000000000")[:9], 10, 32)
	if err != nil {
		return nil, false
	}
	if negative {
		n, nanos = -n, -nanos
	}
	return &durationpb.Duration{Seconds: n, Nanos: int32(nanos)}, true
}

func toValue(n *node) *structpb.Value {
	switch n.kind {
	case boolNode:
		return structpb.NewBoolValue(n.yes)
	case numberNode:
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil {
			return structpb.NewStringValue(n.text)
		}
		return structpb.NewNumberValue(f)
	case stringNode:
		return structpb.NewStringValue(n.text)
	case listNode:
		l := &structpb.ListValue{}
		for _, x := range n.item {
			l.Values = append(l.Values, toValue(x))
		}
		return structpb.NewListValue(l)
	case objectNode:
		s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(n.keys))}
		for i, k := range n.keys {
			s.Fields[k] = toValue(n.item[i])
		}
		return structpb.NewStructValue(s)
	}
	return structpb.NewNullValue()
}

// fromValue is the reverse of toValue; keys of objects have no order.
func fromValue(v *structpb.Value) *node {
	switch k := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return &node{kind: boolNode, yes: k.BoolValue}
	case *structpb.Value_NumberValue:
		return &node{kind: numberNode, text: strconv.FormatFloat(k.NumberValue, 'g', -1, 64)}
	case *structpb.Value_StringValue:
		return &node{kind: stringNode, text: k.StringValue}
	case *structpb.Value_ListValue:
		n := &node{kind: listNode}
		for _, x := range k.ListValue.GetValues() {
			n.item = append(n.item, fromValue(x))
		}
		return n
	case *structpb.Value_StructValue:
		return fromStruct(k.StructValue)
	}
	return &node{}
}
