package h1

import (
	"bytes"
	"math"
	"strings"
)

// Classes of bytes.
const (
	tokenByte      = 1 << iota // RFC 9110 section 5.6.2: tchar
	valueByte                  // field values: VCHAR, SP, HTAB and 0x80 to 0xff
	targetByte                 // request targets: VCHAR
	upperByte                  // A to Z
	controlByte                // control characters but HTAB, LF and CR
	authorityByte              // what an authority may hold (RFC 3986 section 3.2, in any order)
	underscoreByte             // "_"
	hostByte                   // letters, digits, "-" and "."
)

var class = buildClasses()

func buildClasses() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= 0x80, c == '\t', c == ' ':
			t[c] |= valueByte
		case c > ' ' && c < 0x7f:
			t[c] |= valueByte | targetByte
		}
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0 && c != 0 {
			t[c] |= tokenByte
		}
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if c >= 'A' && c <= 'Z' {
			t[c] |= upperByte
		}
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			t[c] |= controlByte
		}
		if alnum || c < 0x80 && strings.IndexByte("-._~%!$&'()[]*+,;=:@", byte(c)) >= 0 {
			t[c] |= authorityByte
		}
		if c == '_' {
			t[c] |= underscoreByte
		}
		if alnum || c == '-' || c == '.' {
			t[c] |= hostByte
		}
	}
	return t
}

func all[T string | []byte](b T, want byte) bool {
	for i := range len(b) {
		if class[b[i]]&want == 0 {
			return false
		}
	}
	return true
}

// trim removes spaces, tabs and CRs from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// methods are those that Envoy's parser knows; others need
// allow_custom_methods.
var methods = map[string]bool{
	"ACL": true, "BIND": true, "CHECKOUT": true, "CONNECT": true, "COPY": true, "DELETE": true,
	"GET": true, "HEAD": true, "LINK": true, "LOCK": true, "MERGE": true, "MKACTIVITY": true,
	"MKCALENDAR": true, "MKCOL": true, "MOVE": true, "MSEARCH": true, "NOTIFY": true,
	"OPTIONS": true, "PATCH": true, "POST": true, "PROPFIND": true, "PROPPATCH": true,
	"PURGE": true, "PUT": true, "QUERY": true, "REBIND": true, "REPORT": true, "SEARCH": true,
	"SOURCE": true, "SUBSCRIBE": true, "TRACE": true, "UNBIND": true, "UNLINK": true,
	"UNLOCK": true, "UNSUBSCRIBE": true,
}

func validMethod(m []byte, custom bool) bool {
	switch string(m) {
	case "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH":
		return true
	}
	return methods[string(m)] || custom && len(m) > 0 && all(m, tokenByte)
}

// parseLength parses a Content-Length: digits only (RFC 9110 section 8.6).
func parseLength(v string) (uint64, bool) {
	if v == "" {
		return 0, false
	}
	var n uint64
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		d := uint64(v[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// splitWords splits a start line at runs of spaces, tabs and CRs into two words
// and the rest.
func splitWords(line []byte) (a, b, rest []byte) {
	i := 0
	word := func() []byte {
		from := i
		for i < len(line) && line[i] != ' ' && line[i] != '\t' && line[i] != '\r' {
			i++
		}
		w := line[from:i]
		for i < len(line) && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r') {
			i++
		}
		return w
	}
	a = word()
	b = word()
	return a, b, trim(line[i:])
}

// isVersion says whether v is "HTTP/" and two digits with a dot.
func isVersion(v []byte) bool {
	return len(v) == 8 && string(v[:5]) == "HTTP/" && v[5] >= '0' && v[5] <= '9' && v[6] == '.' && v[7] >= '0' && v[7] <= '9'
}

// digits says whether b is one digit or more.
func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
