package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/yaml"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// print writes messages as JSON or YAML; several YAML documents are separated
// by "---" so that the output can be applied again.
func (o *options) print(list bool, ms ...proto.Message) error {
	if o.output == "yaml" {
		for i, m := range ms {
			if i > 0 {
				fmt.Fprintln(o.out, "---")
			}
			j, err := protojson.Marshal(m)
			if err != nil {
				return err
			}
			y, err := yaml.JSONToYAML(j)
			if err != nil {
				return err
			}
			if _, err := o.out.Write(y); err != nil {
				return err
			}
		}
		return nil
	}
	raw := make([]json.RawMessage, 0, len(ms))
	for _, m := range ms {
		j, err := protojson.Marshal(m)
		if err != nil {
			return err
		}
		raw = append(raw, j)
	}
	var v any = raw
	if !list && len(raw) == 1 {
		v = raw[0]
	}
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, j, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.out, b.String())
	return err
}

// table writes rows in columns.
func table(w io.Writer, header string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(header, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

// age is how long ago a time was, in one unit.
func age(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	d := time.Since(t.AsTime())
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// name is "HTTPRoute/shop" or, outside of the chosen namespace,
// "HTTPRoute/other/shop".
func (o *options) name(kind, namespace, name string) string {
	if namespace == o.namespace || namespace == "" {
		return kind + "/" + name
	}
	return kind + "/" + namespace + "/" + name
}

func (o *options) nameOf(r *configv1.ResourceRef) string {
	return o.name(r.GetKind(), r.GetNamespace(), r.GetName())
}

var actions = map[configv1.Change_Action]string{
	configv1.Change_ACTION_CREATED: "created", configv1.Change_ACTION_UPDATED: "changed",
	configv1.Change_ACTION_DELETED: "deleted", configv1.Change_ACTION_UNCHANGED: "unchanged",
}

// printChanges says what a change set did.
func (o *options) printChanges(r *configv1.ApplyResponse) error {
	if o.output != "table" {
		return o.print(false, r)
	}
	changed := false
	for _, c := range r.GetChanges() {
		m := c.GetResource()
		fmt.Fprintf(o.out, "%s %s\n", o.name(m.GetKind(), m.GetMetadata().GetNamespace(), m.GetMetadata().GetName()), actions[c.GetAction()])
		changed = changed || c.GetAction() != configv1.Change_ACTION_UNCHANGED
	}
	switch {
	case r.GetDryRun():
		fmt.Fprintln(o.out, "dry run: nothing was written")
	case changed:
		fmt.Fprintf(o.out, "revision %d\n", r.GetRevision())
	default:
		fmt.Fprintf(o.out, "nothing changed: the mesh is at revision %d\n", r.GetRevision())
	}
	return nil
}
