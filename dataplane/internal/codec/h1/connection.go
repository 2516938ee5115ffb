package h1

import (
	"strings"
	"unsafe"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

func viewString(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// maxNominated is how many names in a Connection header are too many.
const maxNominated = 10

// sanitizeConnection removes what a Connection header names, and what of HTTP/2
// an upgrade offers, unless the request asks for an upgrade. Names that the
// proxy itself decides by are refused.
// Source: RFC 9110 section 7.6.1; Envoy's HTTP/1 codec.
func sanitizeConnection(h *header.Map) error {
	connection, _ := h.Joined("connection")
	if h.HasID(header.Upgrade) && hasToken(connection, "upgrade") {
		if v := h.GetID(header.Upgrade); !hasToken(v, "h2c") {
			return nil
		}
		removeUpgradeH2C(h)
		connection, _ = h.Joined("connection")
		if h.HasID(header.Upgrade) {
			return nil
		}
	}
	if connection == "" {
		return nil
	}
	n := 0
	for name := range strings.SplitSeq(connection, ",") {
		if n++; n >= maxNominated {
			return errConnection
		}
		name = strings.ToLower(strings.Trim(name, " \t"))
		switch name {
		case "", "close", "keep-alive", "upgrade":
		case "te":
			keepTrailers(h)
		case "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto":
			return errConnection
		case "host":
			h.RemoveID(header.Authority) // a request without a host is refused later
		default:
			if name[0] == ':' {
				return errConnection
			}
			h.Remove(name)
		}
	}
	return nil
}

// keepTrailers reduces TE to "trailers", or removes it.
func keepTrailers(h *header.Map) {
	te, ok := h.Joined("te")
	if !ok {
		return
	}
	if hasToken(te, "trailers") {
		h.SetIDRef(header.TE, "trailers")
		return
	}
	h.RemoveID(header.TE)
}

// removeUpgradeH2C takes an offer of HTTP/2 (RFC 7540 section 3.2) out.
func removeUpgradeH2C(h *header.Map) {
	h.RemoveID(header.HTTP2Settings)
	without := func(id header.ID, drop ...string) {
		joined, _ := h.Joined(id.String())
		var kept []string
	next:
		for t := range strings.SplitSeq(joined, ",") {
			t = strings.Trim(t, " \t")
			for _, d := range drop {
				if strings.EqualFold(t, d) {
					continue next
				}
			}
			kept = append(kept, t)
		}
		h.RemoveID(id)
		if len(kept) > 0 {
			h.AddID(id, strings.Join(kept, ","))
		}
	}
	without(header.Upgrade, "h2c")
	drop := []string{"http2-settings"}
	if !h.HasID(header.Upgrade) {
		drop = append(drop, "upgrade")
	}
	without(header.Connection, drop...)
}

// hasToken says whether a comma-separated list has a token, in any case.
func hasToken(list, token string) bool {
	for len(list) > 0 {
		t := list
		if i := strings.IndexByte(list, ','); i >= 0 {
			t, list = list[:i], list[i+1:]
		} else {
			list = ""
		}
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}
