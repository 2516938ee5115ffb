package tls

import (
	"crypto/tls"
	"errors"
	"sync"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// schema is the statistics under "listener.<…>.ssl." and "cluster.<name>.ssl.".
var schema = stats.NewSchema(
	stats.C("connection_error"), stats.C("handshake"), stats.C("session_reused"), stats.C("no_certificate"),
	stats.C("fail_verify_no_cert"), stats.C("fail_verify_error"), stats.C("fail_verify_san"), stats.C("fail_verify_cert_hash"),
	stats.C("ocsp_staple_failed"), stats.C("ocsp_staple_omitted"), stats.C("ocsp_staple_responses"), stats.C("ocsp_staple_requests"),
	stats.C("was_key_usage_invalid"),
)

const (
	connectionError = iota
	handshakeDone
	sessionReused
	noCertificate
	failNoCert
	failError
	failSAN
	failHash
)

// sslStats counts handshakes; statistics by name are made when a name is first
// seen.
type sslStats struct {
	group  *stats.Group
	store  *stats.Store
	prefix string
	mu     sync.Mutex
	named  map[string]stats.Counter
}

func newStats(store *stats.Store, prefix string) *sslStats {
	return &sslStats{group: store.Group(prefix, schema), store: store, prefix: prefix, named: map[string]stats.Counter{}}
}

func (s *sslStats) count(l *stats.Local, name string) {
	s.mu.Lock()
	c, ok := s.named[name]
	if !ok {
		c = s.store.Group(s.prefix, stats.NewSchema(stats.C(name))).Counter(0)
		s.named[name] = c
	}
	s.mu.Unlock()
	c.Inc(l)
}

// succeeded counts a handshake by version, cipher and curve.
func (s *sslStats) succeeded(l *stats.Local, t *tls.ConnectionState) {
	s.group.Counter(handshakeDone).Inc(l)
	if t.DidResume {
		s.group.Counter(sessionReused).Inc(l)
	}
	if len(t.PeerCertificates) == 0 {
		s.group.Counter(noCertificate).Inc(l)
	}
	s.count(l, "ciphers."+ciphers[t.CipherSuite])
	s.count(l, "versions."+versionName(t.Version))
	if n := curveName(t.CurveID); n != "" {
		s.count(l, "curves."+n)
	}
}

func curveName(id tls.CurveID) string {
	switch id {
	case tls.X25519:
		return "X25519"
	case tls.CurveP256:
		return "P-256"
	case tls.CurveP384:
		return "P-384"
	case tls.CurveP521:
		return "P-521"
	case tls.X25519MLKEM768:
		return "X25519MLKEM768"
	}
	return ""
}

// failed counts a failure by its kind.
func (s *sslStats) failed(l *stats.Local, err error) {
	switch {
	case isNoCert(err):
		s.group.Counter(failNoCert).Inc(l)
	case errors.Is(err, errSAN):
		s.group.Counter(failSAN).Inc(l)
	case errors.Is(err, errHash):
		s.group.Counter(failHash).Inc(l)
	case errors.Is(err, errChain):
		s.group.Counter(failError).Inc(l)
	}
	s.group.Counter(connectionError).Inc(l)
}
