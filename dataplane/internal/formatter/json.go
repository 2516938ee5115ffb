package formatter

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// JSON is a compiled json_format: an object whose strings are formats.
type JSON struct {
	root node
	omit bool
}

// node is one value of the object.
type node struct {
	fixed  []byte // a constant, as JSON
	text   *Text
	fields []field
	list   []node
	kind   nodeKind
}

type field struct {
	key  []byte // with quotes and colon
	node node
}

type nodeKind uint8

const (
	fixedNode nodeKind = iota
	textNode
	objectNode
	listNode
)

// CompileJSON compiles an object of strings, numbers, booleans, nulls, lists
// and objects. Keys are written in their order.
func CompileJSON(object map[string]any, o Options) (*JSON, error) {
	n, err := compileNode(object, o)
	if err != nil {
		return nil, err
	}
	return &JSON{root: n, omit: o.OmitEmpty}, nil
}

func compileNode(v any, o Options) (node, error) {
	switch v := v.(type) {
	case string:
		t, err := CompileText(v, Options{OmitEmpty: o.OmitEmpty, Hostname: o.Hostname})
		if err != nil {
			return node{}, err
		}
		if !t.HasOperators() {
			return node{kind: fixedNode, fixed: appendJSONString(nil, t.Append(nil, nil))}, nil
		}
		return node{kind: textNode, text: t}, nil
	case map[string]any:
		n := node{kind: objectNode}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			c, err := compileNode(v[k], o)
			if err != nil {
				return node{}, err
			}
			n.fields = append(n.fields, field{append(appendJSONString(nil, []byte(k)), ':'), c})
		}
		return n, nil
	case []any:
		n := node{kind: listNode}
		for _, x := range v {
			c, err := compileNode(x, o)
			if err != nil {
				return node{}, err
			}
			n.list = append(n.list, c)
		}
		return n, nil
	}
	fixed, err := json.Marshal(v)
	return node{kind: fixedNode, fixed: fixed}, err
}

// Append appends the evaluated object and a line end.
func (j *JSON) Append(b []byte, i *streaminfo.Info) []byte {
	b, _ = j.append(b, &j.root, i)
	return append(b, '\n')
}

// append appends a node; false means that it is empty and left out.
func (j *JSON) append(b []byte, n *node, i *streaminfo.Info) ([]byte, bool) {
	switch n.kind {
	case textNode:
		return j.appendText(b, n.text, i)
	case objectNode:
		b = append(b, '{')
		first := true
		for k := range n.fields {
			f := &n.fields[k]
			at := len(b)
			if !first {
				b = append(b, ',')
			}
			b = append(b, f.key...)
			var ok bool
			if b, ok = j.append(b, &f.node, i); !ok {
				b = b[:at]
				continue
			}
			first = false
		}
		return append(b, '}'), true
	case listNode:
		b = append(b, '[')
		first := true
		for k := range n.list {
			at := len(b)
			if !first {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = j.append(b, &n.list[k], i); !ok {
				b = b[:at]
				continue
			}
			first = false
		}
		return append(b, ']'), true
	}
	if j.omit && string(n.fixed) == "null" {
		return b, false
	}
	return append(b, n.fixed...), true
}

// appendText appends a format's value; a format of one operator keeps the
// operator's type.
func (j *JSON) appendText(b []byte, t *Text, i *streaminfo.Info) ([]byte, bool) {
	c, single := t.single()
	var scratch [256]byte
	if !single {
		return appendJSONString(b, t.Append(scratch[:0], i)), true
	}
	if c.op.form == any_ {
		v := c.op.value(i)
		if v == nil {
			return j.none(b)
		}
		if s, ok := v.(string); ok {
			if c.max >= 0 && len(s) > c.max {
				s = s[:c.max]
			}
			return appendJSONString(b, []byte(s)), true
		}
		return appendValue(b, v), true
	}
	s, ok := c.op.append(scratch[:0], i)
	if !ok {
		return j.none(b)
	}
	if c.max >= 0 && len(s) > c.max {
		s = s[:c.max]
	}
	if c.op.form == number {
		return append(b, s...), true
	}
	return appendJSONString(b, s), true
}

func (j *JSON) none(b []byte) ([]byte, bool) {
	if j.omit {
		return b, false
	}
	return append(b, "null"...), true
}

// appendValue appends a plain value as JSON.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		return appendFloat(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, out...)
}

func appendFloat(b []byte, f float64) []byte {
	if f == float64(int64(f)) {
		return strconv.AppendInt(b, int64(f), 10)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}
