package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

const (
	// MaxManifest is the size from which a manifest is refused, in bytes.
	MaxManifest = 10 << 20
	// MaxResources bounds a change set.
	MaxResources = 10000
	// MaxDepth bounds the nesting of a document.
	MaxDepth = 64
	// maxDocument bounds one YAML document: reading YAML takes some hundred
	// times its size.
	maxDocument = 1 << 20
	// maxNodes bounds what a manifest can be blown up to by aliases, and the
	// memory of its values.
	maxNodes = 1_000_000
	// enough violations, parsing stops.
	enough = 1000
)

// ErrTooLarge refuses a manifest for its size, before it is parsed.
var ErrTooLarge = fmt.Errorf("the manifest has %d bytes or more", MaxManifest)

// Parse reads a manifest: YAML documents, JSON documents, or Lists of them.
// Empty documents are skipped. The result has what could be read even if
// there are violations, so that one answer can tell of all that is wrong. It
// fills in the namespace, and the canonical apiVersion; it leaves out what
// only a server sets (status, uid, creationTimestamp, managedFields, ...),
// so that what was got can be applied.
func Parse(manifest []byte, namespace string) ([]*configv1.Resource, Violations) {
	if len(manifest) >= MaxManifest {
		return nil, Violations{{Field: "manifest", Message: ErrTooLarge.Error()}}
	}
	if namespace == "" {
		namespace = DefaultNamespace
	}
	p := parser{namespace: namespace}
	// JSON is YAML but for tabs; and an error of a JSON parser suits JSON.
	if text := bytes.TrimLeft(manifest, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		p.json(manifest)
	} else {
		p.yaml(manifest)
	}
	return p.resources, p.violations
}

type parser struct {
	namespace  string
	resources  []*configv1.Resource
	violations Violations
	nodes      int
	// firstLine of the YAML document that is read.
	firstLine int
}

func (p *parser) fail(line int, format string, args ...any) {
	p.violations = append(p.violations, Violation{
		Field: fmt.Sprintf("line %d", line), Message: fmt.Sprintf(format, args...)})
}

// yaml takes the documents one at a time. A line that starts with "---" is a
// marker wherever it stands (YAML 1.2 section 9.1.2), so they can be told
// apart without reading them.
func (p *parser) yaml(manifest []byte) {
	line := 1
	for len(manifest) > 0 && len(p.violations) < enough {
		end, lines := documentEnd(manifest)
		p.yamlDocument(manifest[:end], line)
		manifest, line = manifest[end:], line+lines
	}
}

// documentEnd finds where the next document starts, and the lines before.
func documentEnd(manifest []byte) (end, lines int) {
	for {
		next := bytes.IndexByte(manifest[end:], '\n')
		if next < 0 {
			return len(manifest), lines
		}
		end, lines = end+next+1, lines+1
		rest := manifest[end:]
		if bytes.HasPrefix(rest, []byte("---")) && (len(rest) == 3 || bytes.IndexByte([]byte(" \t\r\n"), rest[3]) >= 0) {
			return end, lines
		}
	}
}

func (p *parser) yamlDocument(text []byte, line int) {
	if len(text) > maxDocument {
		p.fail(line, "the document has %d bytes, at most %d are allowed", len(text), maxDocument)
		return
	}
	p.firstLine = line
	// More than one value: a "..." ends a document too.
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.fail(line, "not YAML: %s", relocate(err, line))
			return
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			continue
		}
		before := len(p.violations)
		value := p.value(document.Content[0], 0)
		if len(p.violations) == before {
			p.document(value, p.line(document.Content[0]))
		}
	}
}

// relocate turns the line that a YAML error names within its document into
// that of the manifest.
func relocate(err error, first int) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var n int
	if _, err := fmt.Sscanf(text, "line %d:", &n); err != nil {
		return text
	}
	_, rest, _ := strings.Cut(text, ": ")
	return fmt.Sprintf("line %d: %s", first+n-1, rest)
}

// line is where a node stands in the manifest.
func (p *parser) line(n *yaml.Node) int { return p.firstLine + n.Line - 1 }

// value turns a YAML node into the values of encoding/json.
func (p *parser) value(n *yaml.Node, depth int) any {
	if p.nodes++; p.nodes > maxNodes {
		if p.nodes == maxNodes+1 {
			p.fail(p.line(n), "more than %d values", maxNodes)
		}
		return nil
	}
	if depth > MaxDepth {
		p.fail(p.line(n), "nested deeper than %d levels", MaxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			list = append(list, p.value(item, depth+1))
		}
		return list
	case yaml.MappingNode:
		return p.mapping(n, depth)
	default:
		return p.scalar(n)
	}
}

