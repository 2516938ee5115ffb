// Command hawser-proxy is the data plane: it takes Envoy's command line and
// configuration and behaves as Envoy does.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/hawser-mesh/hawser/dataplane/internal/cli"
	"github.com/hawser-mesh/hawser/dataplane/internal/server"
)

func main() { os.Exit(run()) }

func run() int {
	version := buildVersion()
	o, code, text := cli.Parse(os.Args[1:], cli.Info{Program: "hawser-proxy", Version: version, HotRestart: "disabled"})
	if o == nil {
		if code == 0 {
			fmt.Fprint(os.Stdout, text)
		} else {
			fmt.Fprint(os.Stderr, text)
		}
		return code
	}
	s, err := server.New(o, version)
	if o.Mode == cli.Validate {
		if err != nil {
			fmt.Fprintf(os.Stderr, "error initializing configuration '%s': %v\n", o.ConfigPath, err)
			return 1
		}
		fmt.Printf("configuration '%s' OK\n", o.ConfigPath)
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error initializing configuration '%s': %v\nexiting\n", o.ConfigPath, err)
		return 1
	}
	return s.Run()
}

// buildVersion is the revision that the program was built from.
func buildVersion() string {
	revision := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, x := range b.Settings {
			if x.Key == "vcs.revision" {
				revision = x.Value
			}
		}
	}
	return revision + "/hawser/RELEASE"
}
