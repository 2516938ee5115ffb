package formatter

import (
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// tlsOperator returns the operators of the downstream's TLS session, and the
// upstream's.
func tlsOperator(name string) *operator {
	switch name {
	case "REQUESTED_SERVER_NAME":
		return str(func(i *info) string { return conn(i).ServerName })
	case "TLS_JA3_FINGERPRINT":
		return str(func(i *info) string { return conn(i).JA3 })
	case "TLS_JA4_FINGERPRINT":
		return str(func(i *info) string { return conn(i).JA4 })
	}
	side, rest, ok := strings.Cut(name, "_")
	if !ok || side != "DOWNSTREAM" && side != "UPSTREAM" {
		return nil
	}
	of := func(i *info) *network.TLSInfo { return conn(i).TLS }
	if side == "UPSTREAM" {
		of = func(i *info) *network.TLSInfo { return upConn(i).TLS }
	}
	f := tlsFields[rest]
	if f == nil {
		switch rest {
		case "PEER_CERT_V_START", "PEER_CERT_V_END":
			return certTime(name, nil)
		}
		return nil
	}
	return str(func(i *info) string {
		if t := of(i); t != nil {
			return f(t)
		}
		return ""
	})
}

func join(s []string) string { return strings.Join(s, ",") }

var tlsFields = map[string]func(t *network.TLSInfo) string{
	"TLS_VERSION":          func(t *network.TLSInfo) string { return t.Version },
	"TLS_CIPHER":           func(t *network.TLSInfo) string { return t.Cipher },
	"TLS_SESSION_ID":       func(t *network.TLSInfo) string { return t.SessionID },
	"PEER_SUBJECT":         func(t *network.TLSInfo) string { return t.Peer.Subject },
	"PEER_ISSUER":          func(t *network.TLSInfo) string { return t.Peer.Issuer },
	"PEER_SERIAL":          func(t *network.TLSInfo) string { return t.Peer.Serial },
	"PEER_FINGERPRINT_256": func(t *network.TLSInfo) string { return t.Peer.SHA256 },
	"PEER_FINGERPRINT_1":   func(t *network.TLSInfo) string { return t.Peer.SHA1 },
	"PEER_CERT":            func(t *network.TLSInfo) string { return t.Peer.PEM },
	"PEER_URI_SAN":         func(t *network.TLSInfo) string { return join(t.Peer.URIs) },
	"PEER_DNS_SAN":         func(t *network.TLSInfo) string { return join(t.Peer.DNSNames) },
	"PEER_IP_SAN":          func(t *network.TLSInfo) string { return join(t.Peer.IPs) },
	"PEER_EMAIL_SAN":       func(t *network.TLSInfo) string { return join(t.Peer.Email) },
	"LOCAL_SUBJECT":        func(t *network.TLSInfo) string { return t.Own.Subject },
	"LOCAL_URI_SAN":        func(t *network.TLSInfo) string { return join(t.Own.URIs) },
	"LOCAL_DNS_SAN":        func(t *network.TLSInfo) string { return join(t.Own.DNSNames) },
	"LOCAL_IP_SAN":         func(t *network.TLSInfo) string { return join(t.Own.IPs) },
	"LOCAL_EMAIL_SAN":      func(t *network.TLSInfo) string { return join(t.Own.Email) },
}

// certTime is the beginning or end of the peer's certificate.
func certTime(name string, f timeFormat) *operator {
	return &operator{append: func(b []byte, i *info) ([]byte, bool) {
		t := conn(i).TLS
		if strings.HasPrefix(name, "UPSTREAM") {
			t = upConn(i).TLS
		}
		if t == nil || t.Peer.NotAfter.IsZero() {
			return b, false
		}
		at := t.Peer.NotBefore
		if strings.HasSuffix(name, "END") {
			at = t.Peer.NotAfter
		}
		if f != nil {
			return f.append(b, at.UTC()), true
		}
		return appendISO(b, at), true
	}}
}
