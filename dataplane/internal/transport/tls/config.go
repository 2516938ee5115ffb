package tls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Downstream compiles a DownstreamTlsContext.
func Downstream(m *tlsv3.DownstreamTlsContext, p fieldpath.Path) (*Config, error) {
	if err := support.Check(m, p); err != nil {
		return nil, err
	}
	c, err := common(m.GetCommonTlsContext(), p.Field("common_tls_context"), true)
	if err != nil {
		return nil, err
	}
	if len(c.Certificates) == 0 {
		return nil, p.Errorf("No TLS certificates found for server context")
	}
	c.Require = m.GetRequireClientCertificate().GetValue()
	c.NoTickets = m.GetDisableStatelessSessionResumption()
	return c, nil
}

// Upstream compiles an UpstreamTlsContext.
func Upstream(m *tlsv3.UpstreamTlsContext, p fieldpath.Path) (*Config, error) {
	if err := support.Check(m, p); err != nil {
		return nil, err
	}
	c, err := common(m.GetCommonTlsContext(), p.Field("common_tls_context"), false)
	if err != nil {
		return nil, err
	}
	if len(c.Certificates) > 1 {
		return nil, p.Errorf("Multiple TLS certificates are not supported for client contexts")
	}
	c.ServerName = m.GetSni()
	c.MaxSessions = 1
	if m.GetMaxSessionKeys() != nil {
		c.MaxSessions = int(m.GetMaxSessionKeys().GetValue())
	}
	return c, nil
}

var versions = map[tlsv3.TlsParameters_TlsProtocol]uint16{
	tlsv3.TlsParameters_TLSv1_0: tls.VersionTLS10, tlsv3.TlsParameters_TLSv1_1: tls.VersionTLS11,
	tlsv3.TlsParameters_TLSv1_2: tls.VersionTLS12, tlsv3.TlsParameters_TLSv1_3: tls.VersionTLS13,
}

// common compiles what both sides share. Defaults: servers speak TLS 1.2 and
// 1.3, clients too.
func common(m *tlsv3.CommonTlsContext, p fieldpath.Path, server bool) (*Config, error) {
	c := &Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, ALPN: m.GetAlpnProtocols()}
	if t := m.GetTlsParams(); t != nil {
		if err := c.params(t, p.Field("tls_params")); err != nil {
			return nil, err
		}
	}
	for i, x := range m.GetTlsCertificates() {
		at := p.Field("tls_certificates").Index(i)
		cert, err := certificateOf(x, at)
		if err != nil {
			return nil, err
		}
		c.Certificates = append(c.Certificates, *cert)
	}
	if v := m.GetValidationContext(); v != nil {
		at := p.Field("validation_context")
		val, err := validation(v, at)
		if err != nil {
			return nil, err
		}
		c.Validation = val
	}
	_ = server
	return c, nil
}

func (c *Config) params(t *tlsv3.TlsParameters, p fieldpath.Path) error {
	if v := versions[t.GetTlsMinimumProtocolVersion()]; v != 0 {
		c.MinVersion = v
	}
	if v := versions[t.GetTlsMaximumProtocolVersion()]; v != 0 {
		c.MaxVersion = v
	}
	for i, s := range t.GetCipherSuites() {
		for name := range strings.SplitSeq(strings.Trim(s, "[]"), "|") {
			id, ok := CipherID(name)
			if !ok {
				return p.Field("cipher_suites").Index(i).Errorf("Failed to initialize cipher suites %s. The following ciphers were rejected when tried individually: %s", strings.Join(t.GetCipherSuites(), ":"), name)
			}
			c.Ciphers = append(c.Ciphers, id)
		}
	}
	for i, s := range t.GetEcdhCurves() {
		id, ok := map[string]tls.CurveID{"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521, "X25519MLKEM768": tls.X25519MLKEM768}[s]
		if !ok {
			return p.Field("ecdh_curves").Index(i).Errorf("Failed to initialize ECDH curves %s", s)
		}
		c.Curves = append(c.Curves, id)
	}
	return nil
}

// read returns the bytes of a data source and what it is called.
func read(d *corev3.DataSource) (content []byte, path string, err error) {
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		b, err := os.ReadFile(s.Filename)
		if errors.Is(err, os.ErrNotExist) {
			return nil, "", fmt.Errorf("Invalid path: %s", s.Filename)
		}
		return b, s.Filename, err
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, "<inline>", nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), "<inline>", nil
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			return nil, "", fmt.Errorf("Environment variable doesn't exist: %s", s.EnvironmentVariable)
		}
		return []byte(v), "<inline>", nil
	}
	return nil, "", nil
}

