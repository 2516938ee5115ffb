package hcm

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// edgeHeaders are taken away where clients are strangers.
var edgeHeaders = []header.ID{
	header.EnvoyDecoratorOperation, header.EnvoyDownstreamServiceCluster, header.EnvoyDownstreamServiceNode,
}

// internalHeaders are taken from requests that do not come from inside: only
// the inside may steer the proxy by them.
var internalHeaders = []header.ID{
	header.EnvoyInternal, header.EnvoyExternalAddress, header.EnvoyExpectedTimeoutMs, header.EnvoyForceTrace, header.EnvoyIPTags,
	header.EnvoyMaxRetries, header.EnvoyRetriableHeaderNames, header.EnvoyRetriableStatusCodes,
	header.EnvoyRetryGrpcOn, header.EnvoyRetryOn, header.EnvoyUpstreamAltStatName,
	header.EnvoyUpstreamRequestTimeoutMs, header.EnvoyUpstreamPerTryTimeoutMs,
	header.EnvoyHedgeOnPerTryTimeout, header.EnvoyOriginalPath, header.EnvoyOriginalHost,
}

// localIP is the first address of this machine that is not loopback: it stands
// in x-forwarded-for for clients on the machine itself.
var localIP = sync.OnceValue(func() string {
	list, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
				return n.IP.String()
			}
		}
	}
	return "127.0.0.1"
})

// mutate completes the headers of a request: hop-by-hop headers go, what the
// proxy knows of the client comes.
// Source: Envoy's header sanitizing and x-forwarded-* documentation.
func (s *activeStream) mutate(h *header.Map) {
	o := s.c.opts
	if h.HasID(header.Upgrade) && !s.c.h2 {
		if list, _ := h.Joined("connection"); !hasToken(list, "upgrade") {
			h.RemoveID(header.Upgrade) // a mere mention asks for nothing
		}
	}
	if !h.HasID(header.Upgrade) || s.c.h2 {
		h.RemoveID(header.Connection)
	}
	h.RemoveID(header.KeepAlive)
	h.RemoveID(header.ProxyConnection)
	h.RemoveID(header.TransferEncoding)
	if h.HasID(header.TE) {
		if te, _ := h.Joined("te"); hasToken(te, "trailers") {
			h.SetIDRef(header.TE, "trailers")
		} else {
			h.RemoveID(header.TE)
		}
	}
	internal, edge := s.forwardedFor(h)
	s.scheme(h)
	if !internal {
		for _, id := range internalHeaders {
			h.RemoveID(id)
		}
	}
	if edge {
		for _, id := range edgeHeaders {
			h.RemoveID(id)
		}
		if s.info.Conn.Remote.IsIP() {
			var b [64]byte
			h.SetID(header.EnvoyExternalAddress, string(s.info.Conn.Remote.AppendIP(b[:0])))
		}
	}
	if internal {
		h.SetIDRef(header.EnvoyInternal, "true")
	}
	if o.AddUserAgent {
		h.SetIDRef(header.EnvoyDownstreamServiceCluster, o.Cluster)
		if h.GetID(header.UserAgent) == "" {
			h.SetIDRef(header.UserAgent, o.Cluster)
		}
		if o.NodeID != "" {
			h.SetIDRef(header.EnvoyDownstreamServiceNode, o.NodeID)
		}
	}
	s.requestID(h, edge)
	if o.Via != "" {
		if v := h.GetID(header.Via); v != "" {
			h.SetID(header.Via, v+", "+o.Via)
		} else {
			h.SetID(header.Via, o.Via)
		}
	}
}

// forwardedFor decides who the client is and appends to x-forwarded-for.
func (s *activeStream) forwardedFor(h *header.Map) (internal, edge bool) {
	o := s.c.opts
	direct := s.info.Conn.DirectRemote
	xff, had := h.Joined("x-forwarded-for")
	remote := direct
	single := false
	if o.UseRemoteAddress {
		single = !had
		if o.TrustedHops > 0 {
			if a, ok := fromRight(xff, int(o.TrustedHops)-1); ok {
				remote = a
			}
		}
		if !o.SkipXFFAppend && direct.IsIP() {
			var b [64]byte
			ip := string(direct.AppendIP(b[:0]))
			if direct.IP().IsLoopback() {
				ip = localIP()
			}
			if had {
				h.SetID(header.XForwardedFor, xff+","+ip)
			} else {
				h.SetID(header.XForwardedFor, ip)
			}
		}
		if o.TrustedHops == 0 || !h.HasID(header.XForwardedProto) {
			h.SetIDRef(header.XForwardedProto, s.connectionScheme())
		}
	} else {
		if had {
			if a, ok := fromRight(xff, int(o.TrustedHops)); ok {
				remote = a
			}
			single = !strings.Contains(xff, ",")
		} else {
			single = true
		}
	}
	if !h.HasID(header.XForwardedProto) {
		h.SetIDRef(header.XForwardedProto, s.connectionScheme())
	}
	if o.ForwardedPort && !h.HasID(header.XForwardedPort) && s.info.Conn.Local.IsIP() {
		var b [8]byte
		h.SetID(header.XForwardedPort, string(s.info.Conn.Local.AppendPort(b[:0])))
	}
	if remote != direct {
		s.info.Conn.Remote = remote
	}
	internal = single && s.isInternal(remote)
	return internal, !internal && o.UseRemoteAddress
}

func (s *activeStream) connectionScheme() string {
	if s.info.Conn.TLS != nil {
		return "https"
	}
	return "http"
}

