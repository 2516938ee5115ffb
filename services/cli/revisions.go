package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

func newHistory(o *options) *cobra.Command {
	var limit int32
	c := &cobra.Command{
		Use:   "history [KIND/NAME]",
		Short: "List the latest revisions, of the mesh or of one resource",
		Args:  cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			var rs []*configv1.Revision
			if len(args) > 0 {
				refs, err := o.refs(args, nil)
				if err != nil {
					return err
				}
				h, err := api.History(ctx, &configv1.HistoryRequest{Kind: refs[0].GetKind(), Namespace: refs[0].GetNamespace(), Name: refs[0].GetName(), PageSize: limit})
				if err != nil {
					return err
				}
				rs = h.GetRevisions()
			} else {
				l, err := api.ListRevisions(ctx, &configv1.ListRevisionsRequest{PageSize: limit})
				if err != nil {
					return err
				}
				rs = l.GetRevisions()
			}
			if o.output != "table" {
				return o.print(false, &configv1.ListRevisionsResponse{Revisions: rs})
			}
			return table(o.out, "REVISION WHEN BY WHAT MESSAGE", revisionRows(rs, ""))
		},
	}
	c.Flags().Int32Var(&limit, "limit", 20, "how many")
	return c
}

func newDiff(o *options) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:     "diff FROM [TO] | -f FILE...",
		Short:   "Show what changed between two revisions, or what a file would change",
		Example: "  hawser diff 3 5\n  hawser diff 3\n  hawser diff -f shop.yaml",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(files) == 0 && len(args) == 0 {
				return &exitError{exitUsage, "give one or two revisions, or -f FILE"}
			}
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			if len(files) > 0 {
				manifest, err := o.readManifests(files)
				if err != nil {
					return err
				}
				r, err := api.Apply(ctx, &configv1.ApplyRequest{Manifest: manifest, DryRun: true, DefaultNamespace: o.namespace})
				if err != nil {
					return err
				}
				return o.diffFromHead(ctx, api, r)
			}
			req := &configv1.DiffRequest{}
			if req.FromRevision, err = strconv.ParseInt(args[0], 10, 64); err != nil {
				return &exitError{exitUsage, args[0] + ": want the number of a revision"}
			}
			if len(args) == 2 {
				if req.ToRevision, err = strconv.ParseInt(args[1], 10, 64); err != nil {
					return &exitError{exitUsage, args[1] + ": want the number of a revision"}
				}
			}
			d, err := api.Diff(ctx, req)
			if err != nil {
				return err
			}
			return o.printDiff(d)
		},
	}
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "compare the mesh with these files")
	return c
}

func (o *options) printDiff(d *configv1.DiffResponse) error {
	if o.output != "table" {
		return o.print(false, d)
	}
	if len(d.GetDiffs()) == 0 {
		fmt.Fprintln(o.out, "no difference")
	}
	for _, r := range d.GetDiffs() {
		fmt.Fprintf(o.out, "%s %s\n", o.nameOf(r.GetRef()), actions[r.GetAction()])
		for _, f := range r.GetFields() {
			if f.GetBefore() != "" {
				fmt.Fprintf(o.out, "  - %s: %s\n", f.GetPath(), f.GetBefore())
			}
			if f.GetAfter() != "" {
				fmt.Fprintf(o.out, "  + %s: %s\n", f.GetPath(), f.GetAfter())
			}
		}
	}
	return nil
}

func newRevert(o *options) *cobra.Command {
	var dryRun bool
	var message string
	w := &waiting{}
	c := &cobra.Command{
		Use:     "revert REVISION",
		Short:   "Make the mesh, by a new revision, what it was at an older one",
		Example: "  hawser revert 7 --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return &exitError{exitUsage, args[0] + ": want the number of a revision"}
			}
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.Revert(ctx, &configv1.RevertRequest{Revision: n, DryRun: dryRun, ManagedBy: "cli", Message: message})
			if err != nil {
				return err
			}
			if err := o.printChanges(r); err != nil || dryRun {
				return err
			}
			return w.after(ctx, o, api, r.GetRevision())
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change")
	c.Flags().StringVarP(&message, "message", "m", "", "why; kept with the revision")
	w.flags(c)
	return c
}