func certificateOf(m *tlsv3.TlsCertificate, p fieldpath.Path) (*Certificate, error) {
	chain, path, err := read(m.GetCertificateChain())
	if err != nil {
		return nil, p.Field("certificate_chain").Wrap(err)
	}
	key, keyPath, err := read(m.GetPrivateKey())
	if err != nil {
		return nil, p.Field("private_key").Wrap(err)
	}
	if len(chain) == 0 || len(key) == 0 {
		return nil, p.Errorf("Failed to load incomplete certificate from %s, %s", path, keyPath)
	}
	if b, _ := pem.Decode(chain); b == nil {
		return nil, p.Field("certificate_chain").Errorf("Failed to load certificate chain from %s", path)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, p.Field("private_key").Errorf("Failed to load private key from %s, Cause: %v", keyPath, err)
	}
	return &Certificate{Certificate: pair, Path: path}, nil
}

func validation(m *tlsv3.CertificateValidationContext, p fieldpath.Path) (*Validation, error) {
	v := &Validation{AllowExpired: m.GetAllowExpiredCertificate()}
	v.AcceptAny = m.GetTrustChainVerification() == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	if m.GetTrustedCa() != nil {
		pemBytes, path, err := read(m.GetTrustedCa())
		if err != nil {
			return nil, p.Field("trusted_ca").Wrap(err)
		}
		v.CA, v.CAPath = x509.NewCertPool(), path
		for rest := pemBytes; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			if b.Type != "CERTIFICATE" {
				continue
			}
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, p.Field("trusted_ca").Errorf("Failed to load trusted CA certificates from %s: %v", path, err)
			}
			v.CA.AddCert(cert)
			v.CACerts = append(v.CACerts, cert)
		}
		if len(v.CACerts) == 0 {
			return nil, p.Field("trusted_ca").Errorf("Failed to load trusted CA certificates from %s", path)
		}
	}
	if err := v.pins(m, p); err != nil {
		return nil, err
	}
	for i, s := range m.GetMatchTypedSubjectAltNames() {
		at := p.Field("match_typed_subject_alt_names").Index(i)
		str, err := stringMatcher(s.GetMatcher(), at.Field("matcher"))
		if err != nil {
			return nil, err
		}
		kind := map[tlsv3.SubjectAltNameMatcher_SanType]SANKind{
			tlsv3.SubjectAltNameMatcher_DNS: SANDNS, tlsv3.SubjectAltNameMatcher_URI: SANURI,
			tlsv3.SubjectAltNameMatcher_IP_ADDRESS: SANIP, tlsv3.SubjectAltNameMatcher_EMAIL: SANEmail,
		}[s.GetSanType()]
		v.SANs = append(v.SANs, SANMatcher{Kind: kind, Match: *str})
	}
	if len(v.SANs) > 0 && v.CA == nil {
		return nil, p.Errorf("SAN-based verification of peer certificates without trusted CA is insecure and not allowed")
	}
	return v, nil
}

// pins reads hashes, key pins and revocation lists.
func (v *Validation) pins(m *tlsv3.CertificateValidationContext, p fieldpath.Path) error {
	for i, h := range m.GetVerifyCertificateHash() {
		sum, err := ParseHash(h)
		if err != nil {
			return p.Field("verify_certificate_hash").Index(i).Wrap(err)
		}
		v.Hashes = append(v.Hashes, sum)
	}
	v.SPKI = m.GetVerifyCertificateSpki()
	if m.GetCrl() == nil {
		return nil
	}
	b, path, err := read(m.GetCrl())
	if err != nil {
		return p.Field("crl").Wrap(err)
	}
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return p.Field("crl").Errorf("Failed to load CRL from %s: %v", path, err)
		}
		v.CRL = append(v.CRL, list)
	}
	if len(v.CRL) == 0 {
		return p.Field("crl").Errorf("Failed to load CRL from %s", path)
	}
	return nil
}

func stringMatcher(m *matcherv3.StringMatcher, p fieldpath.Path) (*matcher.String, error) {
	out := &matcher.String{IgnoreCase: m.GetIgnoreCase()}
	switch x := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		out.Kind, out.Exact = matcher.Exact, x.Exact
	case *matcherv3.StringMatcher_Prefix:
		out.Kind, out.Prefix = matcher.Prefix, x.Prefix
	case *matcherv3.StringMatcher_Suffix:
		out.Kind, out.Suffix = matcher.Suffix, x.Suffix
	case *matcherv3.StringMatcher_Contains:
		out.Kind, out.Contains = matcher.Contains, x.Contains
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := matcher.FullRegex(x.SafeRegex.GetRegex())
		if err != nil {
			return nil, p.Field("safe_regex").Wrap(err)
		}
		out.Kind, out.Regex = matcher.Regex, re
	default:
		return nil, p.Errorf("no pattern is set")
	}
	return out, nil
}
