package h2

import (
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// upgradeState translates between HTTP/1's upgrade and HTTP/2's extended
// CONNECT (RFC 8441), so that the layers above see one form, HTTP/1's.
type upgradeState struct {
	asked    bool
	protocol string // client only
}

// decodeRequest turns an extended CONNECT into GET with upgrade and connection.
func (u *upgradeState) decodeRequest(h *header.Map) {
	p := h.GetID(header.Protocol)
	if p == "" {
		return
	}
	u.asked = true
	h.SetIDRef(header.Method, "GET")
	h.SetID(header.Upgrade, p)
	h.SetIDRef(header.Connection, "upgrade")
	h.RemoveID(header.Protocol)
}

// encodeResponse turns 101 of an upgraded request into 200.
func (u *upgradeState) encodeResponse(h *header.Map) {
	if u.asked && h.GetID(header.Status) == "101" {
		h.SetIDRef(header.Status, "200")
		h.RemoveID(header.ContentLength)
	}
}

// encodeRequest turns an upgrade request into extended CONNECT, and leaves a
// plain CONNECT without scheme and path.
func (u *upgradeState) encodeRequest(h *header.Map, connect bool) {
	if connect {
		if !h.HasID(header.Protocol) {
			h.RemoveID(header.Scheme)
			h.RemoveID(header.Path)
		}
		return
	}
	p := h.GetID(header.Upgrade)
	if p == "" || !hasToken(h.GetID(header.Connection), "upgrade") {
		return
	}
	u.asked, u.protocol = true, strings.Clone(p)
	h.SetIDRef(header.Method, "CONNECT")
	h.SetID(header.Protocol, p)
	if h.GetID(header.ContentLength) == "0" {
		h.RemoveID(header.ContentLength)
	}
}

// decodeResponse turns 200 of an upgraded request into 101.
func (u *upgradeState) decodeResponse(h *header.Map) {
	if u.asked && h.GetID(header.Status) == "200" {
		h.SetIDRef(header.Status, "101")
		h.SetIDRef(header.Upgrade, u.protocol)
		h.SetIDRef(header.Connection, "upgrade")
	}
}

// hasToken looks for a lower-case token in a comma-separated list.
func hasToken(list, token string) bool {
	for len(list) > 0 {
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		if equalFold(trim(list[:i]), token) {
			return true
		}
		if i == len(list) {
			return false
		}
		list = list[i+1:]
	}
	return false
}

func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
