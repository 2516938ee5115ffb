package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitRollout = 4
)

// exitError carries an exit code; its text, when there is any, is printed.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// options are the flags that every command has.
type options struct {
	server, token, tokenFile, namespace, output string
	plaintext                                   bool
	caFile                                      string
	in                                          io.Reader
	out, err                                    io.Writer
}

// Run runs the command with its arguments and returns the exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	o := &options{in: in, out: out, err: errOut}
	root := newRoot(o)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	return report(errOut, err)
}

func newRoot(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:           "hawser",
		Short:         "Manage a Hawser service mesh",
		Long:          "hawser manages the gateways, routes and services of a mesh through its config API.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&o.server, "server", env("HAWSER_SERVER", "127.0.0.1:9090"), "address of the config API's gRPC port ($HAWSER_SERVER)")
	// Its default is looked up when it is needed: help shows defaults.
	f.StringVar(&o.token, "token", "", "token ($HAWSER_TOKEN)")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the token ($HAWSER_TOKEN_FILE; else .hawser/admin.token here or in the home directory)")
	f.StringVarP(&o.namespace, "namespace", "n", env("HAWSER_NAMESPACE", "default"), "namespace ($HAWSER_NAMESPACE)")
	f.StringVarP(&o.output, "output", "o", "table", "table, json or yaml")
	f.StringVar(&o.caFile, "ca-file", os.Getenv("HAWSER_CA_FILE"), "speak TLS and trust these certificates (PEM); without it the connection is plaintext")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch o.output {
		case "table", "json", "yaml":
			return nil
		}
		return &exitError{exitUsage, "-o " + o.output + ": want table, json or yaml"}
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{exitUsage, err.Error() + "\nsee " + c.CommandPath() + " --help"}
	})
	root.AddCommand(
		newApply(o), newDelete(o), newGet(o), newDescribe(o), newDiff(o), newHistory(o), newRevert(o),
		newStatus(o), newProxies(o), newValidate(o), newToken(o), newAudit(o), newVersion(o), newUp(o),
	)
	return root
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// findToken returns the token to present, from the flag, the environment, or
// the file that `hawser up` and compose write.
func (o *options) findToken() (string, error) {
	if o.token != "" {
		return o.token, nil
	}
	read := func(path string) (string, error) {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)), err
	}
	if o.tokenFile != "" {
		return read(o.tokenFile)
	}
	if t := os.Getenv("HAWSER_TOKEN"); t != "" {
		return t, nil
	}
	if file := os.Getenv("HAWSER_TOKEN_FILE"); file != "" {
		return read(file)
	}
	places := []string{filepath.Join(".hawser", "admin.token")}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, ".hawser", "admin.token"))
	}
	for _, p := range places {
		if t, err := read(p); err == nil && t != "" {
			return t, nil
		}
	}
	return "", &exitError{exitFailed, "no token: give --token, --token-file or $HAWSER_TOKEN (the mesh's first token is written to .hawser/admin.token)"}
}

// report prints an error for people and returns its exit code.
func report(w io.Writer, err error) int {
	var e *exitError
	if errors.As(err, &e) {
		if e.text != "" {
			fmt.Fprintln(w, "error:", e.text)
		}
		return e.code
	}
	s, ok := status.FromError(err)
	if !ok {
		fmt.Fprintln(w, "error:", err)
		if strings.HasPrefix(err.Error(), "unknown command") || strings.Contains(err.Error(), "arg(s)") {
			return exitUsage
		}
		return exitFailed
	}
	fmt.Fprintf(w, "error: %s\n", s.Message())
	refused := false
	for _, d := range s.Details() {
		if bad, is := d.(*errdetails.BadRequest); is {
			for _, v := range bad.GetFieldViolations() {
				refused = true
				fmt.Fprintf(w, "  %s: %s\n", v.GetField(), v.GetDescription())
			}
		}
	}
	switch s.Code() {
	case codes.Unavailable:
		fmt.Fprintln(w, "is the control plane up? see --server, and `hawser up`")
	case codes.Unauthenticated:
		fmt.Fprintln(w, "see --token, --token-file and $HAWSER_TOKEN")
	case codes.InvalidArgument, codes.FailedPrecondition, codes.Aborted, codes.ResourceExhausted:
		return exitRefused
	}
	if refused {
		return exitRefused
	}
	return exitFailed
}
