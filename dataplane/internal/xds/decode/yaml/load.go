package yaml

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Options say what is taken.
type Options struct {
	// AllowUnknown leaves out fields that no message has, instead of refusing
	// them.
	AllowUnknown bool
}

// Result tells what was left out.
type Result struct {
	// Unknown is how many fields no message had.
	Unknown int
}

// Decode reads data into m. The ending of the file's name says the form:
// .json, .yaml, .yml, .pb (binary), .pb_text (text); everything else is YAML,
// which JSON is too.
func Decode(name string, data []byte, m proto.Message, o Options) (Result, error) {
	var n *node
	var err error
	switch filepath.Ext(name) {
	case ".pb":
		return Result{}, proto.Unmarshal(data, m)
	case ".pb_text", ".textproto":
		return Result{}, prototext.Unmarshal(data, m)
	case ".json":
		n, err = parseJSON(data)
	default:
		// JSON is much faster to read, and YAML reads escapes differently.
		if len(data) > 0 && data[0] == '{' {
			n, err = parseJSON(data)
		}
		if n == nil || err != nil {
			n, err = parseYAML(data)
		}
	}
	if err != nil {
		return Result{}, err
	}
	d := decoder{allowUnknown: o.AllowUnknown}
	if n.kind != objectNode && n.kind != nullNode {
		d.fail(fieldpath.Path{}, n, "expected an object, got %s", n.show())
	} else {
		d.message(fieldpath.Path{}, n, m.ProtoReflect())
	}
	return Result{Unknown: d.unknown}, d.err()
}

// FromStruct fills m from a generic object, as TypedStruct carries one; p is
// where the object stands.
func FromStruct(s *structpb.Struct, m proto.Message, p fieldpath.Path) error {
	d := decoder{}
	d.message(p, fromStruct(s), m.ProtoReflect())
	return d.err()
}

func fromStruct(s *structpb.Struct) *node {
	n := &node{kind: objectNode}
	for _, k := range slices.Sorted(maps.Keys(s.GetFields())) {
		n.keys, n.item = append(n.keys, k), append(n.item, fromValue(s.GetFields()[k]))
	}
	return n
}

// Bootstrap reads the bootstrap of a file ("" for none) and merges the inline
// YAML or JSON ("" for none) over it: single fields are replaced, lists are
// appended, as Envoy's --config-yaml. The rules of the messages are checked.
func Bootstrap(file, inline string, o Options) (*bootstrapv3.Bootstrap, Result, error) {
	b := new(bootstrapv3.Bootstrap)
	var total Result
	name := "--config-yaml"
	if file != "" {
		name = file
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, total, fmt.Errorf("unable to read file: %w", err)
		}
		if total, err = Decode(file, data, b, o); err != nil {
			return nil, total, fmt.Errorf("%s: %w", file, err)
		}
	}
	if inline != "" {
		over := new(bootstrapv3.Bootstrap)
		r, err := Decode("--config-yaml", []byte(inline), over, o)
		if total.Unknown += r.Unknown; err != nil {
			return nil, total, fmt.Errorf("--config-yaml: %w", err)
		}
		proto.Merge(b, over)
	}
	if err := support.Validate(b, fieldpath.Path{}); err != nil {
		return nil, total, fmt.Errorf("%s: %w", name, err)
	}
	return b, total, nil
}

// Discovery reads a file of resources: a DiscoveryResponse in any of the
// forms that a bootstrap may have.
func Discovery(path string, content []byte) (*discoveryv3.DiscoveryResponse, error) {
	r := new(discoveryv3.DiscoveryResponse)
	_, err := Decode(path, content, r, Options{})
	return r, err
}
