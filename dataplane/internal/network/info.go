package network

import (
	"sync/atomic"
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
	// Drain tells when the connection should end; nil: never.
	Drain *Drain
	// ListenerMetadata and ChainMetadata are static; nil without any.
	ListenerMetadata, ChainMetadata map[string]map[string]any
	// Direction of the listener: "inbound", "outbound" or "".
	Direction string
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

// Drain tells whether connections should end because what they came in by is
// going away: a listener that was removed or changed, a filter chain, the
// server. It is shared; its methods may be called by any goroutine.
type Drain struct {
	parent *Drain
	window time.Duration
	grad   bool
	start  atomic.Int64 // unix nanoseconds; 0: not draining
}

// NewDrain returns a Drain that also drains with its parent (nil: none). With
// gradual, connections are asked to end with a probability that rises over the
// window (--drain-strategy), else at once.
func NewDrain(parent *Drain, window time.Duration, gradual bool) *Drain {
	return &Drain{parent: parent, window: window, grad: gradual}
}

// Begin starts the drain; later calls change nothing.
func (d *Drain) Begin(now time.Time) { d.start.CompareAndSwap(0, now.UnixNano()) }

// End takes a drain back (admin POST /healthcheck/ok).
func (d *Drain) End() { d.start.Store(0) }

// Draining says whether a drain has begun.
func (d *Drain) Draining() bool {
	return d != nil && (d.start.Load() != 0 || d.parent.Draining())
}

// Close says whether a connection that could end now should; random decides
// while a gradual drain is under way.
func (d *Drain) Close(now time.Time, random uint64) bool {
	if d == nil {
		return false
	}
	start := d.start.Load()
	if start == 0 {
		return d.parent.Close(now, random)
	}
	if !d.grad || d.window <= 0 {
		return true
	}
	elapsed := now.UnixNano() - start
	return elapsed >= int64(d.window) || random%uint64(d.window) < uint64(max(elapsed, 0))
}
