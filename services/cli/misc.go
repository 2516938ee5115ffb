package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

func newValidate(o *options) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "validate -f FILE...",
		Short: "Check resources without a server (references are checked by apply --dry-run)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			manifest, err := o.readManifests(files)
			if err != nil {
				return err
			}
			rs, bad := resource.Parse(manifest, o.namespace)
			for _, r := range rs {
				bad = append(bad, resource.Check(r)...)
			}
			if len(bad) == 0 {
				fmt.Fprintf(o.out, "%d resources are valid\n", len(rs))
				return nil
			}
			for _, v := range bad {
				fmt.Fprintf(o.err, "  %s: %s\n", v.Field, v.Message)
			}
			return &exitError{exitRefused, fmt.Sprintf("%d problems", len(bad))}
		},
	}
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, directory, or - for standard input (repeatable)")
	return c
}

func newToken(o *options) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make, list and revoke tokens of the config API"}
	var role string
	var namespaces []string
	var ttl time.Duration
	create := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a token; its secret is shown this once",
		Example: "  hawser token create ci --role editor --for shop --ttl 720h",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			req := &configv1.CreateTokenRequest{Name: args[0], Role: role, Namespaces: namespaces}
			if ttl > 0 {
				req.Lifetime = durationpb.New(ttl)
			}
			r, err := api.CreateToken(ctx, req)
			if err != nil {
				return err
			}
			if o.output != "table" {
				return o.print(false, r)
			}
			_, err = fmt.Fprintln(o.out, r.GetSecret())
			return err
		},
	}
	create.Flags().StringVar(&role, "role", "reader", "reader, editor or admin")
	create.Flags().StringSliceVar(&namespaces, "for", nil, "namespaces (default: all)")
	create.Flags().DurationVar(&ttl, "ttl", 0, "lifetime (default: until revoked)")
	list := &cobra.Command{
		Use: "list", Short: "List tokens", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.ListTokens(ctx, &configv1.ListTokensRequest{})
			if err != nil {
				return err
			}
			if o.output != "table" {
				return o.print(false, r)
			}
			var rows [][]string
			for _, t := range r.GetTokens() {
				rows = append(rows, tokenRow(t))
			}
			return table(o.out, "NAME ROLE NAMESPACES STATE AGE BY", rows)
		},
	}
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Make a token worthless, at once", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			if _, err := api.RevokeToken(ctx, &configv1.RevokeTokenRequest{Name: args[0]}); err != nil {
				return err
			}
			_, err = fmt.Fprintln(o.out, args[0]+" revoked")
			return err
		},
	}
	c.AddCommand(create, list, revoke)
	return c
}

func tokenRow(t *configv1.Token) []string {
	state := "valid"
	switch {
	case t.GetRevokeTime() != nil:
		state = "revoked"
	case t.GetExpireTime() != nil && t.GetExpireTime().AsTime().Before(time.Now()):
		state = "expired"
	case t.GetExpireTime() != nil:
		state = "until " + t.GetExpireTime().AsTime().UTC().Format(time.RFC3339)
	}
	namespaces := strings.Join(t.GetNamespaces(), ",")
	if namespaces == "" {
		namespaces = "all"
	}
	return []string{t.GetName(), t.GetRole(), namespaces, state, age(t.GetCreateTime()), t.GetCreatedBy()}
}

func newAudit(o *options) *cobra.Command {
	var limit int32
	c := &cobra.Command{
		Use: "audit", Short: "List the latest writes, committed and refused", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.ListAudit(ctx, &configv1.ListAuditRequest{PageSize: limit})
			if err != nil {
				return err
			}
			if o.output != "table" {
				return o.print(false, r)
			}
			var rows [][]string
			for _, a := range r.GetRecords() {
				revision := "-"
				if a.GetRevision() > 0 {
					revision = strconv.FormatInt(a.GetRevision(), 10)
				}
				rows = append(rows, []string{age(a.GetTime()) + " ago", a.GetActor(), a.GetMethod(), a.GetCode(), revision, a.GetMessage()})
			}
			return table(o.out, "WHEN BY METHOD RESULT REVISION MESSAGE", rows)
		},
	}
	c.Flags().Int32Var(&limit, "limit", 20, "how many")
	return c
}

// Version is the release, set by the linker.
var Version = "dev"

func newVersion(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			commit := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = " (" + s.Value[:min(12, len(s.Value))] + ")"
					}
				}
			}
			_, err := fmt.Fprintf(o.out, "hawser %s%s %s %s/%s\n", Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
