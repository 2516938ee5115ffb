package configapi

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Probe asks the server that runs with a configuration whether it is ready,
// over loopback where it listens on every address. An image without a shell
// has nothing else to do this with.
func Probe(cfg Config) error {
	if err := cfg.complete(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddress)
	if err != nil {
		return fmt.Errorf("httpAddress: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &http.Client{Timeout: 3 * time.Second}
	scheme := "http"
	if cfg.TLS.CertFile != "" {
		scheme = "https"
		// It is the same machine, and nothing is told to the server.
		own := &tls.Config{InsecureSkipVerify: true}
		if cfg.TLS.ClientCAFile != "" {
			pair, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
			if err != nil {
				return fmt.Errorf("tls: %w", err)
			}
			own.Certificates = []tls.Certificate{pair}
		}
		client.Transport = &http.Transport{TLSClientConfig: own}
	}
	answer, err := client.Get(scheme + "://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(text)))
	}
	return nil
}
