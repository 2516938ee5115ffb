package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "distributor bench:", err)
		os.Exit(1)
	}
}

// plane is a control plane in another process.
type plane struct {
	cmd       *exec.Cmd
	dir       string
	grpc, xds string
	status    string
	api       configv1.ConfigServiceClient
	ctx       context.Context
	services  int
	writes    int
}

func run() error {
	counts := flag.String("clients", "1,100,1000", "how many clients, one run each")
	services := flag.Int("services", 1000, "services, with five endpoints each")
	writes := flag.Int("writes", 50, "writes of each run")
	flag.Parse()
	p, err := start(*services)
	if err != nil {
		return err
	}
	defer p.stop()
	begin := time.Now()
	if err := p.fill(); err != nil {
		return err
	}
	fmt.Printf("%d services with 5 endpoints each, written in %v; control plane %d MiB\n",
		*services, time.Since(begin).Round(time.Millisecond), p.memory()>>20)
	for _, text := range strings.Split(*counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := p.measure(n, *writes); err != nil {
			return err
		}
	}
	return nil
}

func start(services int) (*plane, error) {
	dir, err := os.MkdirTemp("", "hawser-bench")
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "hawser")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/hawser-mesh/hawser/services/cmd/hawser").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	p := &plane{dir: dir, grpc: ports[0], xds: ports[2], status: ports[3], services: services}
	p.cmd = exec.Command(program, "up", "--no-demo", "--no-proxies", "--dir", filepath.Join(dir, "state"), "--grpc-address", ports[0],
		"--rest-address", ports[1], "--xds-address", ports[2], "--status-address", ports[3])
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	p.api = configv1.NewConfigServiceClient(conn)
	for range 500 {
		token, _ := os.ReadFile(filepath.Join(dir, "state", "admin.token"))
		p.ctx = metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+strings.TrimSpace(string(token)))
		if _, err = p.api.StateHash(p.ctx, &configv1.StateHashRequest{}); err == nil {
			return p, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("the control plane does not start: %w", err)
}

func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().String())
	}
	return ports, nil
}

func (p *plane) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

func workload(service, i, weight int) string {
	return fmt.Sprintf("---\napiVersion: hawser.dev/v1\nkind: Workload\nmetadata: {name: s%d-%d, labels: {app: s%d}}\nspec: {address: 10.%d.%d.%d, ports: {http: 8080}, weight: %d}\n",
		service, i, service, service/250, service%250, i+1, weight)
}

// fill writes the mesh.
func (p *plane) fill() error {
	const batch = 100
	for at := 0; at < p.services; at += batch {
		var b strings.Builder
		for s := at; s < min(at+batch, p.services); s++ {
			fmt.Fprintf(&b, "---\napiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: s%d}, ports: [{name: http, port: 80}]}\n", s, s)
			for i := range 5 {
				b.WriteString(workload(s, i, 1))
			}
		}
		if _, err := p.api.Apply(p.ctx, &configv1.ApplyRequest{Manifest: []byte(b.String())}); err != nil {
			return err
		}
	}
	gateway := "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {gatewayClassName: hawser, listeners: [{name: http, port: 10000, protocol: HTTP}]}\n" +
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: s0, port: 80}]}]}\n"
	_, err := p.api.Apply(p.ctx, &configv1.ApplyRequest{Manifest: []byte(gateway)})
	return err
}

// memory is what the control plane's process holds, in bytes: the heap that
// was live at the last collection, and stacks. The resident set has garbage
// in it, most of it from the first load.
func (p *plane) memory() int64 {
	answer, err := http.Get("http://" + p.status + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 2 {
			values[f[0]], _ = strconv.ParseFloat(f[1], 64)
		}
	}
	// The next collection is due at twice the live heap, and once the stacks.
	stacks := values["go_memstats_stack_inuse_bytes"]
	return int64((values["go_memstats_next_gc_bytes"]-stacks)/2 + stacks)
}

// complete waits until every client has everything and nothing comes any more.
func (p *plane) complete(list []*client, s *sink, want int64) error {
	deadline := time.Now().Add(3 * time.Minute)
	for last := int64(-1); ; time.Sleep(500 * time.Millisecond) {
		n := s.resources.Load()
		if n == last && n >= want {
			return nil
		}
		if last = n; time.Now().After(deadline) {
			return fmt.Errorf("%d clients have %d resources, not %d", len(list), n, want)
		}
	}
}

func (p *plane) measure(n, writes int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &sink{events: make(chan seen, n*4)}
	before := p.memory()
	var list []*client
	begin := time.Now()
	for i := range n {
		c := &client{id: i, versions: map[string]map[string]string{}}
		if err := c.connect(ctx, p.xds, s); err != nil {
			return err
		}
		list = append(list, c)
	}
	if err := p.complete(list, s, int64(n)*int64(2*p.services+2)); err != nil {
		return err
	}
	loaded := time.Since(begin)
	// One that has just served a thousand clients has garbage; after a while
	// of writes it is at rest.
	each, all, told, err := p.write(s, n, writes)
	if err != nil {
		return err
	}
	after := p.memory()
	for _, c := range list {
		c.close()
	}
	s.resources.Store(0)
	s.bytes.Store(0)
	for _, c := range list {
		if err := c.connect(ctx, p.xds, s); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second)
	fmt.Printf("%4d clients: first load %v; write to acknowledged by a client p50 %v p99 %v, by all p50 %v p99 %v, told by the config API p50 %v; %d KiB a client; %d resources sent after reconnect\n",
		n, loaded.Round(time.Millisecond), quantile(each, 0.5), quantile(each, 0.99), quantile(all, 0.5), quantile(all, 0.99), quantile(told, 0.5),
		(after-before)/int64(n)>>10, s.resources.Load())
	for _, c := range list {
		c.close()
	}
	return nil
}

// write changes an endpoint again and again and measures until its assignment
// is acknowledged.
func (p *plane) write(s *sink, n, writes int) (each, all, told []time.Duration, err error) {
	for w := range writes {
		service := (w * 37) % p.services
		name := fmt.Sprintf("hawser/default/s%d/80", service)
		s.watch.Store(&name)
		p.writes++ // another weight than the last time
		start := time.Now()
		r, err := p.api.Apply(p.ctx, &configv1.ApplyRequest{Manifest: []byte(workload(service, 0, 2+p.writes%120))})
		if err != nil {
			return nil, nil, nil, err
		}
		timeout := time.After(20 * time.Second)
		for range n {
			select {
			case e := <-s.events:
				each = append(each, e.at.Sub(start))
			case <-timeout:
				return nil, nil, nil, errors.New("not acknowledged in 20s")
			}
		}
		all = append(all, each[len(each)-1])
		for {
			status, err := p.api.RolloutStatus(p.ctx, &configv1.RolloutStatusRequest{Revision: r.GetRevision()})
			if err != nil {
				return nil, nil, nil, err
			}
			if int(status.GetAcknowledged()) == n {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		told = append(told, time.Since(start))
	}
	return each, all, told, nil
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[min(len(list)-1, int(q*float64(len(list))))].Round(10 * time.Microsecond)
}
