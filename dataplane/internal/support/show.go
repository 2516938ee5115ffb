package support

import (
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// show renders a refused message for an error. protojson mixes in spaces at
// random, so that nobody relies on its form; errors have none.
func show(m proto.Message) string {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil { // an Any of an unknown type
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return limit(compact(string(b)))
}

// compact takes away the spaces between tokens.
func compact(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			b.WriteByte(c)
			i++
			b.WriteByte(s[i])
		case c == '"':
			quoted = !quoted
			b.WriteByte(c)
		case c == ' ' && !quoted:
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func limit(s string) string {
	if len(s) > maxValue {
		return s[:maxValue] + "…"
	}
	return s
}
