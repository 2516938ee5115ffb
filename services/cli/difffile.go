package cli

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// diffFromHead shows what a dry run would change, field by field.
func (o *options) diffFromHead(ctx context.Context, api configv1.ConfigServiceClient, r *configv1.ApplyResponse) error {
	out := &configv1.DiffResponse{FromRevision: r.GetRevision(), ToRevision: r.GetRevision()}
	for _, c := range r.GetChanges() {
		if c.GetAction() == configv1.Change_ACTION_UNCHANGED {
			continue
		}
		after := c.GetResource()
		m := after.GetMetadata()
		before, err := api.Get(ctx, &configv1.GetRequest{Kind: after.GetKind(), Namespace: m.GetNamespace(), Name: m.GetName()})
		if err != nil && status.Code(err) != codes.NotFound {
			return err
		}
		out.Diffs = append(out.Diffs, &configv1.ResourceDiff{
			Ref:    &configv1.ResourceRef{Kind: after.GetKind(), Namespace: m.GetNamespace(), Name: m.GetName()},
			Action: c.GetAction(), Before: before, After: after, Fields: resource.DiffFields(before, after),
		})
	}
	return o.printDiff(out)
}
