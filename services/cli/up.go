package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-mesh/hawser/services/configapi"
	"github.com/hawser-mesh/hawser/services/distributor"
	"github.com/hawser-mesh/hawser/services/internal/bus"
)

// upOptions are the flags of up.
type upOptions struct {
	dir, proxy                           string
	noDemo, noProxies                    bool
	grpcAddress, restAddress, xdsAddress string
	statusAddress, outboundAddress       string
	adminPort                            int
}

func newUp(o *options) *cobra.Command {
	u := &upOptions{}
	c := &cobra.Command{
		Use:   "up",
		Short: "Run a whole mesh in this terminal: control plane, two proxies, demo services",
		Long: `up runs the config API (SQLite), the bus and the distributor in this process, and starts two proxies, one at
the edge and one as a sidecar, and the services of the shop (deploy/examples/shop.yaml) beside it. What it
stores is in .hawser; started again it goes on where it was. Ctrl-C stops everything in order.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.up(c.Context(), u) },
	}
	f := c.Flags()
	f.StringVar(&u.dir, "dir", ".hawser", "directory for state, logs and the first token")
	f.BoolVar(&u.noDemo, "no-demo", false, "do not start the demo services")
	f.BoolVar(&u.noProxies, "no-proxies", false, "do not start proxies")
	f.StringVar(&u.proxy, "proxy", "", "the proxy's program (default: hawser-proxy beside hawser or in PATH; Envoy does as well)")
	f.StringVar(&u.grpcAddress, "grpc-address", "127.0.0.1:9090", "of the config API")
	f.StringVar(&u.restAddress, "rest-address", "127.0.0.1:9091", "of the config API's REST")
	f.StringVar(&u.xdsAddress, "xds-address", "127.0.0.1:18000", "of the distributor")
	f.StringVar(&u.statusAddress, "status-address", "127.0.0.1:18001", "of the distributor's health and metrics")
	f.StringVar(&u.outboundAddress, "outbound-address", "127.0.0.1:15001", "where the sidecar takes what applications send")
	f.IntVar(&u.adminPort, "admin-port", 9901, "admin port of the edge proxy; the sidecar's is the next")
	return c
}

// up runs until ctx ends or a part of the control plane fails.
func (o *options) up(ctx context.Context, u *upOptions) error {
	logs := filepath.Join(u.dir, "log")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return err
	}
	tokenFile, err := firstToken(u.dir)
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(logs, "control-plane.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	log := slog.New(slog.NewJSONHandler(logFile, nil))

	// Listeners first: who finds the ports taken must not touch the state.
	api, dist, err := u.controlPlane(tokenFile, log)
	if err != nil {
		return err
	}
	nats := api.bus
	defer nats.Close()
	children, err := u.children(logs, tokenFile, api.GRPCAddr(), dist.XDSAddr())
	if err != nil {
		return err
	}

	failed := make(chan error, 2)
	// Stopped last to first.
	stopAPI := background(func(ctx context.Context) { failed <- part("config API", api.Run(ctx)) })
	defer stopAPI()
	stopDist := background(func(ctx context.Context) { failed <- part("distributor", dist.Run(ctx)) })
	defer stopDist()
	if err := ready(ctx, failed, "http://"+api.HTTPAddr()+"/readyz", "http://"+dist.HTTPAddr()+"/readyz"); err != nil {
		return err
	}
	for _, group := range children {
		defer background(func(ctx context.Context) {
			var running sync.WaitGroup
			for _, c := range group {
				c.out = o.err
				running.Go(func() { c.keep(ctx) })
			}
			running.Wait()
		})()
	}
	fmt.Fprint(o.out, u.greeting(api.GRPCAddr(), api.HTTPAddr(), dist.XDSAddr(), tokenFile))
	select {
	case <-ctx.Done():
		fmt.Fprintln(o.out, "\nstopping")
		return nil
	case err := <-failed:
		return err
	}
}

// apiWithBus is a config API and the bus that it was given.
type apiWithBus struct {
	*configapi.Server
	bus *bus.Server
}

// controlPlane makes its parts without running them.
func (u *upOptions) controlPlane(tokenFile string, log *slog.Logger) (*apiWithBus, *distributor.Server, error) {
	nats, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: filepath.Join(u.dir, "nats"), Log: log})
	if err != nil {
		return nil, nil, err
	}
	api, err := configapi.New(configapi.Config{
		GRPCAddress: u.grpcAddress, HTTPAddress: u.restAddress, AdminTokenFile: tokenFile, Bus: nats, Log: log,
		Store: configapi.StoreConfig{SQLitePath: filepath.Join(u.dir, "hawser.db")}})
	if err != nil {
		nats.Close()
		return nil, nil, part("config API", err)
	}
	dist, err := distributor.New(distributor.Config{
		ID: "embedded", XDSAddress: u.xdsAddress, HTTPAddress: u.statusAddress, OutboundAddress: u.outboundAddress,
		ConfigAPI: distributor.ConfigAPIConfig{TokenFile: tokenFile}, Bus: nats, Dial: api.Dial, Log: log})
	if err != nil {
		nats.Close()
		return nil, nil, part("distributor", err)
	}
	return &apiWithBus{api, nats}, dist, nil
}

func part(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// background starts a task; the function that it returns ends it and waits.
func background(task func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { task(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// ready waits until all answer.
func ready(ctx context.Context, failed <-chan error, urls ...string) error {
	client := &http.Client{Timeout: time.Second}
	for _, url := range urls {
		for {
			answer, err := client.Get(url)
			if err == nil {
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					break
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case err := <-failed:
				return err
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// firstToken makes the admin token at the first start.
func firstToken(dir string) (path string, err error) {
	path = filepath.Join(dir, "admin.token")
	if text, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return path, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// Whole or not at all, also if we die here.
	next := path + ".new"
	if err := os.WriteFile(next, []byte("hwt_"+rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(next, path)
}

// children are the programs to start: services, and then the proxies before
// them.
func (u *upOptions) children(logs, tokenFile, api, xds string) (groups [][]*child, err error) {
	for _, group := range []func(func(string, string, ...string)) error{
		func(add func(string, string, ...string)) error { return u.demos(add, tokenFile, api) },
		func(add func(string, string, ...string)) error { return u.proxies(add, xds) },
	} {
		var list []*child
		err := group(func(name, path string, args ...string) {
			list = append(list, &child{name: name, path: path, args: args, log: filepath.Join(logs, name+".log")})
		})
		if err != nil {
			return nil, err
		}
		groups = append(groups, list)
	}
	return groups, nil
}

func (u *upOptions) demos(add func(name, path string, args ...string), tokenFile, api string) error {
	if !u.noDemo {
		demo, err := findProgram("hawser-demo")
		if err != nil {
			return errors.New("hawser-demo is neither beside hawser nor in PATH: build it with make build, or give --no-demo")
		}
		for _, d := range []struct {
			name, version string
			args          []string
		}{
			{"catalog", "v1", nil},
			{"catalog", "v2", nil},
			{"reviews", "v1", []string{"-delay", "300ms"}},
			{"payments", "v1", []string{"-fail-every", "3"}},
		} {
			add(d.name+"-"+d.version, demo, append([]string{"-name", d.name, "-version", d.version,
				"-configapi", api, "-token-file", tokenFile}, d.args...)...)
		}
	}
	return nil
}

func (u *upOptions) proxies(add func(name, path string, args ...string), xds string) error {
	if u.noProxies {
		return nil
	}
	proxy := u.proxy
	if proxy == "" {
		var err error
		if proxy, err = findProgram("hawser-proxy"); err != nil {
			return errors.New("hawser-proxy is neither beside hawser nor in PATH: build it with make build, or give --proxy or --no-proxies")
		}
	}
	for i, role := range []string{"edge", "sidecar"} {
		file := filepath.Join(u.dir, role+".yaml")
		if err := writeBootstrap(file, u.adminPort+i, xds); err != nil {
			return err
		}
		// Two proxies of one host need base ids that nobody else has.
		add(role, proxy, "-c", file, "--service-node", role+"-1", "--service-cluster", role, "--base-id", strconv.Itoa(u.adminPort+i))
	}
	return nil
}

// greeting says what there is and what to do with it.
func (u *upOptions) greeting(api, rest, xds, tokenFile string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The mesh is up; Ctrl-C stops it. State and logs are in %s.\n\n", u.dir)
	b.WriteString(indent("config API   "+api+" (gRPC), http://"+rest+" (REST)", "distributor  "+xds+" (xDS)", "admin token  "+tokenFile))
	if !u.noProxies {
		b.WriteString(indent(
			fmt.Sprintf("edge         http://127.0.0.1:%d (admin)", u.adminPort),
			fmt.Sprintf("sidecar      http://127.0.0.1:%d (admin), takes what applications send at %s", u.adminPort+1, u.outboundAddress)))
	}
	b.WriteString("\nIn another terminal:\n\n")
	flags := ""
	if api != "127.0.0.1:9090" {
		flags += " --server " + api
	}
	if u.dir != ".hawser" {
		flags += " --token-file " + tokenFile
	}
	b.WriteString(indent("hawser apply -f deploy/examples/shop.yaml --wait"+flags, "hawser status"+flags))
	if !u.noProxies && !u.noDemo {
		b.WriteString(indent("curl http://127.0.0.1:10000/catalog", "curl -H 'Host: catalog' http://"+u.outboundAddress+"/catalog"))
	}
	return b.String()
}
