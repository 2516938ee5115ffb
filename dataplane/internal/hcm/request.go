package hcm

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// wantsClose says whether a request asks for the connection to end after it
// (RFC 9112 section 9.3).
func wantsClose(p stream.Protocol, h *header.Map) bool {
	connection, _ := h.Joined("connection")
	if p == stream.HTTP10 {
		return !hasToken(connection, "keep-alive")
	}
	if hasToken(connection, "close") {
		return true
	}
	if v, ok := h.Joined("proxy-connection"); ok {
		return hasToken(v, "close")
	}
	return false
}

func hasToken(list, token string) bool {
	for list != "" {
		t, rest, _ := strings.Cut(list, ",")
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
		list = rest
	}
	return false
}

// admit checks and completes the request's headers; it says whether the
// request goes on to the filters.
func (s *activeStream) admit(h *header.Map) bool {
	connect := h.GetID(header.Method) == "CONNECT"
	if !h.HasID(header.Authority) {
		return s.refuse(400, "", "missing_host_header")
	}
	if !connect || h.HasID(header.Path) {
		path := h.GetID(header.Path)
		if path == "" {
			return s.refuse(404, "", "missing_path_rejected")
		}
		if path[0] != '/' {
			s.c.f.count(s.Worker(), statRqNonRelativePath)
			return s.refuse(404, "", "absolute_path_rejected")
		}
		if strings.IndexByte(path, '#') >= 0 {
			return s.refuse(400, "", "path_normalization_failed")
		}
		if !s.normalizePath(h) {
			return false
		}
	}
	s.stripPort(h)
	s.mutate(h)
	if h.HasID(header.Upgrade) && !s.c.h2 && !s.upgradeAllowed(h) {
		s.c.f.count(s.Worker(), statRqWsOnNonWsRoute)
		return s.refuse(403, "", "upgrade_failed")
	}
	return true
}

// refuse answers at once, before any filter.
func (s *activeStream) refuse(status int, body, detail string) bool {
	if status == 400 && !s.c.opts.StreamErrorOnInvalid && !s.c.h2 {
		s.c.closing = true
	}
	s.manager.SendLocalReply(filter.Reply{Status: status, Body: body, Details: detail})
	return false
}

// upgradeAllowed says whether the upgrade that a request asks for is on.
func (s *activeStream) upgradeAllowed(h *header.Map) bool {
	kind := strings.ToLower(h.GetID(header.Upgrade))
	if r := s.Route(); r != nil && r.Route != nil && r.Route.Forward != nil {
		if on, ok := r.Route.Forward.Upgrades[kind]; ok {
			return on
		}
	}
	return s.c.opts.Upgrades[kind]
}

// stripPort implements strip_matching_host_port, strip_any_host_port and
// strip_trailing_host_dot.
func (s *activeStream) stripPort(h *header.Map) {
	o := s.c.opts
	if !o.StripMatchingPort && !o.StripAnyPort && !o.StripTrailingDot {
		return
	}
	a := h.GetID(header.Authority)
	i := strings.LastIndexByte(a, ':')
	if i < 0 || strings.HasSuffix(a, "]") || h.GetID(header.Method) == "CONNECT" && !o.StripAnyPort {
		i = -1
	}
	host, port := a, ""
	if i >= 0 {
		host, port = a[:i], a[i:]
	}
	if port != "" && isPort(port[1:]) {
		strip := o.StripAnyPort
		if o.StripMatchingPort {
			n, _ := strconv.Atoi(port[1:])
			strip = s.info.Conn.Local.IsIP() && n == int(s.info.Conn.Local.Port())
		}
		if strip {
			port = ""
		}
	}
	if o.StripTrailingDot {
		host = strings.TrimSuffix(host, ".")
	}
	if host+port != a {
		h.SetID(header.Authority, host+port)
	}
}

// isPort says whether text is a port's number.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// statusOf returns the status of response headers as a number.
func statusOf(h *header.Map) int {
	n, _ := strconv.Atoi(h.GetID(header.Status))
	return n
}
