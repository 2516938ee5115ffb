package resource

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// serverFields of metadata are accepted and left out: what a server (ours or
// Kubernetes) adds to a document that a user gets, edits and applies.
func serverFields() []string {
	return []string{"uid", "generation", "revision", "managedBy", "creationTimestamp", "updateTimestamp",
		"resourceVersion", "managedFields", "selfLink", "ownerReferences", "finalizers"}
}

// fromObject builds a resource from the values of encoding/json.
func fromObject(object map[string]any, namespace string) (*configv1.Resource, Violations) {
	var bad Violations
	fail := func(field, format string, args ...any) {
		bad = append(bad, Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	r := &configv1.Resource{Metadata: &configv1.Metadata{Namespace: namespace}}
	text := func(path string, v any, to *string) {
		if s, ok := v.(string); ok {
			*to = s
		} else if v != nil {
			fail(path, "expected a string, got %s", describeAny(v))
		}
	}
	for _, name := range sortedKeys(object) {
		switch v := object[name]; name {
		case "apiVersion":
			text(name, v, &r.ApiVersion)
		case "kind":
			text(name, v, &r.Kind)
		case "metadata":
			m, ok := v.(map[string]any)
			if !ok {
				fail(name, "expected an object, got %s", describeAny(v))
				continue
			}
			more := metadata(m, r.Metadata, text)
			bad = append(bad, more...)
		case "spec":
			m, ok := v.(map[string]any)
			if !ok {
				fail(name, "expected an object, got %s", describeAny(v))
				continue
			}
			spec, err := structpb.NewStruct(m)
			if err != nil {
				fail(name, "%v", err)
				continue
			}
			r.Spec = spec
		case "status":
		default:
			fail(name, "unknown field")
		}
	}
	if r.Metadata.Namespace == "" {
		r.Metadata.Namespace = namespace
	}
	return r, bad
}

func metadata(object map[string]any, m *configv1.Metadata, text func(string, any, *string)) Violations {
	var bad Violations
	for _, name := range sortedKeys(object) {
		path := "metadata." + name
		switch v := object[name]; name {
		case "name":
			text(path, v, &m.Name)
		case "namespace":
			text(path, v, &m.Namespace)
		case "etag":
			text(path, v, &m.Etag)
		case "labels", "annotations":
			if v == nil {
				continue
			}
			values, ok := v.(map[string]any)
			if !ok {
				bad = append(bad, Violation{path, "expected an object, got " + describeAny(v)})
				continue
			}
			strings := make(map[string]string, len(values))
			for _, key := range sortedKeys(values) {
				var s string
				text(path+"."+key, values[key], &s)
				strings[key] = s
			}
			if name == "labels" {
				m.Labels = strings
			} else {
				m.Annotations = strings
			}
		default:
			if !slices.Contains(serverFields(), name) {
				bad = append(bad, Violation{path, "unknown field"})
			}
		}
	}
	return bad
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Document gives the values of encoding/json that Parse would read the same
// resource from, with all that the server set.
func Document(r *configv1.Resource) ([]byte, error) {
	return protojson.MarshalOptions{}.Marshal(r)
}

// Normalize prepares a resource that came as a message and not through
// Parse: it fills in what is left out and clears what only a server sets. It
// does not change its argument.
func Normalize(in *configv1.Resource, namespace string) *configv1.Resource {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	m := in.GetMetadata()
	out := &configv1.Resource{
		ApiVersion: in.GetApiVersion(), Kind: in.GetKind(), Spec: in.GetSpec(),
		Metadata: &configv1.Metadata{
			Name: m.GetName(), Namespace: m.GetNamespace(), Labels: m.GetLabels(), Annotations: m.GetAnnotations(), Etag: m.GetEtag(),
		},
	}
	if out.Metadata.Namespace == "" {
		out.Metadata.Namespace = namespace
	}
	if k, ok := kindOf(out.Kind); ok && slices.Contains(k.apiVersions, out.ApiVersion) {
		out.ApiVersion = k.apiVersions[0]
	}
	return out
}
