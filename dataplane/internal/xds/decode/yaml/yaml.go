package yaml

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseYAML reads one YAML document the way yaml-cpp and Envoy see it.
func parseYAML(data []byte) (*node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return &node{}, nil
		}
		return nil, fmt.Errorf("invalid YAML: %w", err)
	}
	c := converter{done: map[*yaml.Node]*node{}}
	return c.convert(&doc, 0)
}

type converter struct {
	done map[*yaml.Node]*node // what anchors stand for
}

func (c *converter) convert(y *yaml.Node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", y.Line, maxDepth)
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.DocumentNode:
		return c.convert(y.Content[0], depth+1)
	case yaml.AliasNode:
		if t := c.done[y.Alias]; t != nil {
			return t, nil
		}
		return nil, fmt.Errorf("line %d: the anchor %q contains itself", y.Line, y.Value)
	case yaml.ScalarNode:
		scalar(n, y)
	case yaml.SequenceNode:
		n.kind = listNode
		for _, x := range y.Content {
			v, err := c.convert(x, depth+1)
			if err != nil {
				return nil, err
			}
			n.item = append(n.item, v)
		}
	case yaml.MappingNode:
		n.kind = objectNode
		for i := 0; i < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
			if key.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: a key must be a string", key.Line)
			}
			if n.get(key.Value) != nil {
				return nil, fmt.Errorf("line %d: the key %q stands twice", key.Line, key.Value)
			}
			v, err := c.convert(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.keys, n.item = append(n.keys, key.Value), append(n.item, v)
		}
	default:
		return nil, fmt.Errorf("line %d: unexpected node", y.Line)
	}
	if y.Anchor != "" {
		c.done[y] = n
	}
	return n, nil
}

// safeInteger is the largest number that a double holds exactly; larger ones
// pass as strings.
const safeInteger = 1 << 53

// scalar decides what an unquoted word is: null, a boolean of YAML 1.1, a
// whole number in C's notation, else a string. Fractions stay strings, which
// protobuf's JSON takes for numbers.
func scalar(n *node, y *yaml.Node) {
	n.text = y.Value
	n.kind = stringNode
	if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || y.Tag == "!" {
		return
	}
	if y.Style&yaml.TaggedStyle != 0 && y.Tag == "!!str" {
		return
	}
	switch y.Value {
	case "", "~", "null", "Null", "NULL":
		n.kind = nullNode
		return
	}
	if yes, ok := yamlBool(y.Value); ok {
		n.kind, n.yes = boolNode, yes
		return
	}
	if strings.ContainsAny(y.Value, "_oObB") && !strings.HasPrefix(strings.TrimLeft(y.Value, "+-"), "0x") {
		return // Go's own notations
	}
	if v, err := strconv.ParseInt(y.Value, 0, 64); err == nil {
		n.text = strconv.FormatInt(v, 10)
		if v <= safeInteger && v >= -safeInteger {
			n.kind = numberNode
		}
	}
}

// yamlBool reads the booleans of YAML 1.1 in lower case, upper case or
// capitalized.
func yamlBool(s string) (yes, ok bool) {
	lower := strings.ToLower(s)
	if s != lower && s != strings.ToUpper(s) && s != lower[:0]+strings.ToUpper(lower[:1])+lower[1:] {
		return false, false
	}
	switch lower {
	case "y", "yes", "true", "on":
		return true, true
	case "n", "no", "false", "off":
		return false, true
	}
	return false, false
}
