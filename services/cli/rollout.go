package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// isTerminal says whether progress can be drawn on w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// waitForRollout polls until every connected proxy has acknowledged or
// rejected the revision.
func (o *options) waitForRollout(ctx context.Context, api configv1.ConfigServiceClient, revision int64, timeout time.Duration) error {
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var progress *mpb.Progress
	var bar *mpb.Bar
	if isTerminal(o.err) {
		progress = mpb.New(mpb.WithOutput(o.err), mpb.WithWidth(40))
	}
	for {
		s, err := api.RolloutStatus(deadline, &configv1.RolloutStatusRequest{Revision: revision})
		if err != nil && deadline.Err() == nil {
			return err
		}
		if err == nil {
			if progress != nil && bar == nil && s.GetProxies() > 0 {
				bar = progress.AddBar(int64(s.GetProxies()), mpb.PrependDecorators(decor.Name("proxies "), decor.CountersNoUnit("%d/%d")), mpb.BarRemoveOnComplete())
			}
			if bar != nil {
				bar.SetTotal(int64(s.GetProxies()), false)
				bar.SetCurrent(int64(s.GetAcknowledged() + s.GetRejected()))
			}
			if s.GetPending() == 0 && s.GetProxies() > 0 {
				if bar != nil {
					bar.SetTotal(-1, true)
					progress.Wait()
				}
				return o.rolloutDone(s, revision)
			}
		}
		select {
		case <-deadline.Done():
			if bar != nil {
				bar.Abort(true)
			}
			if s.GetProxies() == 0 {
				return &exitError{exitRollout, fmt.Sprintf("revision %d is committed, but no proxy is connected", revision)}
			}
			return &exitError{exitRollout, fmt.Sprintf("revision %d is committed, but after %s %d of %d proxies have not answered: see hawser status", revision, timeout, s.GetPending(), s.GetProxies())}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (o *options) rolloutDone(s *configv1.RolloutStatusResponse, revision int64) error {
	if s.GetRejected() == 0 {
		if o.output == "table" {
			fmt.Fprintf(o.out, "acknowledged by all %d proxies\n", s.GetProxies())
		}
		return nil
	}
	for _, r := range s.GetResources() {
		for _, j := range r.GetRejections() {
			fmt.Fprintf(o.err, "  %s rejected by %s: %s\n", o.nameOf(r.GetRef()), j.GetProxyId(), j.GetMessage())
		}
	}
	return &exitError{exitRollout, fmt.Sprintf("revision %d is committed, but %d of %d proxies rejected it and serve what they had", revision, s.GetRejected(), s.GetProxies())}
}

func newStatus(o *options) *cobra.Command {
	var revision int64
	w := &waiting{}
	c := &cobra.Command{
		Use:     "status [KIND/NAME]",
		Short:   "Show which proxies have acknowledged what",
		Example: "  hawser status\n  hawser status HTTPRoute/shop\n  hawser status --revision 7 --wait",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			req := &configv1.RolloutStatusRequest{Revision: revision}
			if len(args) > 0 {
				refs, err := o.refs(args, nil)
				if err != nil {
					return err
				}
				req.Kind, req.Namespace, req.Name = refs[0].GetKind(), refs[0].GetNamespace(), refs[0].GetName()
			}
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			s, err := api.RolloutStatus(ctx, req)
			if err != nil {
				return err
			}
			if w.on {
				if revision == 0 {
					revision = s.GetHeadRevision()
				}
				return o.waitForRollout(ctx, api, revision, w.timeout)
			}
			return o.printStatus(s)
		},
	}
	c.Flags().Int64Var(&revision, "revision", 0, "only what this revision changed")
	w.flags(c)
	return c
}

func (o *options) printStatus(s *configv1.RolloutStatusResponse) error {
	if o.output != "table" {
		return o.print(false, s)
	}
	fmt.Fprintf(o.out, "revision %d: %d of %d proxies acknowledged, %d rejected, %d pending\n\n",
		s.GetHeadRevision(), s.GetAcknowledged(), s.GetProxies(), s.GetRejected(), s.GetPending())
	var rows [][]string
	for _, r := range s.GetResources() {
		rows = append(rows, []string{
			o.nameOf(r.GetRef()), strconv.FormatInt(r.GetRevision(), 10),
			strconv.Itoa(int(r.GetAcknowledged())), strconv.Itoa(int(r.GetPending())), strconv.Itoa(len(r.GetRejections())),
		})
	}
	if err := table(o.out, "RESOURCE REVISION ACKNOWLEDGED PENDING REJECTED", rows); err != nil {
		return err
	}
	for _, r := range s.GetResources() {
		for _, j := range r.GetRejections() {
			fmt.Fprintf(o.out, "\n%s rejected by %s (%s ago): %s\n", o.nameOf(r.GetRef()), j.GetProxyId(), age(j.GetTime()), j.GetMessage())
		}
	}
	return nil
}

func newProxies(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "proxies",
		Short: "List the proxies and what they have",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.ListProxies(ctx, &configv1.ListProxiesRequest{})
			if err != nil {
				return err
			}
			if o.output != "table" {
				return o.print(false, r)
			}
			var rows [][]string
			for _, p := range r.GetProxies() {
				state := "connected"
				if !p.GetConnected() {
					state = "gone"
				}
				rows = append(rows, []string{p.GetId(), p.GetCluster(), p.GetUserAgent(), state, strconv.FormatInt(p.GetSettledRevision(), 10), strconv.Itoa(len(p.GetRejections())), age(p.GetConnectTime())})
			}
			return table(o.out, "PROXY CLUSTER AGENT STATE REVISION REJECTED SINCE", rows)
		},
	}
}
