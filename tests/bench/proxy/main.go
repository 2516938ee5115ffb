package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one round of one proxy.
type sample struct {
	cpuPerRequest float64 // µs
	p99           float64 // ms, at saturation
	rate          float64 // requests per second
	rss           float64 // MiB at the end of the round
}

func main() {
	proxies := flag.String("proxies", "hawser,haproxy-tcp,haproxy,nginx,envoy", "which, the first is what the others are compared with")
	rounds := flag.Int("rounds", 5, "rounds of each proxy")
	seconds := flag.Int("seconds", 3, "length of a round")
	connections := flag.Int("connections", 64, "client connections")
	backendOnly := flag.String("backend", "", "only serve the backend on this address")
	flag.Parse()
	if *backendOnly != "" {
		l, err := net.Listen("tcp", *backendOnly)
		if err != nil {
			fatal(err)
		}
		serveBackend(l)
		return
	}
	if err := run(strings.Split(*proxies, ","), *rounds, *seconds, *connections); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(names []string, rounds, seconds, connections int) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, err := os.MkdirTemp("", "hawser-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	backend, err := freePort()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.CommandContext(ctx, self, "-backend", fmt.Sprintf("127.0.0.1:%d", backend))
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	samples := map[string][]sample{}
	for round := range rounds {
		for _, name := range names {
			s, err := measure(ctx, name, filepath.Join(dir, fmt.Sprint(name, round)), backend, seconds, connections)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			samples[name] = append(samples[name], s)
			fmt.Printf("round %d  %-12s %6.2f µs CPU/request  p99 %6.2f ms  %8.0f/s  %5.1f MiB\n", round+1, name, s.cpuPerRequest, s.p99, s.rate, s.rss)
		}
	}
	report(names, samples)
	return nil
}

func report(names []string, samples map[string][]sample) {
	median := func(name string, f func(sample) float64) float64 {
		var v []float64
		for _, s := range samples[name] {
			v = append(v, f(s))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	cpu := func(s sample) float64 { return s.cpuPerRequest }
	p99 := func(s sample) float64 { return s.p99 }
	base := median(names[0], cpu)
	fmt.Printf("\n%-12s %14s %12s %20s\n", "medians", "µs CPU/request", "p99 ms", names[0]+" / this")
	for _, n := range names {
		fmt.Printf("%-12s %14.2f %12.2f %20.2f\n", n, median(n, cpu), median(n, p99), base/median(n, cpu))
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// measure runs one proxy for one round: a warm-up, then wrk at saturation.
func measure(ctx context.Context, name, dir string, backend, seconds, connections int) (sample, error) {
	i := slices.IndexFunc(peers(), func(p peer) bool { return p.name == name })
	if i < 0 {
		return sample{}, fmt.Errorf("unknown proxy")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return sample{}, err
	}
	listen, err := freePort()
	if err != nil {
		return sample{}, err
	}
	args, err := peers()[i].start(dir, listen, backend)
	if err != nil {
		return sample{}, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	address := fmt.Sprintf("127.0.0.1:%d", listen)
	if err := await(address); err != nil {
		return sample{}, err
	}
	if _, _, err := wrk(ctx, address, 1, connections); err != nil {
		return sample{}, err
	}
	before, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	requests, p99, err := wrk(ctx, address, seconds, connections)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	return sample{
		cpuPerRequest: float64((after - before).Nanoseconds()) / 1e3 / float64(requests),
		p99:           p99, rate: float64(requests) / float64(seconds), rss: resident(cmd.Process.Pid),
	}, nil
}

func await(address string) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("%s does not listen", address)
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	p99Line      = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	errorLine    = regexp.MustCompile(`(Socket errors|Non-2xx).*`)
)

func wrk(ctx context.Context, address string, seconds, connections int) (requests int, p99 float64, err error) {
	out, err := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds), "--latency", "http://"+address+"/").CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if e := errorLine.Find(out); e != nil {
		return 0, 0, fmt.Errorf("wrk: %s", e)
	}
	m, p := requestsLine.FindSubmatch(out), p99Line.FindSubmatch(out)
	if m == nil || p == nil {
		return 0, 0, fmt.Errorf("wrk: %s", out)
	}
	requests, _ = strconv.Atoi(string(m[1]))
	p99, _ = strconv.ParseFloat(string(p[1]), 64)
	p99 *= map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(p[2])]
	return requests, p99, nil
}

// cpuTime is the time that all threads of a process have run, from the
// scheduler's own accounting.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("no such process: %d", pid)
	}
	var total time.Duration
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n)
	}
	return total, nil
}

// resident is the process's resident memory in MiB.
func resident(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
