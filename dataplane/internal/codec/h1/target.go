package h1

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// validTarget is the first look at a request target: a path, "*" and more, an
// authority (CONNECT), or an absolute URI by its characters. Its bytes are
// known to be visible ASCII.
func validTarget(target []byte, connect bool) bool {
	if len(target) == 0 {
		return false
	}
	if target[0] == '/' || target[0] == '*' {
		return true
	}
	rest := viewString(target)
	if !connect {
		i := strings.Index(rest, "://")
		if i <= 0 || !validScheme(rest[:i]) {
			return false
		}
		rest = rest[i+3:]
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return all(rest, authorityByte) && !strings.Contains(rest, "@@")
}

// validScheme is RFC 3986 section 3.1.
func validScheme(s string) bool {
	if c := s[0] | 0x20; c < 'a' || c > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; class[c]&hostByte == 0 && c != '+' {
			return false
		}
	}
	return true
}

// target turns Host and an absolute target into :authority, :path and :scheme.
func (s *Server) target(h *header.Map) error {
	connect := !h.HasID(header.Path)
	if connect {
		authority := h.GetID(header.Authority)
		if _, port, ok := splitHostPort(authority); !ok || port == "" {
			return errURL
		}
		h.RemoveID(header.Host)
		return nil
	}
	path := h.GetID(header.Path)
	if path[0] != '/' && (path[0] != '*' || h.GetID(header.Method) != "OPTIONS") && s.opts.AllowAbsoluteURL {
		return absolute(h, path)
	}
	if host, ok := h.Joined("host"); ok {
		h.RemoveID(header.Host)
		h.AddID(header.Authority, host)
	} else if s.http10 && s.opts.DefaultHost10 != "" {
		h.AddIDRef(header.Authority, s.opts.DefaultHost10)
	}
	return nil
}

// absolute takes an absolute-form target apart (RFC 9112 section 3.2.2); its
// authority, without userinfo, wins over Host.
func absolute(h *header.Map, target string) error {
	i := strings.Index(target, "://")
	if i < 0 {
		return errURL
	}
	scheme, authority, path := target[:i], target[i+3:], "/"
	if j := strings.IndexAny(authority, "/?"); j >= 0 {
		authority, path = authority[:j], authority[j:]
	}
	if j := strings.LastIndexByte(authority, '@'); j >= 0 {
		if strings.ContainsAny(authority[:j], "[]@") {
			return errURL
		}
		authority = authority[j+1:]
	}
	if _, _, ok := splitHostPort(authority); !ok {
		return errURL
	}
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return errScheme
	}
	h.RemoveID(header.Host)
	h.SetID(header.Authority, authority)
	h.SetID(header.Scheme, strings.ToLower(scheme))
	h.SetID(header.Path, path)
	return nil
}

// splitHostPort takes a URI's authority apart: a name of letters, digits, "-"
// and ".", or an IPv6 address in brackets, and perhaps a port to 65535.
func splitHostPort(s string) (host, port string, ok bool) {
	host = s
	if len(s) > 0 && s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 2 || strings.Trim(s[1:end], "0123456789abcdefABCDEF:.") != "" {
			return "", "", false
		}
		host, s = s[:end+1], s[end+1:]
		if s == "" {
			return host, "", true
		}
	} else {
		i := strings.IndexByte(s, ':')
		if i >= 0 {
			host = s[:i]
		}
		if host == "" || !all(host, hostByte) {
			return "", "", false
		}
		if i < 0 {
			return host, "", true
		}
		s = s[i:]
	}
	port = s[1:]
	n, err := strconv.ParseUint(port, 10, 16)
	return host, port, s[0] == ':' && err == nil && n <= 65535
}
