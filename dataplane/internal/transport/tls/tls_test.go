package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/clock"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

func (a *authority) issue(t *testing.T, name string) Certificate {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// echo is a network filter that sends back what it gets.
type echo struct{ cb network.ReadCallbacks }

func (e *echo) InitRead(cb network.ReadCallbacks)     { e.cb = cb }
func (e *echo) OnNewConnection() network.FilterStatus { return network.Continue }
func (e *echo) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	e.cb.Connection().Write(b, end)
	return network.StopIteration
}

type accept func(event.Ready)

func (a accept) OnReady(r event.Ready) { a(r) }

// serve runs an echo server with a factory on a real worker.
func serve(t *testing.T, f network.TransportFactory, store *stats.Store) (string, *event.Worker) {
	p, err := event.NewEpoll()
	if err != nil {
		t.Fatal(err)
	}
	w := event.NewWorker(event.Config{Clock: clock.Real{}, Poller: p, System: event.Sockets{}, Stats: store.NewLocal()})
	s := event.Sockets{}
	l, err := s.Listen(address.FromIP(netip.MustParseAddrPort("127.0.0.1:0")), event.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Register(l, accept(func(event.Ready) {
		for {
			fd, peer, e := s.Accept(l)
			if e != 0 {
				return
			}
			c := network.NewServer(w, fd, network.Info{Remote: peer}, network.Options{Transport: f.NewTransport(nil)})
			c.EnableHalfClose(true)
			c.AddReadFilter(&echo{})
			_ = c.Start(network.Options{})
		}
	}))
	done := make(chan struct{})
	go func() { w.Run(); close(done) }()
	t.Cleanup(func() { w.Stop(); <-done; s.Close(l); _ = p.Close() })
	return s.LocalAddress(l).String(), w
}

func value(store *stats.Store, name string) uint64 {
	for _, x := range store.Read() {
		if x.Name == name {
			return x.Value
		}
	}
	return 0
}

func TestServerSide(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	store := stats.NewStore()
	f := NewServer(&Config{
		Certificates: []Certificate{ca.issue(t, "one.test"), ca.issue(t, "two.test")}, ALPN: []string{"h2"}, Require: true,
		Validation: &Validation{CA: ca.pool, SANs: []SANMatcher{{Kind: SANDNS, Match: matcher.String{Kind: matcher.Suffix, Suffix: ".client"}}}},
	}, store, "listener.l.ssl.", 1)
	addr, _ := serve(t, f, store)
	dial := func(cert *Certificate, name string, alpn ...string) (*tls.Conn, error) {
		cfg := &tls.Config{RootCAs: ca.pool, ServerName: name, NextProtos: alpn}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{cert.Certificate}
		}
		c, err := tls.Dial("tcp", addr, cfg)
		if err != nil {
			return nil, err
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte("x"))
		_, err = c.Read(make([]byte, 1)) // TLS 1.3 clients hear of a refusal here
		return c, err
	}
	good, wrong, foreign := ca.issue(t, "a.client"), ca.issue(t, "a.server"), other.issue(t, "a.client")
	c, err := dial(&good, "two.test", "h2", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.ConnectionState(); s.NegotiatedProtocol != "h2" || s.PeerCertificates[0].DNSNames[0] != "two.test" {
		t.Errorf("%q with %v", s.NegotiatedProtocol, s.PeerCertificates[0].DNSNames)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 100000)
	go func() { _, _ = c.Write(want); _ = c.CloseWrite() }()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
	}
	if c, err := dial(&good, "one.test", "unknown"); err != nil || c.ConnectionState().NegotiatedProtocol != "" {
		t.Errorf("unknown protocol: %v", err)
	}
	for name, cert := range map[string]*Certificate{"none": nil, "wrong name": &wrong, "foreign": &foreign} {
		if _, err := dial(cert, "one.test"); err == nil {
			t.Errorf("client certificate %s is accepted", name)
		}
	}
	for name, want := range map[string]uint64{"handshake": 2, "fail_verify_no_cert": 1, "fail_verify_san": 1, "fail_verify_error": 1, "versions.TLSv1.3": 2} {
		deadline := time.Now().Add(5 * time.Second)
		for value(store, "listener.l.ssl."+name) != want && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if v := value(store, "listener.l.ssl."+name); v != want {
			t.Errorf("%s: %d, want %d", name, v, want)
		}
	}
	if f.Swap(&Config{Certificates: []Certificate{ca.issue(t, "new.test")}}); true {
		if _, err := dial(nil, "new.test"); err != nil {
			t.Errorf("after a swap: %v", err)
		}
	}
}
