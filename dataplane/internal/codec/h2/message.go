package h2

import (
	"unsafe"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// validField checks one line of the block (RFC 9113 section 8.2 and 8.3).
func (c *conn) validField(id header.ID, name, value string) bool {
	if name == "" {
		return false
	}
	if name[0] == ':' {
		return c.validPseudo(id, value)
	}
	c.blockSaw |= sawRegular
	if id == header.Other && !all(name, isName) || !all(value, isValue) {
		return false
	}
	switch id {
	case header.Connection, header.KeepAlive, header.ProxyConnection, header.TransferEncoding, header.Upgrade:
		return false
	case header.TE:
		return equalFold(value, "trailers")
	case header.Host:
		return c.blockKind != blockRequest || c.once(sawHost) && value != "" && all(value, isHost)
	case header.ContentLength:
		n, ok := contentLength(value)
		if !ok || c.blockCL >= 0 {
			return false
		}
		if c.blockKind == blockResponse && c.status == 204 && n != 0 {
			return false
		}
		c.blockCL = n
	}
	return true
}

func (c *conn) once(bit uint16) bool {
	first := c.blockSaw&bit == 0
	c.blockSaw |= bit
	return first
}

// validPseudo checks one pseudo-header: known, in its place, once, not empty.
func (c *conn) validPseudo(id header.ID, value string) bool {
	if c.blockSaw&sawRegular != 0 || value == "" || c.blockKind == blockTrailers {
		return false
	}
	if c.blockKind == blockResponse {
		if id != header.Status || !c.once(sawStatus) || len(value) != 3 {
			return false
		}
		n, ok := contentLength(value)
		c.status = int(n)
		return ok && n >= 100 && n != 101
	}
	switch id {
	case header.Method:
		return c.once(sawMethod) && all(value, isMethod)
	case header.Path:
		return c.once(sawPath) && all(value, isPath)
	case header.Scheme:
		return c.once(sawScheme) && all(value, isScheme)
	case header.Authority:
		return c.once(sawAuthority) && all(value, isHost)
	case header.Protocol:
		return c.opt.AllowConnect && c.once(sawProtocol) && all(value, isMethod)
	}
	return false
}

// validBlock checks the block as a whole, and gives it the form that the
// layers above expect: :authority instead of host.
func (c *conn) validBlock(s *strm, h *header.Map) bool {
	switch c.blockKind {
	case blockTrailers:
		return c.blockEnd
	case blockResponse:
		return c.validResponse(s)
	}
	return c.validRequest(h)
}

func (c *conn) validResponse(s *strm) bool {
	if c.blockSaw&sawStatus == 0 {
		return false
	}
	if c.status < 200 {
		return !c.blockEnd
	}
	switch {
	case s.noBody || c.status == 304:
		c.blockCL = 0 // what would have been sent; no content may follow
	case c.status == 204:
		c.blockCL = 0
	case c.blockEnd:
		return c.blockCL <= 0
	}
	return true
}

func (c *conn) validRequest(h *header.Map) bool {
	saw := c.blockSaw
	method := h.GetID(header.Method)
	switch {
	case saw&sawMethod == 0, saw&(sawAuthority|sawHost) == 0:
		return false
	case method == "CONNECT" && saw&sawProtocol == 0:
		if saw&(sawScheme|sawPath) != 0 || saw&sawAuthority == 0 {
			return false
		}
	case saw&sawScheme == 0, saw&sawPath == 0, saw&sawProtocol != 0 && (method != "CONNECT" || saw&sawAuthority == 0):
		return false
	default:
		path := h.GetID(header.Path)
		if scheme := h.GetID(header.Scheme); scheme == "http" || scheme == "https" {
			if path[0] != '/' && (path != "*" || method != "OPTIONS") {
				return false
			}
		}
	}
	if c.blockEnd && c.blockCL > 0 {
		return false
	}
	if saw&sawHost != 0 {
		if saw&sawAuthority == 0 {
			h.SetIDRef(header.Authority, h.GetID(header.Host))
		}
		h.RemoveID(header.Host)
	}
	return true
}

// onUnderscore handles a name with an underscore; true lets it through.
func (c *conn) onUnderscore() bool {
	if c.opt.Underscores == config.DropUnderscore {
		c.st.droppedUnderscores.Inc(c.local)
	} else {
		c.st.rejectedUnderscores.Inc(c.local)
		c.blockLimit = detailUnderscore
	}
	return false
}

// view is a string of bytes that the caller copies at once.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
