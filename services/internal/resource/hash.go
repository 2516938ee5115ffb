package resource

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Etag hashes what the user wrote of a resource: labels, annotations and
// spec, and nothing that the server adds. It is the same on every machine
// and in every version: it goes over values, not over an encoding.
func Etag(r *configv1.Resource) string {
	h := hasher{}
	h.stringMap(r.GetMetadata().GetLabels())
	h.stringMap(r.GetMetadata().GetAnnotations())
	h.object(r.GetSpec())
	sum := sha256.Sum256(h.buf)
	return hex.EncodeToString(sum[:16])
}

// hasher writes values in a form in which different values differ: each
// with a tag and its length.
type hasher struct{ buf []byte }

func (h *hasher) text(tag byte, s string) {
	h.buf = append(h.buf, tag)
	h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
	h.buf = append(h.buf, s...)
}

func (h *hasher) count(tag byte, n int) {
	h.buf = append(h.buf, tag)
	h.buf = binary.AppendUvarint(h.buf, uint64(n))
}

func (h *hasher) stringMap(m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	h.count('m', len(keys))
	for _, k := range keys {
		h.text('k', k)
		h.text('s', m[k])
	}
}

func (h *hasher) object(s *structpb.Struct) {
	keys := make([]string, 0, len(s.GetFields()))
	for k := range s.GetFields() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	h.count('o', len(keys))
	for _, k := range keys {
		h.text('k', k)
		h.value(s.Fields[k])
	}
}

func (h *hasher) value(v *structpb.Value) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		h.text('s', k.StringValue)
	case *structpb.Value_NumberValue:
		h.buf = append(h.buf, 'n')
		h.buf = binary.BigEndian.AppendUint64(h.buf, math.Float64bits(k.NumberValue))
	case *structpb.Value_BoolValue:
		if k.BoolValue {
			h.buf = append(h.buf, 't')
		} else {
			h.buf = append(h.buf, 'f')
		}
	case *structpb.Value_StructValue:
		h.object(k.StructValue)
	case *structpb.Value_ListValue:
		h.count('l', len(k.ListValue.GetValues()))
		for _, item := range k.ListValue.GetValues() {
			h.value(item)
		}
	default:
		h.buf = append(h.buf, '0')
	}
}

// StateHash is the hash of a whole mesh, kept up in constant time a change:
// the sum modulo 2^256 of SHA-256(kind NUL namespace NUL name NUL etag) over
// its resources. It tells accidental divergence, not an attacker's. The zero
// value is the empty mesh.
type StateHash struct {
	// Least significant word first.
	words [4]uint64
}

// Add counts a resource in.
func (s *StateHash) Add(k Key, etag string) {
	var carry uint64
	for i, w := range element(k, etag) {
		s.words[i], carry = bits.Add64(s.words[i], w, carry)
	}
}

// Remove takes a resource out that was added with the same etag.
func (s *StateHash) Remove(k Key, etag string) {
	var borrow uint64
	for i, w := range element(k, etag) {
		s.words[i], borrow = bits.Sub64(s.words[i], w, borrow)
	}
}

// String is 64 hex digits, most significant first.
func (s *StateHash) String() string {
	var b [32]byte
	for i, w := range s.words {
		binary.BigEndian.PutUint64(b[24-8*i:], w)
	}
	return hex.EncodeToString(b[:])
}

// ParseStateHash reads what String wrote. The empty string is the empty mesh.
func ParseStateHash(text string) (StateHash, error) {
	var s StateHash
	if text == "" {
		return s, nil
	}
	b, err := hex.DecodeString(text)
	if err == nil && len(b) != 32 {
		err = hex.ErrLength
	}
	if err != nil {
		return s, err
	}
	for i := range s.words {
		s.words[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return s, nil
}

func element(k Key, etag string) [4]uint64 {
	sum := sha256.Sum256([]byte(k.Kind + "\x00" + k.Namespace + "\x00" + k.Name + "\x00" + etag))
	var words [4]uint64
	for i := range words {
		words[i] = binary.BigEndian.Uint64(sum[24-8*i:])
	}
	return words
}
