package tls

import (
	"crypto/sha1" //nolint:gosec // a fingerprint that users ask for
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// ciphers maps Go's names of cipher suites to OpenSSL's, which users know.
var ciphers = map[uint16]string{
	tls.TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256", tls.TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
	tls.TLS_CHACHA20_POLY1305_SHA256:                  "TLS_CHACHA20_POLY1305_SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
}

// CipherID returns the suite of an OpenSSL name.
func CipherID(name string) (uint16, bool) {
	for id, n := range ciphers {
		if n == name {
			return id, true
		}
	}
	return 0, false
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return "TLSv1.3"
}

// describe makes the texts of a session, once.
func describe(s *tls.ConnectionState, cfg *tls.Config, server bool) *network.TLSInfo {
	t := &network.TLSInfo{Version: versionName(s.Version), Cipher: ciphers[s.CipherSuite]}
	if len(s.PeerCertificates) > 0 {
		t.PeerPresented, t.PeerValidated = true, true
		t.Peer = certificate(s.PeerCertificates[0])
		for _, c := range s.PeerCertificates {
			t.Peer.ChainPEM += pemText(c)
		}
	}
	if server && len(cfg.Certificates) > 0 && len(cfg.Certificates[0].Certificate) > 0 {
		if leaf, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0]); err == nil {
			t.Own = certificate(leaf)
		}
	}
	return t
}

func certificate(c *x509.Certificate) network.CertificateInfo {
	sum256, sum1 := sha256.Sum256(c.Raw), sha1.Sum(c.Raw) //nolint:gosec // a fingerprint
	i := network.CertificateInfo{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: strings.TrimLeft(hex.EncodeToString(c.SerialNumber.Bytes()), "0"),
		SHA256: hex.EncodeToString(sum256[:]), SHA1: hex.EncodeToString(sum1[:]),
		DNSNames: c.DNSNames, Email: c.EmailAddresses, NotBefore: c.NotBefore, NotAfter: c.NotAfter, PEM: pemText(c),
	}
	i.URIs, i.IPs = names(c, SANURI), names(c, SANIP)
	return i
}

// pemText is a certificate's PEM form, URL-encoded as in XFCC.
func pemText(c *x509.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "+", "%20")
}

// reasonOf words a failure; where BoringSSL has a code for it, as it does.
func reasonOf(err error) string {
	boring := func(code, text string) string {
		return "TLS_error:|" + code + ":SSL routines:OPENSSL_internal:" + text + ":TLS_error_end"
	}
	text := err.Error()
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case isNoCert(err):
		return boring("268435640", "PEER_DID_NOT_RETURN_A_CERTIFICATE")
	case errors.Is(err, errSAN), errors.Is(err, errHash):
		return boring("268435581", "CERTIFICATE_VERIFY_FAILED:verify cert failed: "+tail(text))
	case errors.Is(err, errChain):
		return boring("268435581", "CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: "+chainReason(err))
	case errors.As(err, &record):
		return boring("268435703", "WRONG_VERSION_NUMBER")
	case errors.As(err, &alert), strings.Contains(text, "remote error"):
		return alertReason(text, boring)
	case errors.Is(err, io.EOF), strings.Contains(text, "EOF"):
		return ""
	case strings.Contains(text, "protocol version"), strings.Contains(text, "unsupported versions"):
		return boring("268435696", "UNSUPPORTED_PROTOCOL")
	case strings.Contains(text, "no cipher suite"):
		return boring("268435640", "NO_SHARED_CIPHER")
	}
	return "TLS_error:|" + text + ":TLS_error_end"
}

func tail(text string) string {
	if i := strings.Index(text, "verify SAN list"); i >= 0 {
		return text[i:]
	}
	if strings.Contains(text, "cert hash and spki") {
		return "cert hash and spki"
	}
	return text
}

func chainReason(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "unable to get local issuer certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate has expired"
	}
	return err.Error()
}

func alertReason(text string, boring func(code, text string) string) string {
	switch {
	case strings.Contains(text, "unknown certificate authority"):
		return boring("268436504", "TLSV1_ALERT_UNKNOWN_CA")
	case strings.Contains(text, "bad certificate"):
		return boring("268436498", "SSLV3_ALERT_BAD_CERTIFICATE")
	case strings.Contains(text, "certificate required"):
		return boring("268436572", "TLSV1_ALERT_CERTIFICATE_REQUIRED")
	case strings.Contains(text, "protocol version"):
		return boring("268436526", "TLSV1_ALERT_PROTOCOL_VERSION")
	case strings.Contains(text, "handshake failure"):
		return boring("268436496", "SSLV3_ALERT_HANDSHAKE_FAILURE")
	}
	return "TLS_error:|" + text + ":TLS_error_end"
}
