package tls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// Config is a TLS context, compiled. It is immutable.
type Config struct {
	Certificates []Certificate
	MinVersion   uint16
	MaxVersion   uint16
	Ciphers      []uint16 // of TLS 1.2; nil: Go's
	Curves       []tls.CurveID
	ALPN         []string
	ServerName   string // upstream: SNI
	// Require makes a downstream fail without a certificate.
	Require bool
	// Validation of the peer; nil: it is not verified.
	Validation *Validation
	// SessionTickets off, and the upstream's session cache.
	NoTickets   bool
	MaxSessions int
	KeyLog      func([]byte)
}

// Certificate is a chain with its key.
type Certificate struct {
	tls.Certificate
	Path string
}

// Validation is CertificateValidationContext.
type Validation struct {
	CA           *x509.CertPool
	CACerts      []*x509.Certificate
	CAPath       string
	SANs         []SANMatcher
	Hashes       [][32]byte
	SPKI         []string // base64 of SHA-256
	AllowExpired bool
	AcceptAny    bool // trust_chain_verification: ACCEPT_UNTRUSTED
	CRL          []*x509.RevocationList
}

// SANKind is the type of a subject alternative name.
type SANKind uint8

// The kinds.
const (
	SANDNS SANKind = iota
	SANURI
	SANIP
	SANEmail
)

// SANMatcher is one of match_typed_subject_alt_names.
type SANMatcher struct {
	Kind  SANKind
	Match matcher.String
}

// build makes crypto/tls's form of the context.
func (c *Config) build(server bool, st *sslStats) *tls.Config {
	out := &tls.Config{
		MinVersion: c.MinVersion, MaxVersion: c.MaxVersion, CipherSuites: c.Ciphers, CurvePreferences: c.Curves,
		NextProtos: c.ALPN, SessionTicketsDisabled: c.NoTickets, ServerName: c.ServerName,
	}
	for i := range c.Certificates {
		out.Certificates = append(out.Certificates, c.Certificates[i].Certificate)
	}
	if c.KeyLog != nil {
		out.KeyLogWriter = logWriter(c.KeyLog)
	}
	if server {
		switch {
		case c.Require:
			out.ClientAuth = tls.RequireAnyClientCert
		case c.Validation != nil:
			out.ClientAuth = tls.RequestClientCert
		}
		if c.Validation != nil && c.Validation.CA != nil {
			out.ClientCAs = c.Validation.CA
		}
	} else {
		out.InsecureSkipVerify = true // verified below, with Envoy's rules
		if c.MaxSessions > 0 {
			out.ClientSessionCache = tls.NewLRUClientSessionCache(c.MaxSessions)
		}
	}
	out.VerifyConnection = func(s tls.ConnectionState) error { return c.verify(&s, server, nil, st) }
	if server && len(c.ALPN) > 0 { // last: it copies everything above
		out.GetConfigForClient = c.lenientALPN(out)
	}
	return out
}

// lenientALPN lets a client in whose protocols are none of ours: the handshake
// goes on without one, where Go's server would refuse it.
func (c *Config) lenientALPN(base *tls.Config) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	without := base.Clone()
	without.NextProtos, without.GetConfigForClient = nil, nil
	return func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, p := range h.SupportedProtos {
			if slices.Contains(c.ALPN, p) {
				return nil, nil //nolint:nilnil // means: go on with the config at hand
			}
		}
		return without, nil
	}
}

type logWriter func([]byte)

func (w logWriter) Write(p []byte) (int, error) { w(p); return len(p), nil }

// forConnection adds the choices of one outgoing connection.
func (c *Config) forConnection(base *tls.Config, o *network.TransportOptions, st *sslStats) *tls.Config {
	if o == nil || o.ServerName == "" && len(o.ALPN) == 0 && len(o.VerifySAN) == 0 && (len(c.ALPN) > 0 || len(o.Fallback) == 0) {
		return base
	}
	out := base.Clone()
	if o.ServerName != "" {
		out.ServerName = o.ServerName
	}
	switch {
	case len(o.ALPN) > 0:
		out.NextProtos = o.ALPN
	case len(c.ALPN) == 0:
		out.NextProtos = o.Fallback
	}
	if sans := o.VerifySAN; len(sans) > 0 {
		out.VerifyConnection = func(s tls.ConnectionState) error { return c.verify(&s, false, sans, st) }
	}
	return out
}

