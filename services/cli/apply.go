package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
)

// readManifests joins files, directories (their .yaml, .yml and .json files)
// and "-" (standard input) into one manifest of many documents.
func (o *options) readManifests(paths []string) ([]byte, error) {
	if len(paths) == 0 {
		return nil, &exitError{exitUsage, "give -f FILE, -f DIRECTORY or -f - for standard input"}
	}
	var all bytes.Buffer
	add := func(b []byte) {
		if all.Len() > 0 {
			all.WriteString("\n---\n")
		}
		all.Write(b)
	}
	for _, p := range paths {
		if p == "-" {
			b, err := io.ReadAll(o.in)
			if err != nil {
				return nil, err
			}
			add(b)
			continue
		}
		files, err := expand(p)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			add(b)
		}
	}
	return all.Bytes(), nil
}

func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no .yaml, .yml or .json file", path)
	}
	return files, nil
}

func newApply(o *options) *cobra.Command {
	var files []string
	var dryRun bool
	var ifMatch, message, managedBy string
	var ifRevision int64
	w := &waiting{}
	c := &cobra.Command{
		Use:   "apply -f FILE...",
		Short: "Commit resources as one revision: all of them, or none",
		Example: "  hawser apply -f shop.yaml --wait\n" +
			"  hawser apply -f routes/ --dry-run",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			manifest, err := o.readManifests(files)
			if err != nil {
				return err
			}
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.Apply(ctx, &configv1.ApplyRequest{
				Manifest: manifest, DryRun: dryRun, IfMatch: ifMatch, IfRevision: ifRevision,
				ManagedBy: managedBy, Message: message, DefaultNamespace: o.namespace,
			})
			if err != nil {
				return err
			}
			if err := o.printChanges(r); err != nil || dryRun {
				return err
			}
			return w.after(ctx, o, api, r.GetRevision())
		},
	}
	f := c.Flags()
	f.StringSliceVarP(&files, "filename", "f", nil, "file, directory, or - for standard input (repeatable)")
	f.BoolVar(&dryRun, "dry-run", false, "check and show what would change, write nothing")
	f.StringVar(&ifMatch, "if-match", "", "only if the one resource has this etag (\"*\": only if it exists)")
	f.Int64Var(&ifRevision, "if-revision", 0, "only if the mesh is at this revision")
	f.StringVarP(&message, "message", "m", "", "why; kept with the revision")
	f.StringVar(&managedBy, "managed-by", "cli", "who manages the resources")
	w.flags(c)
	return c
}

func newDelete(o *options) *cobra.Command {
	var ifMatch, message string
	var dryRun bool
	var files []string
	w := &waiting{}
	c := &cobra.Command{
		Use:     "delete KIND/NAME | -f FILE...",
		Short:   "Delete a resource, or all that a file names, as one revision",
		Example: "  hawser delete HTTPRoute/shop\n  hawser delete -f shop.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			refs, err := o.refs(args, files)
			if err != nil {
				return err
			}
			ctx, api, closeConn, err := o.dial(c.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			r, err := api.Apply(ctx, &configv1.ApplyRequest{Deletes: refs, DryRun: dryRun, IfMatch: ifMatch, ManagedBy: "cli", Message: message, DefaultNamespace: o.namespace})
			if err != nil {
				return err
			}
			if err := o.printChanges(r); err != nil || dryRun {
				return err
			}
			return w.after(ctx, o, api, r.GetRevision())
		},
	}
	f := c.Flags()
	f.StringSliceVarP(&files, "filename", "f", nil, "delete what these files name")
	f.BoolVar(&dryRun, "dry-run", false, "show what would be deleted")
	f.StringVar(&ifMatch, "if-match", "", "only if the resource has this etag")
	f.StringVarP(&message, "message", "m", "", "why; kept with the revision")
	w.flags(c)
	return c
}

// refs returns the resources that arguments ("KIND/NAME", "KIND NAME",
// "KIND/NAMESPACE/NAME") and files name.
func (o *options) refs(args, files []string) ([]*configv1.ResourceRef, error) {
	var refs []*configv1.ResourceRef
	if len(files) > 0 {
		manifest, err := o.readManifests(files)
		if err != nil {
			return nil, err
		}
		rs, bad := resource.Parse(manifest, o.namespace)
		if len(bad) > 0 {
			return nil, &exitError{exitRefused, bad.Error()}
		}
		for _, r := range rs {
			refs = append(refs, &configv1.ResourceRef{Kind: r.GetKind(), Namespace: r.GetMetadata().GetNamespace(), Name: r.GetMetadata().GetName()})
		}
	}
	if len(args) == 2 && !strings.Contains(args[0], "/") && !strings.Contains(args[1], "/") {
		args = []string{args[0] + "/" + args[1]}
	}
	for _, a := range args {
		r, err := o.ref(a)
		if err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	if len(refs) == 0 {
		return nil, &exitError{exitUsage, "name a resource as KIND/NAME, or give -f FILE"}
	}
	return refs, nil
}

func (o *options) ref(arg string) (*configv1.ResourceRef, error) {
	parts := strings.Split(arg, "/")
	kind, err := findKind(parts[0])
	if err != nil {
		return nil, err
	}
	switch len(parts) {
	case 2:
		return &configv1.ResourceRef{Kind: kind, Namespace: o.namespace, Name: parts[1]}, nil
	case 3:
		return &configv1.ResourceRef{Kind: kind, Namespace: parts[1], Name: parts[2]}, nil
	}
	return nil, &exitError{exitUsage, arg + ": name a resource as KIND/NAME or KIND/NAMESPACE/NAME"}
}

func findKind(name string) (string, error) {
	if kind, ok := resource.FindKind(name); ok {
		return kind, nil
	}
	return "", &exitError{exitUsage, "unknown kind " + name + ": want one of " + strings.Join(resource.Kinds(), ", ")}
}

// waiting is --wait and --timeout.
type waiting struct {
	on      bool
	timeout time.Duration
}

func (w *waiting) flags(c *cobra.Command) {
	c.Flags().BoolVar(&w.on, "wait", false, "wait until every connected proxy has acknowledged the revision")
	c.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "how long --wait waits")
}

// after waits for the rollout of a revision, when asked to.
func (w *waiting) after(ctx context.Context, o *options, api configv1.ConfigServiceClient, revision int64) error {
	if !w.on {
		return nil
	}
	return o.waitForRollout(ctx, api, revision, w.timeout)
}
