package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer is a proxy under measurement: it writes its configuration into dir and
// returns the command that runs it in the foreground, on one worker.
type peer struct {
	name  string
	start func(dir string, listen, backend int) ([]string, error)
}

func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func peers() []peer {
	envoyLike := func(command ...string) func(string, int, int) ([]string, error) {
		return func(dir string, listen, backend int) ([]string, error) {
			path, err := write(dir, "envoy.yaml", envoyConfig(listen, backend))
			return append(command, "-c", path, "--concurrency", "1", "-l", "error", "--disable-hot-restart", "--base-id", fmt.Sprint(listen)), err
		}
	}
	return []peer{
		{"hawser", envoyLike(program("hawser-proxy"))},
		{"envoy", envoyLike(envoyBinary())},
		{"nginx", func(dir string, listen, backend int) ([]string, error) {
			path, err := write(dir, "nginx.conf", fmt.Sprintf(nginxConfig, dir, dir, backend, listen))
			return []string{"nginx", "-c", path, "-p", dir, "-g", "daemon off; master_process off;"}, err
		}},
		{"haproxy", func(dir string, listen, backend int) ([]string, error) {
			path, err := write(dir, "haproxy.cfg", fmt.Sprintf(haproxyConfig, "http", listen, backend))
			return []string{"haproxy", "-f", path, "-db"}, err
		}},
		{"haproxy-tcp", func(dir string, listen, backend int) ([]string, error) {
			path, err := write(dir, "haproxy.cfg", fmt.Sprintf(haproxyConfig, "tcp", listen, backend))
			return []string{"haproxy", "-f", path, "-db"}, err
		}},
	}
}

// program returns the path of one of our programs, built by `make build`.
func program(name string) string {
	for _, dir := range []string{"bin", "../bin", "../../bin", "../../../bin"} {
		if path, err := filepath.Abs(filepath.Join(dir, name)); err == nil {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return name
}

// envoyBinary prefers the binary inside the Python package to the package's
// launcher, which is a process of its own.
func envoyBinary() string {
	launcher := os.Getenv("HAWSER_ENVOY")
	if launcher == "" {
		launcher, _ = exec.LookPath("envoy")
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(launcher)), "lib/python*/site-packages/envoy/_bin/envoy"))
	if len(found) > 0 {
		return found[0]
	}
	return launcher
}

func envoyConfig(listen, backend int) string {
	return strings.NewReplacer("LISTEN", fmt.Sprint(listen), "BACKEND", fmt.Sprint(backend)).Replace(`
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: LISTEN}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{match: {prefix: /}, route: {cluster: a}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: a
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: a
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: BACKEND}}}}]}]
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
`)
}

const nginxConfig = `
worker_processes 1;
error_log %s/error.log;
pid %s/nginx.pid;
events { worker_connections 20000; }
http {
  access_log off;
  keepalive_requests 100000000;
  upstream a { server 127.0.0.1:%d; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:%d;
    location / {
      proxy_pass http://a;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Request-Id $request_id;
    }
  }
}
`

const haproxyConfig = `
global
  nbthread 1
  maxconn 4000
defaults
  mode %s
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen main
  bind 127.0.0.1:%d
  http-reuse always
  server a 127.0.0.1:%d
`