func (p *parser) mapping(n *yaml.Node, depth int) any {
	object := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			p.fail(p.line(key), "a key must be a string")
			continue
		}
		if key.Tag == "!!merge" {
			p.fail(p.line(key), "merge keys (<<) are not supported")
			continue
		}
		if _, double := object[key.Value]; double {
			p.fail(p.line(key), "key %q is there twice", key.Value)
			continue
		}
		object[key.Value] = p.value(n.Content[i+1], depth+1)
	}
	return object
}

func (p *parser) scalar(n *yaml.Node) any {
	var v any
	if err := n.Decode(&v); err != nil {
		p.fail(p.line(n), "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int:
		return p.number(func() int { return p.line(n) }, float64(v), int64(float64(v)) == int64(v), n.Value)
	case int64:
		return p.number(func() int { return p.line(n) }, float64(v), int64(float64(v)) == v, n.Value)
	case uint64:
		return p.number(func() int { return p.line(n) }, float64(v), uint64(float64(v)) == v, n.Value)
	case float64:
		return p.number(func() int { return p.line(n) }, v, true, n.Value)
	case time.Time:
		// A date is a string here, as in JSON.
		return n.Value
	default:
		p.fail(p.line(n), "%s values are not supported", n.Tag)
		return nil
	}
}

// number takes what JSON can hold.
func (p *parser) number(line func() int, f float64, exact bool, text string) any {
	if !exact || math.IsInf(f, 0) || math.IsNaN(f) {
		p.fail(line(), "the number %s cannot be kept exactly; quote it if it is text", text)
		return nil
	}
	return f
}

func (p *parser) json(manifest []byte) {
	decoder := json.NewDecoder(bytes.NewReader(manifest))
	decoder.UseNumber()
	line := func() int { return 1 + bytes.Count(manifest[:decoder.InputOffset()], []byte("\n")) }
	for len(p.violations) < enough {
		value, err := p.jsonValue(decoder, line, 0)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.fail(line(), "not JSON: %v", err)
			return
		}
		if len(p.violations) == 0 {
			p.document(value, line())
		}
	}
}

// jsonValue reads one value by tokens, for encoding/json lets a key stand
// twice and nesting go deep.
func (p *parser) jsonValue(d *json.Decoder, line func() int, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", MaxDepth)
	}
	if p.nodes++; p.nodes > maxNodes {
		return nil, fmt.Errorf("more than %d values", maxNodes)
	}
	switch token := token.(type) {
	case json.Number:
		f, err := token.Float64()
		whole, notInt := token.Int64()
		return p.number(line, f, err == nil && (notInt != nil || int64(f) == whole), token.String()), nil
	case json.Delim:
		if token == '[' {
			return p.jsonList(d, line, depth)
		}
		return p.jsonObject(d, line, depth)
	default:
		return token, nil
	}
}

func (p *parser) jsonList(d *json.Decoder, line func() int, depth int) (any, error) {
	list := []any{}
	for d.More() {
		item, err := p.jsonValue(d, line, depth+1)
		if err != nil {
			return nil, noEOF(err)
		}
		list = append(list, item)
	}
	_, err := d.Token()
	return list, noEOF(err)
}

func (p *parser) jsonObject(d *json.Decoder, line func() int, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, noEOF(err)
		}
		key := token.(string) // encoding/json has checked that it is one
		if _, double := object[key]; double {
			p.fail(line(), "key %q is there twice", key)
		}
		if object[key], err = p.jsonValue(d, line, depth+1); err != nil {
			return nil, noEOF(err)
		}
	}
	_, err := d.Token()
	return object, noEOF(err)
}

// noEOF tells an end within a value from the end of the input.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// document takes one document: a resource or a list of them.
func (p *parser) document(value any, line int) {
	if value == nil {
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		p.fail(line, "expected an object with apiVersion, kind, metadata and spec, got %s", describeAny(value))
		return
	}
	if object["kind"] == "List" {
		items, ok := object["items"].([]any)
		if !ok {
			p.fail(line, "items: expected a list, got %s", describeAny(object["items"]))
		}
		for _, item := range items {
			p.document(item, line)
		}
		return
	}
	if len(p.resources) == MaxResources {
		p.fail(line, "more than %d resources in one change set", MaxResources)
	}
	if len(p.resources) >= MaxResources {
		return
	}
	r, violations := fromObject(object, p.namespace)
	p.resources = append(p.resources, r)
	label := fmt.Sprintf("line %d", line)
	if k := KeyOf(r); k.Kind != "" && k.Name != "" {
		label = k.String()
	}
	for _, v := range violations {
		p.violations = append(p.violations, Violation{Field: label + ": " + v.Field, Message: v.Message})
	}
}

func describeAny(v any) string {
	value, err := structpb.NewValue(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return describe(value)
}
