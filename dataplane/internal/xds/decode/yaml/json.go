package yaml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads JSON with the trailing commas that Envoy's parser takes.
func parseJSON(data []byte) (*node, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("invalid JSON: not UTF-8")
	}
	p := jsonParser{s: string(data), line: 1}
	n, err := p.value(0)
	if err == nil {
		if p.space(); p.i < len(p.s) {
			err = fmt.Errorf("unexpected %q after the value", p.s[p.i])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("invalid JSON, line %d: %w", p.line, err)
	}
	return n, nil
}

type jsonParser struct {
	s    string
	i    int
	line int
}

var errEnd = errors.New("unexpected end")

func (p *jsonParser) space() {
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\n':
			p.line++
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	p.space()
	if p.i >= len(p.s) {
		return nil, errEnd
	}
	n := &node{line: p.line}
	switch c := p.s[p.i]; {
	case c == '{':
		n.kind = objectNode
		return n, p.object(n, depth)
	case c == '[':
		n.kind = listNode
		return n, p.list(n, depth)
	case c == '"':
		n.kind = stringNode
		var err error
		n.text, err = p.str()
		return n, err
	case c == '-' || c >= '0' && c <= '9':
		n.kind = numberNode
		start := p.i
		for p.i < len(p.s) && strings.IndexByte("+-.eE0123456789", p.s[p.i]) >= 0 {
			p.i++
		}
		n.text = p.s[start:p.i]
		if _, err := strconv.ParseFloat(n.text, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%q is not a number", n.text)
		}
		return n, nil
	}
	for word, k := range map[string]kind{"null": nullNode, "true": boolNode, "false": boolNode} {
		if strings.HasPrefix(p.s[p.i:], word) {
			p.i += len(word)
			n.kind, n.yes = k, word == "true"
			return n, nil
		}
	}
	return nil, fmt.Errorf("unexpected %q", p.s[p.i])
}

func (p *jsonParser) object(n *node, depth int) error {
	p.i++
	for {
		p.space()
		if p.i >= len(p.s) {
			return errEnd
		}
		if p.s[p.i] == '}' {
			p.i++
			return nil
		}
		if p.s[p.i] != '"' {
			return fmt.Errorf("unexpected %q, a name is expected", p.s[p.i])
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		if n.get(key) != nil {
			return fmt.Errorf("the key %q stands twice", key)
		}
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != ':' {
			return fmt.Errorf("a colon is expected after %q", key)
		}
		p.i++
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.keys, n.item = append(n.keys, key), append(n.item, v)
		if done, err := p.next('}'); done || err != nil {
			return err
		}
	}
}

func (p *jsonParser) list(n *node, depth int) error {
	p.i++
	for {
		p.space()
		if p.i < len(p.s) && p.s[p.i] == ']' {
			p.i++
			return nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.item = append(n.item, v)
		if done, err := p.next(']'); done || err != nil {
			return err
		}
	}
}

// next takes a comma, or the end of a list or object.
func (p *jsonParser) next(end byte) (done bool, err error) {
	p.space()
	if p.i >= len(p.s) {
		return false, errEnd
	}
	c := p.s[p.i]
	p.i++
	if c == ',' || c == end {
		return c == end, nil
	}
	p.i--
	return false, fmt.Errorf("unexpected %q, ',' or %q is expected", c, end)
}

func (p *jsonParser) str() (string, error) {
	p.i++
	end := p.i
	for end < len(p.s) && p.s[end] != '"' && p.s[end] != '\\' && p.s[end] >= ' ' {
		end++
	}
	if end < len(p.s) && p.s[end] == '"' {
		s := p.s[p.i:end]
		p.i = end + 1
		return s, nil
	}
	b := []byte(p.s[p.i:end])
	for p.i = end; p.i < len(p.s); {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			return "", fmt.Errorf("control character %#02x in a string", c)
		case c != '\\':
			b = append(b, c)
		default:
			var err error
			if b, err = p.escape(b); err != nil {
				return "", err
			}
		}
	}
	return "", errEnd
}

func (p *jsonParser) escape(b []byte) ([]byte, error) {
	if p.i >= len(p.s) {
		return nil, errEnd
	}
	c := p.s[p.i]
	p.i++
	if k := strings.IndexByte(`"\/bfnrt`, c); k >= 0 {
		return append(b, "\"\\/\b\f\n\r\t"[k]), nil
	}
	if c != 'u' {
		return nil, fmt.Errorf(`unknown escape \%c`, c)
	}
	r, err := p.hex4()
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
		p.i += 2
		low, err := p.hex4()
		if err != nil {
			return nil, err
		}
		r = utf16.DecodeRune(r, low)
	}
	return utf8.AppendRune(b, r), nil
}

func (p *jsonParser) hex4() (rune, error) {
	if p.i+4 > len(p.s) {
		return 0, errEnd
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`\u%s is not a character`, p.s[p.i:p.i+4])
	}
	p.i += 4
	return rune(n), nil
}
