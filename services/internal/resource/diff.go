package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// DiffFields lists the fields in which two versions of a resource differ:
// labels, annotations and spec. Either may be nil.
func DiffFields(before, after *configv1.Resource) []*configv1.FieldDiff {
	var d differ
	d.stringMap("metadata.labels", before.GetMetadata().GetLabels(), after.GetMetadata().GetLabels())
	d.stringMap("metadata.annotations", before.GetMetadata().GetAnnotations(), after.GetMetadata().GetAnnotations())
	d.object("spec", before.GetSpec(), after.GetSpec())
	return d.diffs
}

type differ struct{ diffs []*configv1.FieldDiff }

func (d *differ) add(path string, before, after *structpb.Value) {
	d.diffs = append(d.diffs, &configv1.FieldDiff{Path: path, Before: jsonText(before), After: jsonText(after)})
}

func jsonText(v *structpb.Value) string {
	if v == nil {
		return ""
	}
	// encoding/json, for its output is stable and protojson's is not.
	text, err := json.Marshal(v.AsInterface())
	if err != nil {
		return fmt.Sprint(v.AsInterface())
	}
	return string(text)
}

func (d *differ) stringMap(path string, before, after map[string]string) {
	for _, key := range bothKeys(before, after) {
		var b, a *structpb.Value
		if s, ok := before[key]; ok {
			b = structpb.NewStringValue(s)
		}
		if s, ok := after[key]; ok {
			a = structpb.NewStringValue(s)
		}
		if !proto.Equal(b, a) {
			d.add(join(path, key), b, a)
		}
	}
}

func (d *differ) object(path string, before, after *structpb.Struct) {
	for _, key := range bothKeys(before.GetFields(), after.GetFields()) {
		d.value(join(path, key), before.GetFields()[key], after.GetFields()[key])
	}
}

func (d *differ) value(path string, before, after *structpb.Value) {
	bo, ao := before.GetStructValue(), after.GetStructValue()
	bl, al := before.GetListValue(), after.GetListValue()
	switch {
	case bo != nil && ao != nil:
		d.object(path, bo, ao)
	case bl != nil && al != nil:
		for i := range max(len(bl.GetValues()), len(al.GetValues())) {
			var b, a *structpb.Value
			if i < len(bl.GetValues()) {
				b = bl.GetValues()[i]
			}
			if i < len(al.GetValues()) {
				a = al.GetValues()[i]
			}
			d.value(index(path, i), b, a)
		}
	case !proto.Equal(before, after):
		d.add(path, before, after)
	}
}

func bothKeys[V any](a, b map[string]V) []string {
	keys := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