// fromRight returns the n-th address of an x-forwarded-for from the right,
// from 0.
func fromRight(xff string, n int) (address.Address, bool) {
	for ; n > 0; n-- {
		i := strings.LastIndexByte(xff, ',')
		if i < 0 {
			return address.Address{}, false
		}
		xff = xff[:i]
	}
	if i := strings.LastIndexByte(xff, ','); i >= 0 {
		xff = xff[i+1:]
	}
	ip, err := netip.ParseAddr(strings.Trim(xff, " \t"))
	if err != nil {
		return address.Address{}, false
	}
	return address.FromIP(netip.AddrPortFrom(ip, 0)), true
}

// isInternal says whether an address counts as internal
// (internal_address_config).
func (s *activeStream) isInternal(a address.Address) bool {
	o := s.c.opts
	if !a.IsIP() {
		return o.DefaultInternal
	}
	for _, p := range o.InternalRanges {
		if p.Contains(a.IP()) {
			return true
		}
	}
	return false
}

// scheme sets :scheme from x-forwarded-proto, which says what the client used.
func (s *activeStream) scheme(h *header.Map) {
	if o := s.c.opts.SchemeOverwrite; o != "" {
		h.SetIDRef(header.Scheme, o)
		return
	}
	switch xfp := h.GetID(header.XForwardedProto); xfp {
	case "http":
		h.SetIDRef(header.Scheme, "http")
	case "https":
		h.SetIDRef(header.Scheme, "https")
	default:
		if !h.HasID(header.Scheme) {
			h.SetIDRef(header.Scheme, s.connectionScheme())
		}
	}
}

// requestID makes x-request-id, a random UUID, where there is none to keep.
func (s *activeStream) requestID(h *header.Map, edge bool) {
	o := s.c.opts
	if !o.GenerateRequestID {
		return
	}
	if h.HasID(header.XRequestID) && (!edge || o.PreserveRequestID) {
		return
	}
	var b [36]byte
	s.uuid(&b)
	h.SetID(header.XRequestID, viewUUID(&b))
}

const hexDigits = "0123456789abcdef"

// uuid writes a random UUID of version 4 (RFC 9562 section 5.4).
func (s *activeStream) uuid(b *[36]byte) {
	r := s.Worker().Rand
	hi, lo := r.Uint64(), r.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	k := 0
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b[k] = '-'
			k++
		}
		v := hi
		if i >= 16 {
			v = lo
		}
		b[k] = hexDigits[v>>(60-4*(i&15))&15]
		k++
	}
}

// stripHopByHop removes what only concerns the upstream connection.
func (c *conn) stripHopByHop(h *header.Map) {
	h.RemoveID(header.Connection)
	h.RemoveID(header.KeepAlive)
	h.RemoveID(header.ProxyConnection)
	h.RemoveID(header.TransferEncoding)
}

// finishResponseHeaders completes the headers of the response.
func (s *activeStream) finishResponseHeaders(h *header.Map) {
	c, o, w := s.c, s.c.opts, s.Worker()
	upgraded := s.info.Code == 101 && h.HasID(header.Upgrade) && s.req != nil && s.req.HasID(header.Upgrade)
	if !upgraded {
		c.stripHopByHop(h)
		if s.info.Code == 101 {
			h.RemoveID(header.Upgrade)
		}
	}
	if !h.HasID(header.Date) {
		h.AddID(header.Date, c.ws.now(w.Now()))
	}
	switch {
	case o.ServerTransform == ServerOverwrite,
		o.ServerTransform == ServerAppendIfAbsent && !h.HasID(header.Server):
		h.SetIDRef(header.Server, o.ServerName)
	}
	if o.RequestIDResponse && s.req != nil {
		if id := s.req.GetID(header.XRequestID); id != "" {
			h.SetID(header.XRequestID, id)
		}
	}
	if o.Via != "" {
		if v := h.GetID(header.Via); v != "" {
			h.SetID(header.Via, v+", "+o.Via)
		} else {
			h.SetID(header.Via, o.Via)
		}
	}
	s.decideClose(h)
}

// decideClose chooses whether the connection ends after this response.
func (s *activeStream) decideClose(h *header.Map) {
	c, w := s.c, s.Worker()
	draining := c.conn.Info().Drain.Close(w.Now(), w.Rand.Uint64())
	if !draining && c.opts.HealthFailed != nil {
		draining = c.opts.HealthFailed()
	}
	if draining && !c.closing && !c.drainH2 {
		c.f.count(w, statCxDrainClose)
		c.startDrain()
	}
	if c.h2 {
		return
	}
	if s.info.Protocol == stream.HTTP10 && !h.HasID(header.ContentLength) {
		s.sawClose = true
	}
	if s.sawClose || !s.state.requestEnd {
		c.closing = true
	}
	if c.closing {
		h.SetIDRef(header.Connection, "close")
	} else if s.info.Protocol == stream.HTTP10 {
		h.SetIDRef(header.Connection, "keep-alive")
	}
}

// chargeCode counts the response by its class.
func (s *activeStream) chargeCode(code int) {
	c, l := s.c, s.Worker().Stats()
	class := code/100 - 1
	if class < 0 || class > 4 {
		return
	}
	c.f.group.Counter(statRqCompleted).Inc(l)
	c.f.group.Counter(statRq1xx + class).Inc(l)
	c.f.listener.Counter(listenerCompleted).Inc(l)
	c.f.listener.Counter(class).Inc(l)
}