// The ways in which a peer fails; each has its statistic.
var (
	errNoCert = errors.New("PEER_DID_NOT_RETURN_A_CERTIFICATE")
	errSAN    = errors.New("verify SAN list")
	errHash   = errors.New("cert hash and spki")
	errChain  = errors.New("X509_verify_cert")
)

// isNoCert says whether a client had to show a certificate and did not.
func isNoCert(err error) bool {
	return errors.Is(err, errNoCert) || strings.Contains(err.Error(), "client didn't provide a certificate")
}

// verify checks the peer with Envoy's rules.
func (c *Config) verify(s *tls.ConnectionState, server bool, sans []string, st *sslStats) error {
	v := c.Validation
	if len(s.PeerCertificates) == 0 {
		if server && c.Require {
			return errNoCert
		}
		return nil
	}
	if v == nil {
		return nil
	}
	leaf := s.PeerCertificates[0]
	if v.CA != nil {
		if err := v.chain(s.PeerCertificates, server); err != nil && !v.AcceptAny {
			return fmt.Errorf("%w: %w", errChain, err)
		}
	}
	if len(sans) > 0 && !slices.ContainsFunc(sans, func(n string) bool { return leaf.VerifyHostname(n) == nil }) {
		return fmt.Errorf("%w, expected SANs: [%s]", errSAN, strings.Join(sans, ", "))
	}
	if len(v.SANs) > 0 && !v.matchSAN(leaf) && !v.AcceptAny {
		return fmt.Errorf("%w: SAN matcher", errSAN)
	}
	if (len(v.Hashes) > 0 || len(v.SPKI) > 0) && !v.pinned(leaf) {
		return errHash
	}
	_ = st
	return nil
}

// chain verifies the certificates up to a trusted one, as a server's or a
// client's.
func (v *Validation) chain(certs []*x509.Certificate, server bool) error {
	o := x509.VerifyOptions{Roots: v.CA, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if server {
		o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if v.AllowExpired && time.Now().After(certs[0].NotAfter) {
		o.CurrentTime = certs[0].NotAfter.Add(-time.Second)
	}
	for _, x := range certs[1:] {
		o.Intermediates.AddCert(x)
	}
	chains, err := certs[0].Verify(o)
	if err != nil {
		return err
	}
	if len(v.CRL) > 0 && slices.ContainsFunc(chains[0], v.revoked) {
		return errors.New("certificate revoked")
	}
	return nil
}

func (v *Validation) revoked(c *x509.Certificate) bool {
	for _, l := range v.CRL {
		for _, e := range l.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 && string(l.RawIssuer) == string(c.RawIssuer) {
				return true
			}
		}
	}
	return false
}

func (v *Validation) matchSAN(c *x509.Certificate) bool {
	for i := range v.SANs {
		m := &v.SANs[i]
		for _, n := range names(c, m.Kind) {
			if m.Match.Match(n) || m.Kind == SANDNS && m.Match.Kind == matcher.Exact && wildcardMatch(n, m.Match.Exact) {
				return true
			}
		}
	}
	return false
}

// wildcardMatch matches a certificate's "*.example.com" with a wanted name.
func wildcardMatch(pattern, name string) bool {
	rest, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		return false
	}
	_, domain, found := strings.Cut(name, ".")
	return found && strings.EqualFold(domain, rest)
}

func names(c *x509.Certificate, k SANKind) []string {
	var out []string
	switch k {
	case SANDNS:
		return c.DNSNames
	case SANURI:
		for _, u := range c.URIs {
			out = append(out, u.String())
		}
	case SANIP:
		for _, a := range c.IPAddresses {
			out = append(out, a.String())
		}
	case SANEmail:
		return c.EmailAddresses
	}
	return out
}

func (v *Validation) pinned(c *x509.Certificate) bool {
	sum := sha256.Sum256(c.Raw)
	if slices.Contains(v.Hashes, sum) {
		return true
	}
	spki := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return slices.Contains(v.SPKI, base64.StdEncoding.EncodeToString(spki[:]))
}

// ParseHash reads a certificate's SHA-256 in hex, with or without colons.
func ParseHash(s string) (h [32]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != 32 {
		return h, fmt.Errorf("invalid hex-encoded SHA-256 %s", s)
	}
	copy(h[:], b)
	return h, nil
}
