package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

func newGet(o *options) *cobra.Command {
	var selector string
	var all bool
	var revision int64
	c := &cobra.Command{
		Use:     "get [KIND | KIND/NAME]",
		Short:   "List resources, or show one",
		Example: "  hawser get\n  hawser get HTTPRoute -o yaml\n  hawser get HTTPRoute/shop",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			if len(args) == 2 || len(args) == 1 && strings.Contains(args[0], "/") {
				refs, err := o.refs(args, nil)
				if err != nil {
					return err
				}
				r, err := api.Get(ctx, &configv1.GetRequest{Kind: refs[0].GetKind(), Namespace: refs[0].GetNamespace(), Name: refs[0].GetName(), Revision: revision})
				if err != nil {
					return err
				}
				return o.printResources(false, r)
			}
			req := &configv1.ListRequest{Namespace: o.namespace, LabelSelector: selector, PageSize: 500}
			if all {
				req.Namespace = ""
			}
			if len(args) == 1 {
				if req.Kind, err = findKind(args[0]); err != nil {
					return err
				}
			}
			var rs []*configv1.Resource
			for {
				page, err := api.List(ctx, req)
				if err != nil {
					return err
				}
				rs = append(rs, page.GetResources()...)
				if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
					return o.printResources(true, rs...)
				}
			}
		},
	}
	c.Flags().StringVarP(&selector, "selector", "l", "", "labels, as in app=shop,tier!=db")
	c.Flags().BoolVarP(&all, "all-namespaces", "A", false, "in all namespaces")
	c.Flags().Int64Var(&revision, "revision", 0, "one resource as it was at this revision")
	return c
}

func (o *options) printResources(list bool, rs ...*configv1.Resource) error {
	if o.output != "table" {
		ms := make([]proto.Message, 0, len(rs))
		for _, r := range rs {
			ms = append(ms, r)
		}
		return o.print(list, ms...)
	}
	var rows [][]string
	for _, r := range rs {
		m := r.GetMetadata()
		rows = append(rows, []string{r.GetKind(), m.GetNamespace(), m.GetName(), strconv.FormatInt(m.GetRevision(), 10), conditions(r), age(m.GetUpdateTimestamp())})
	}
	return table(o.out, "KIND NAMESPACE NAME REVISION STATUS AGE", rows)
}

// conditions is the resource's conditions in one word each.
func conditions(r *configv1.Resource) string {
	var words []string
	for _, c := range r.GetStatus().GetConditions() {
		switch c.GetStatus() {
		case "True":
			words = append(words, c.GetType())
		case "False":
			words = append(words, "not "+c.GetType()+" ("+c.GetReason()+")")
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func newDescribe(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "describe KIND/NAME",
		Short:   "Show a resource with its status, rollout and latest changes",
		Example: "  hawser describe HTTPRoute/shop",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			refs, err := o.refs(args, nil)
			if err != nil {
				return err
			}
			ref := refs[0]
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.Get(ctx, &configv1.GetRequest{Kind: ref.GetKind(), Namespace: ref.GetNamespace(), Name: ref.GetName()})
			if err != nil {
				return err
			}
			s, err := api.RolloutStatus(ctx, &configv1.RolloutStatusRequest{Kind: ref.GetKind(), Namespace: ref.GetNamespace(), Name: ref.GetName()})
			if err != nil {
				return err
			}
			h, err := api.History(ctx, &configv1.HistoryRequest{Kind: ref.GetKind(), Namespace: ref.GetNamespace(), Name: ref.GetName(), PageSize: 5})
			if err != nil {
				return err
			}
			if o.output != "table" {
				return o.print(true, r, s, h)
			}
			return o.printDescription(r, s, h)
		},
	}
}

func (o *options) printDescription(r *configv1.Resource, s *configv1.RolloutStatusResponse, h *configv1.HistoryResponse) error {
	yamlOut := *o
	yamlOut.output = "yaml"
	doc := proto.Clone(r).(*configv1.Resource)
	doc.Status = nil
	if err := yamlOut.print(false, doc); err != nil {
		return err
	}
	fmt.Fprintln(o.out, "\nConditions:")
	for _, c := range r.GetStatus().GetConditions() {
		fmt.Fprintf(o.out, "  %s %s (%s) %s\n", c.GetType(), c.GetStatus(), c.GetReason(), c.GetMessage())
	}
	fmt.Fprintln(o.out, "\nProxies:")
	for _, x := range s.GetResources() {
		fmt.Fprintf(o.out, "  %d acknowledged, %d pending, %d rejected\n", x.GetAcknowledged(), x.GetPending(), len(x.GetRejections()))
		for _, j := range x.GetRejections() {
			fmt.Fprintf(o.out, "  rejected by %s: %s\n", j.GetProxyId(), j.GetMessage())
		}
	}
	fmt.Fprintln(o.out, "\nLatest revisions:")
	return table(o.out, "  REVISION WHEN BY WHAT MESSAGE", revisionRows(h.GetRevisions(), "  "))
}

func revisionRows(rs []*configv1.Revision, indent string) [][]string {
	var rows [][]string
	for _, r := range rs {
		what := fmt.Sprintf("%d changes", r.GetChangeCount())
		if len(r.GetChanges()) == 1 {
			what = actions[r.GetChanges()[0].GetAction()]
		}
		rows = append(rows, []string{indent + strconv.FormatInt(r.GetNumber(), 10), age(r.GetCreateTime()) + " ago", r.GetAuthor(), what, r.GetMessage()})
	}
	return rows
}
