package hcm

import (
	"strings"
	"unsafe"

	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

func viewUUID(b *[36]byte) string { return unsafe.String(&b[0], len(b)) } // copied by the header map

// normalizePath applies path_with_escaped_slashes_action, normalize_path
// (RFC 3986 section 6.2.2) and merge_slashes. It says whether the request goes
// on.
func (s *activeStream) normalizePath(h *header.Map) bool {
	o := s.c.opts
	if !o.NormalizePath && !o.MergeSlashes && o.EscapedSlashes == SlashesKeep {
		return true
	}
	path := h.GetID(header.Path)
	plain, query := path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		plain, query = path[:i], path[i:]
	}
	redirect := false
	if o.EscapedSlashes != SlashesKeep {
		if unescaped, found := unescapeSlashes(plain); found {
			if o.EscapedSlashes == SlashesReject {
				s.c.f.count(s.Worker(), statRqFailedPathNormalization)
				return s.refuse(400, "", "path_normalization_failed")
			}
			plain = unescaped
			redirect = o.EscapedSlashes == SlashesRedirect
		}
	}
	if o.NormalizePath {
		n, ok := canonicalPath(plain)
		if !ok {
			s.c.f.count(s.Worker(), statRqFailedPathNormalization)
			return s.refuse(400, "", "path_normalization_failed")
		}
		plain = n
	}
	if o.MergeSlashes {
		plain = mergeSlashes(plain)
	}
	if plain+query != path {
		h.SetID(header.Path, plain+query)
	}
	if redirect {
		s.c.f.count(s.Worker(), statRqRedirectedWithNormalizedPath)
		s.manager.SendLocalReply(filter.Reply{Status: 307, Details: "path_normalization_failed", Headers: [][2]string{{"location", plain + query}}})
		return false
	}
	return true
}

// unescapeSlashes decodes %2F and %5C.
func unescapeSlashes(p string) (string, bool) {
	if !strings.Contains(p, "%") {
		return p, false
	}
	r := strings.NewReplacer("%2F", "/", "%2f", "/", "%5C", `\`, "%5c", `\`)
	q := r.Replace(p)
	return q, q != p
}

// canonicalPath removes dot segments, turns backslashes into slashes, and
// decodes what needs no escaping; a path that leaves the root, or has a broken
// or zero escape, is refused.
func canonicalPath(p string) (string, bool) {
	if simplePath(p) {
		return p, true
	}
	decoded := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\':
			decoded = append(decoded, '/')
		case c == '%':
			if i+2 >= len(p) {
				return "", false
			}
			hi, lo := unhex(p[i+1]), unhex(p[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			v := byte(hi<<4 | lo)
			if v == 0 {
				return "", false
			}
			if unreserved(v) {
				decoded = append(decoded, v)
			} else {
				decoded = append(decoded, '%', upper(p[i+1]), upper(p[i+2]))
			}
			i += 2
		default:
			decoded = append(decoded, c)
		}
	}
	return removeDots(string(decoded)), true
}

// simplePath says whether nothing in a path needs a change.
func simplePath(p string) bool {
	for i := range len(p) {
		switch p[i] {
		case '%', '\\':
			return false
		case '.':
			if i > 0 && p[i-1] == '/' {
				return false
			}
		}
	}
	return true
}

// removeDots implements RFC 3986 section 5.2.4.
func removeDots(p string) string {
	var out []string
	segments := strings.Split(p, "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	joined := strings.Join(out, "/")
	if !strings.HasPrefix(joined, "/") {
		joined = "/" + joined
	}
	return joined
}

func mergeSlashes(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
