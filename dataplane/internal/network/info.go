package network

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Info describes a connection. It belongs to the connection's worker.
type Info struct {
	Local, Remote             address.Address // as restored by listener filters
	DirectLocal, DirectRemote address.Address // of the socket itself
	Start                     time.Time
	ServerName                string // SNI as seen by the TLS inspector or handshake
	TransportProtocol         string // "tls", "raw_buffer"
	OfferedProtocols          []string
	NegotiatedProtocol        string // ALPN
	ListenerName              string
	FilterChainName           string
	TLS                       *TLSInfo // nil on plaintext
	TransportFailure          string
	TerminationDetails        string
	JA3, JA4                  string
	// Metadata is dynamic metadata by namespace; nil until used.
	Metadata map[string]map[string]any
	// FilterState is what filters leave for each other; nil until used.
	FilterState map[string]any
	// Handshake times; zero when there was none.
	HandshakeDone time.Time
	// Bytes moved on the wire.
	BytesReceived, BytesSent uint64
}

// TLSInfo describes an established TLS session. Texts are made at the
// handshake, not on each request.
type TLSInfo struct {
	Version       string // "TLSv1.3"
	Cipher        string // Envoy's (OpenSSL's) name
	SessionID     string // hex
	PeerPresented bool   // the peer sent a certificate
	PeerValidated bool   // and it was verified
	Peer, Own     CertificateInfo
	PeerChainPEM  []string // URL-encoded PEM of the leaf and of the chain, when wanted
}

// CertificateInfo is what operators and XFCC show of a certificate.
type CertificateInfo struct {
	Subject, Issuer, Serial    string // RFC 2253 texts; serial in lower-case hex
	SHA256, SHA1               string // of the DER form, lower-case hex
	URIs, DNSNames, IPs, Email []string
	NotBefore, NotAfter        time.Time
	PEM                        string // URL-encoded, as XFCC's Cert
	ChainPEM                   string // URL-encoded, as XFCC's Chain
}
