package distributor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

func semantic(major, minor, patch uint32) string { return fmt.Sprintf("%d.%d.%d", major, minor, patch) }

// bearer presents the token. The file is read anew: the token may not be
// there yet, or change.
type bearer struct{ token, file string }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token := b.token
	if b.file != "" {
		data, err := os.ReadFile(b.file)
		if err != nil {
			return nil, fmt.Errorf("configApi.tokenFile: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. Whether
// the network in between is trusted is the operator's to say (caFile).
func (bearer) RequireTransportSecurity() bool { return false }

// dial makes the connection to the config API, which need not be there.
func (c *Config) dial() (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithPerRPCCredentials(bearer{c.ConfigAPI.Token, c.ConfigAPI.TokenFile}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 2 * time.Second, Backoff: backoff.Config{
			BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second}}),
	}
	if c.Dial != nil {
		return c.Dial(options...)
	}
	creds := insecure.NewCredentials()
	if c.ConfigAPI.CAFile != "" {
		pem, err := os.ReadFile(c.ConfigAPI.CAFile)
		if err != nil {
			return nil, fmt.Errorf("configApi.caFile: %w", err)
		}
		own := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !own.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("configApi.caFile: %s has no certificate", c.ConfigAPI.CAFile)
		}
		if c.ConfigAPI.CertFile != "" {
			own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(c.ConfigAPI.CertFile, c.ConfigAPI.KeyFile)
				return &pair, err
			}
		}
		creds = credentials.NewTLS(own)
	}
	conn, err := grpc.NewClient(c.ConfigAPI.Address, append(options, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		return nil, fmt.Errorf("configApi.address: %w", err)
	}
	return conn, nil
}

// serverTLS reads the certificate of the xDS port; nil for plaintext.
func serverTLS(c TLSConfig) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	own := &tls.Config{MinVersion: tls.VersionTLS12,
		// Read for each connection: renewed files count without a restart.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() }}
	if c.ClientCAFile != "" {
		pem, err := os.ReadFile(c.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.clientCaFile: %w", err)
		}
		own.ClientCAs, own.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !own.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.clientCaFile: %s has no certificate", c.ClientCAFile)
		}
	}
	return own, nil
}

// backoffer waits longer each time, with jitter.
type backoffer struct{ next atomic.Int64 }

// Bounds of a wait.
const (
	minWait = 100 * time.Millisecond
	maxWait = 3 * time.Second
)

func newBackoff() *backoffer { return new(backoffer) }

// reset makes the next wait the shortest: something worked.
func (b *backoffer) reset() { b.next.Store(0) }

// sleep waits; false if ctx ended.
func (b *backoffer) sleep(ctx context.Context) bool {
	d := max(time.Duration(b.next.Load()), minWait)
	b.next.Store(int64(min(2*d, maxWait)))
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d/2 + rand.N(d/2)):
		return true
	}
}
