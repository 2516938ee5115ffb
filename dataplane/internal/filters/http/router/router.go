package router

import (
	"strconv"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// Router serves one request. It is used again for later ones.
type Router struct {
	// Set once.
	f       *Factory
	list    *freeList
	next    *Router
	timer   event.Timer // route timeout
	tryTmr  event.Timer // per_try_timeout
	idleTmr event.Timer // per_try_idle_timeout
	backoff event.Timer
	started bool

	// Of the present request.
	w         *event.Worker
	cb        *filter.Callbacks
	h         *header.Map
	match     *route.Match
	cluster   upstream.Cluster
	info      *upstream.Info
	up        upstreamRequest
	live      bool // up is in use
	destroyed bool
	reqEnd    bool
	trailers  *header.Map
	timeouts  timeouts
	retry     retryState
	// body is the request's data: what waits for a connection, and, while a
	// retry is possible, all of it.
	body      buffer.Buffer
	bodyOff   bool // reading was disabled because body is over the limit
	responded bool // response headers went on
	respStart time.Time
	grpc      bool
	internal  bool
	attempts  uint32
	tried     []*upstream.Host
	chose     *upstream.Host
	transport network.TransportOptions
}

func (r *Router) init(w *event.Worker) {
	if !r.started {
		r.started = true
		r.timer.Init(w, r.onTimeout)
		r.tryTmr.Init(w, r.onTryTimeout)
		r.idleTmr.Init(w, r.onTryIdle)
		r.backoff.Init(w, r.doRetry)
		r.up.r = r
		r.body.SetPool(&w.Buffers)
		r.up.pending.SetPool(&w.Buffers)
	}
	r.w = w
	r.h, r.match, r.cluster, r.info, r.trailers = nil, nil, nil, nil, nil
	r.live, r.destroyed, r.reqEnd, r.bodyOff, r.responded, r.grpc = false, false, false, false, false, false
	r.attempts = 0
	r.tried = r.tried[:0]
	r.chose = nil
	r.retry = retryState{}
	r.timeouts = timeouts{}
}

// SetDecoderCallbacks implements filter.Decoder.
func (r *Router) SetDecoderCallbacks(cb *filter.Callbacks) { r.cb = cb }

// OnDestroy implements filter.Filter.
func (r *Router) OnDestroy() {
	r.destroyed = true
	r.stopTimers()
	if r.live {
		r.up.reset(stream.LocalReset)
	}
	r.retry.release()
	r.body.Drain(r.body.Len())
	r.h, r.match, r.cluster, r.info, r.cb, r.chose = nil, nil, nil, nil, nil, nil
	clear(r.tried)
	if r.list.n < maxFree {
		r.next = r.list.head
		r.list.head = r
		r.list.n++
	}
}

func (r *Router) stopTimers() {
	r.timer.Stop()
	r.tryTmr.Stop()
	r.idleTmr.Stop()
	r.backoff.Stop()
}

func (r *Router) count(stat int) { r.f.group.Counter(stat).Inc(r.w.Stats()) }

func (r *Router) charge(stat int) { r.info.Stats.Counter(stat).Inc(r.w.Stats()) }

// DecodeHeaders implements filter.Decoder.
func (r *Router) DecodeHeaders(h *header.Map, end bool) filter.HeadersStatus {
	r.h, r.reqEnd = h, end
	m := r.cb.Route()
	if m == nil || m.Route == nil {
		if m != nil && r.requireTLS(m) {
			return filter.StopIteration
		}
		r.count(statNoRoute)
		r.cb.SendLocalReply(filter.Reply{Status: 404, Details: "route_not_found", Flag: fault.NoRouteFound})
		return filter.StopIteration
	}
	r.match = m
	r.grpc = filter.IsGRPC(h)
	r.internal = h.HasID(header.EnvoyInternal)
	if r.requireTLS(m) {
		return filter.StopIteration
	}
	switch m.Route.Kind {
	case route.ActionRedirect:
		r.redirect(m.Route)
	case route.ActionDirect:
		r.direct(m.Route)
	case route.ActionNonForwarding:
		r.cb.SendLocalReply(filter.Reply{Status: 404, Details: "route_not_found", Flag: fault.NoRouteFound})
	default:
		r.forward(h, end)
	}
	return filter.StopIteration
}

// requireTLS redirects plaintext requests of a virtual host that wants TLS.
func (r *Router) requireTLS(m *route.Match) bool {
	if m.Host == nil || m.Host.RequireTLS == route.TLSNone || r.h.GetID(header.XForwardedProto) == "https" {
		return false
	}
	if m.Host.RequireTLS == route.TLSExternalOnly && r.h.HasID(header.EnvoyInternal) {
		return false
	}
	r.count(statRqRedirect)
	location := "https://" + r.h.GetID(header.Authority) + r.h.GetID(header.Path)
	r.cb.SendLocalReply(filter.Reply{Status: 301, Details: "direct_response", Headers: [][2]string{{"location", location}}})
	return true
}

func (r *Router) redirect(x *route.Route) {
	r.count(statRqRedirect)
	location := x.NewURL(r.h, x.Redirect)
	m := r.match
	r.cb.SendLocalReply(filter.Reply{
		Status: x.Redirect.Code, Details: "direct_response", Headers: [][2]string{{"location", location}},
		Modify: func(h *header.Map) { m.MutateResponse(h, r.cb.Info()) },
	})
}

func (r *Router) direct(x *route.Route) {
	r.count(statRqDirectResponse)
	m := r.match
	m.MutateRequest(r.h, r.cb.Info())
	body := x.Direct.Body
	r.cb.Info().Code = x.Direct.Status
	if x.Direct.Format != nil {
		body = string(x.Direct.Format.Append(nil, r.cb.Info()))
	}
	var more [][2]string
	if x.Direct.Status == 201 || x.Direct.Status/100 == 3 {
		more = [][2]string{{"location", r.h.GetID(header.Scheme) + "://" + r.h.GetID(header.Authority) + r.h.GetID(header.Path)}}
	}
	r.cb.SendLocalReply(filter.Reply{
		Status: x.Direct.Status, Body: body, Details: "direct_response", Headers: more,
		Modify: func(h *header.Map) {
			if x.Direct.ContentType != "" {
				h.SetIDRef(header.ContentType, x.Direct.ContentType)
			}
			m.MutateResponse(h, r.cb.Info())
		},
	})
}

// forward sends the request to its cluster.
func (r *Router) forward(h *header.Map, end bool) {
	m, f := r.match, r.match.Route.Forward
	r.count(statRqTotal)
	info := r.cb.Info()
	if m.ClusterName != "" {
		r.cluster = r.f.manager.On(r.w.Index()).Get(m.ClusterName)
	}
	if r.cluster == nil {
		r.count(statNoCluster)
		code := f.NotFoundCode
		if code == 0 {
			code = 503
		}
		r.cb.SendLocalReply(filter.Reply{Status: code, Details: "cluster_not_found", Flag: fault.NoClusterFound})
		return
	}
	r.info = r.cluster.Info()
	info.Cluster, info.ClusterName = r.info.Observability, r.info.Config.Name
	info.ClusterMetadata = r.info.Config.Metadata
	if rt := r.f.cfg.Runtime; rt != nil && rt.EnabledByKey("upstream.maintenance_mode."+r.info.Config.Name, 0, 100, info.Random) {
		r.charge(upstream.RqMaintenanceMode)
		r.fail(503, "maintenance mode", "maintenance_mode", fault.UpstreamOverflow, true)
		return
	}
	if _, dropped := r.cluster.Drops(); dropped {
		r.charge(upstream.RqDropOverload)
		r.fail(503, "drop overload", "drop_overload", fault.DropOverload, true)
		return
	}
	r.prepareTimeouts(h)
	r.prepareRetry(h)
	r.finishRequestHeaders(h)
	if !r.start() {
		return
	}
	if end {
		r.onRequestComplete()
	}
}

// fail answers for the upstream; overloaded adds x-envoy-overloaded.
func (r *Router) fail(status int, body, details string, flag fault.Flag, overloaded bool) {
	r.stopTimers()
	r.info.Codes.Charge(r.w.Stats(), status, r.internal, false)
	reply := filter.Reply{Status: status, Body: body, Details: details, Flag: flag}
	if overloaded && !r.f.cfg.SuppressEnvoyHeaders {
		reply.Headers = [][2]string{{"x-envoy-overloaded", "true"}}
	}
	if m := r.match; m != nil && m.Host != nil && m.Host.AttemptCountInResponse && r.attempts > 0 {
		reply.Headers = append(reply.Headers, [2]string{"x-envoy-attempt-count", strconv.Itoa(int(r.attempts))})
	}
	if m := r.match; m != nil {
		reply.Modify = func(h *header.Map) { m.MutateResponse(h, r.cb.Info()) }
	}
	r.cb.SendLocalReply(reply)
}

// finishRequestHeaders applies what the route says to the request.
func (r *Router) finishRequestHeaders(h *header.Map) {
	m, f := r.match, r.match.Route.Forward
	info := r.cb.Info()
	m.MutateRequest(h, info)
	r.rewriteHost(h, f)
	path := h.GetID(header.Path)
	if p, ok := m.Route.NewPath(path, f.PrefixRewrite, f.RegexRewrite); ok && path != "" {
		if !r.f.cfg.SuppressEnvoyHeaders {
			h.SetID(header.EnvoyOriginalPath, path)
		}
		h.SetID(header.Path, p)
	}
	if m.Host.AttemptCount {
		h.SetIDRef(header.EnvoyAttemptCount, "1")
	}
}

func (r *Router) rewriteHost(h *header.Map, f *route.Forward) {
	host := ""
	switch {
	case r.match.Cluster != nil && r.match.Cluster.HostRewrite != "":
		host = r.match.Cluster.HostRewrite
	case f.HostRewrite != "":
		host = f.HostRewrite
	case f.HostHeader != "":
		host, _ = h.Get(f.HostHeader)
	case f.HostPathRegex != nil:
		path := h.GetID(header.Path)
		for i := range len(path) {
			if path[i] == '?' {
				path = path[:i]
				break
			}
		}
		host = f.HostPathRegex.Apply(path)
	}
	if host != "" {
		r.setHost(h, f, host)
	}
}

func (r *Router) setHost(h *header.Map, f *route.Forward, host string) {
	if f.AppendForwardedHost && h.GetID(header.XForwardedHost) != h.GetID(header.Authority) {
		if old := h.GetID(header.XForwardedHost); old != "" {
			h.SetID(header.XForwardedHost, old+","+h.GetID(header.Authority))
		} else {
			h.SetID(header.XForwardedHost, h.GetID(header.Authority))
		}
	}
	if !r.f.cfg.SuppressEnvoyHeaders && !h.HasID(header.EnvoyOriginalHost) {
		h.SetID(header.EnvoyOriginalHost, h.GetID(header.Authority))
	}
	h.SetID(header.Authority, host)
}

// start chooses a host and asks for a stream; it says whether the request goes
// on.
func (r *Router) start() bool {
	f := r.match.Route.Forward
	host := r.cluster.ChooseHost((*lbContext)(r))
	if host == nil {
		r.charge(upstream.CxNoneHealthy)
		r.cb.Info().Upstream.TransportFailure = ""
		r.fail(503, "no healthy upstream", "no_healthy_upstream", fault.NoHealthyUpstream, false)
		return false
	}
	r.chose = host
	if f.AutoHostRewrite && host.Hostname != "" {
		r.setHost(r.h, f, host.Hostname)
	}
	pool := r.cluster.HTTPPool(host, f.Priority, r.cb.Info().Protocol, r.transportOptions())
	if pool == nil {
		r.charge(upstream.CxPoolOverflow)
		r.fail(503, "no healthy upstream", "no_healthy_upstream", fault.NoHealthyUpstream, false)
		return false
	}
	r.attempts++
	info := r.cb.Info()
	info.Attempts = r.attempts
	r.tried = append(r.tried, host)
	r.live = true
	r.up.begin(pool)
	return !r.destroyed && (r.live || r.backoff.Active())
}

// transportOptions are the choices for the upstream's TLS that depend on the
// request (auto_sni, auto_san_validation).
func (r *Router) transportOptions() *network.TransportOptions {
	p := &r.info.Config.Protocol
	if !p.AutoSNI && !p.AutoSANVerify {
		return nil
	}
	name := r.h.GetID(header.Authority)
	if p.OverrideSNIHeader != "" {
		if v, ok := r.h.Get(p.OverrideSNIHeader); ok {
			name = v
		}
	}
	host, _ := splitHostPort(name)
	o := &r.transport
	*o = network.TransportOptions{}
	if p.AutoSNI {
		o.ServerName = host
	}
	if p.AutoSANVerify {
		o.VerifySAN = []string{host}
	}
	return o
}

func splitHostPort(a string) (host, port string) {
	for i := len(a) - 1; i >= 0; i-- {
		switch a[i] {
		case ':':
			return a[:i], a[i+1:]
		case ']':
			return a, ""
		}
	}
	return a, ""
}

// DecodeData implements filter.Decoder.
func (r *Router) DecodeData(b *buffer.Buffer, end bool) filter.DataStatus {
	r.reqEnd = r.reqEnd || end
	if r.retry.possible() {
		limit := r.retryLimit()
		if r.body.Len()+b.Len() > limit {
			// Too large to be sent twice: no retry any more.
			r.retry.giveUp()
			r.charge(upstream.RetryOrShadowAbandoned)
			if !r.live { // between two tries
				b.Drain(b.Len())
				return filter.StopNoBuffer
			}
			r.body.Drain(r.body.Len())
		} else {
			copyTo(&r.body, b)
		}
	}
	if r.live {
		r.up.data(b, end)
	} else {
		b.Drain(b.Len())
	}
	if end && !r.destroyed {
		r.onRequestComplete()
	}
	return filter.StopNoBuffer
}

// copyTo appends a copy of b's bytes to dst.
func copyTo(dst, b *buffer.Buffer) {
	for off := 0; off < b.Len(); {
		n := b.CopyTo(dst.Reserve(1), off)
		dst.Commit(n)
		off += n
	}
}

// DecodeTrailers implements filter.Decoder.
func (r *Router) DecodeTrailers(h *header.Map) filter.TrailersStatus {
	r.reqEnd, r.trailers = true, h
	if r.live {
		r.up.sendTrailers(h)
	}
	if !r.destroyed {
		r.onRequestComplete()
	}
	return filter.TrailersStop
}

// onRequestComplete starts the route timeout: it covers the upstream's time,
// not the client's.
func (r *Router) onRequestComplete() {
	if r.destroyed || r.responded && !r.live {
		return
	}
	if r.timeouts.global > 0 {
		r.timer.Reset(r.timeouts.global)
	}
	if r.live {
		r.up.startTryTimers()
	}
}

// OnAboveWriteBufferHighWatermark implements filter.Watermarks: the client does
// not take the response.
func (r *Router) OnAboveWriteBufferHighWatermark() {
	if r.live && r.up.encoder != nil {
		r.charge(upstream.FlowControlPausedReading)
		r.up.encoder.Stream().ReadDisable(true)
		r.up.paused++
	}
}

// OnBelowWriteBufferLowWatermark implements filter.Watermarks.
func (r *Router) OnBelowWriteBufferLowWatermark() {
	if r.live && r.up.encoder != nil && r.up.paused > 0 {
		r.charge(upstream.FlowControlResumedReading)
		r.up.paused--
		r.up.encoder.Stream().ReadDisable(false)
	}
}
