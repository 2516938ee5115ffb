package formatter

import (
	"unicode/utf8"

	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// form is what an operator's value is in JSON.
type form uint8

const (
	text   form = iota
	number      // digits
	any_        // a value of its own: value() gives it
)

// operator is one compiled command.
type operator struct {
	// append appends the value; false means that there is none.
	append func(b []byte, i *streaminfo.Info) ([]byte, bool)
	form   form
	value  func(i *streaminfo.Info) any // of any_; nil: none
}

// Text is a compiled text format.
type Text struct {
	parts     []compiled
	omitEmpty bool
}

// compiled is a literal or an operator with its limit.
type compiled struct {
	literal string
	op      *operator
	max     int
}

// Options change how formats are evaluated.
type Options struct {
	// OmitEmpty gives "" instead of "-" for an operator without a value, and
	// leaves such fields out of JSON objects (omit_empty_values).
	OmitEmpty bool
	// Hostname is %HOSTNAME%.
	Hostname string
}

// CompileText compiles a text format.
func CompileText(format string, o Options) (*Text, error) {
	parts, err := parse(format)
	if err != nil {
		return nil, err
	}
	t := &Text{omitEmpty: o.OmitEmpty}
	for _, p := range parts {
		if p.cmd == nil {
			t.parts = append(t.parts, compiled{literal: p.literal})
			continue
		}
		op, err := compile(p.cmd, o)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, compiled{op: op, max: p.cmd.max})
	}
	return t, nil
}

// Append appends the evaluated format.
func (t *Text) Append(b []byte, i *streaminfo.Info) []byte {
	for k := range t.parts {
		p := &t.parts[k]
		if p.op == nil {
			b = append(b, p.literal...)
			continue
		}
		at := len(b)
		var ok bool
		if b, ok = p.op.append(b, i); !ok {
			b = b[:at]
			if !t.omitEmpty {
				b = append(b, '-')
			}
			continue
		}
		if p.max >= 0 && len(b)-at > p.max {
			b = b[:at+p.max]
		}
	}
	return b
}

// single returns the only operator of a format that is nothing else.
func (t *Text) single() (*compiled, bool) {
	if len(t.parts) == 1 && t.parts[0].op != nil {
		return &t.parts[0], true
	}
	return nil, false
}

// Header is a Text as a header's value: an operator without a value gives "".
type Header struct{ Text }

// CompileHeader compiles the value of a header.
func CompileHeader(format string, o Options) (*Header, error) {
	o.OmitEmpty = true
	t, err := CompileText(format, o)
	if err != nil {
		return nil, err
	}
	return &Header{*t}, nil
}

// HasOperators says whether anything in the format is evaluated.
func (t *Text) HasOperators() bool {
	for k := range t.parts {
		if t.parts[k].op != nil {
			return true
		}
	}
	return false
}

// appendJSONString appends s as a JSON string. Bytes that are no UTF-8 stand for
// the characters of their number, as in Envoy.
func appendJSONString(b []byte, s []byte) []byte {
	const hex = "0123456789abcdef"
	valid := utf8.Valid(s)
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c >= 0x80 && !valid:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
