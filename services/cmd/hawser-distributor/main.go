// Command hawser-distributor serves the configuration of one mesh by xDS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hawser-mesh/hawser/services/distributor"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hawser-distributor:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("config", "", "configuration file (YAML); every setting also has a variable "+distributor.EnvPrefix+"_...")
	check := flag.Bool("check", false, "check the configuration and exit")
	probe := flag.Bool("health", false, "ask a running server of this configuration whether it is ready, and exit; for container health checks")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	cfg, err := distributor.Load(*path, os.Environ())
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if cfg.LogLevel != "" {
		if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
			return fmt.Errorf("logLevel: %w", err)
		}
	}
	cfg.Log = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if *check {
		return cfg.Check()
	}
	if *probe {
		return distributor.Probe(cfg)
	}
	server, err := distributor.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err = server.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
