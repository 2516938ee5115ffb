package configapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (cfg TLSConfig, pool *x509.CertPool, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	cfg = TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), ClientCAFile: filepath.Join(dir, "cert.pem")}
	for path, data := range map[string][]byte{cfg.CertFile: certPEM, cfg.KeyFile: keyPEM} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return cfg, pool, pair
}

func TestMutualTLS(t *testing.T) {
	cfg, pool, pair := certificate(t)
	h := start(t, Config{TLS: cfg})
	call := func(client *tls.Config) error {
		conn, err := grpc.NewClient(h.server.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(client)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = configv1.NewConfigServiceClient(conn).StateHash(h.ctx(), &configv1.StateHashRequest{})
		return err
	}
	if err := call(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := call(&tls.Config{RootCAs: pool}); status.Code(err) != codes.Unavailable {
		t.Errorf("without a certificate: %v", err)
	}
	web := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}}
	defer web.CloseIdleConnections()
	answer, err := web.Get("https://" + h.server.HTTPAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	probed := h.server.cfg
	probed.HTTPAddress = h.server.HTTPAddr()
	if err := Probe(probed); err != nil {
		t.Errorf("probe: %v", err)
	}
	probed.HTTPAddress = "127.0.0.1:1"
	if err := Probe(probed); err == nil {
		t.Error("a probe of nothing succeeded")
	}
	if answer.StatusCode != 200 || answer.ProtoMajor != 2 {
		t.Errorf("%s over %s", answer.Status, answer.Proto)
	}
}
