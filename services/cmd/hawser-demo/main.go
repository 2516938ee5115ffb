// Command hawser-demo runs one demo service; see package demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hawser-mesh/hawser/services/demo"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hawser-demo:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	name := flag.String("name", "demo", "name of the service; label app")
	version := flag.String("version", "v1", "version; label version")
	delay := flag.Duration("delay", 0, "wait before each answer")
	failEvery := flag.Uint64("fail-every", 0, "answer every n-th request with 503")
	server := flag.String("configapi", os.Getenv("HAWSER_SERVER"), "config API to register with (gRPC); empty: do not register")
	tokenFile := flag.String("token-file", os.Getenv("HAWSER_TOKEN_FILE"), "file with the token for it")
	namespace := flag.String("namespace", "default", "namespace of the workload")
	workload := flag.String("workload", "", "name of the workload (default: NAME-VERSION)")
	address := flag.String("address", "", "address that proxies reach (default: the one that is served on, or else the host's)")
	ttl := flag.Duration("ttl", 10*time.Second, "how long the workload outlives its last heartbeat")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}

	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("service", *name, "version", *version)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &demo.Service{Name: *name, Version: *version, Delay: *delay, FailEvery: *failEvery}, ReadHeaderTimeout: 10 * time.Second}
	if *server != "" {
		if *workload == "" {
			*workload = *name + "-" + *version
		}
		tcp := l.Addr().(*net.TCPAddr)
		if *address == "" {
			if *address, err = reachable(tcp.IP); err != nil {
				return err
			}
		}
		r := &demo.Registration{
			Server: *server, Namespace: *namespace, Workload: *workload, Address: *address, Port: tcp.Port, TTL: *ttl,
			Labels: map[string]string{"app": *name, "version": *version},
			Token: func() (string, error) {
				b, err := os.ReadFile(*tokenFile)
				return strings.TrimSpace(string(b)), err
			},
		}
		go func() {
			if err := r.Run(ctx, log); err != nil {
				log.Error("registration ended", "error", err)
			}
		}()
	}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(end)
	}()
	log.Info("serving", "address", l.Addr().String())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reachable returns the address to register for a listener's address: itself,
// or for a wildcard the first address of the host that is not loopback.
func reachable(ip net.IP) (string, error) {
	if !ip.IsUnspecified() {
		return ip.String(), nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this host has no address but loopback: give --address")
}
