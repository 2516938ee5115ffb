package h2

// Character classes of header names and values (RFC 9110 section 5.6.2, RFC
// 9113 section 8.2.1).
const (
	isName   = 1 << iota // token characters without upper case
	isValue              // field values: no controls but HTAB
	isPath               // :path: visible characters and beyond ASCII
	isHost               // :authority
	isMethod             // token characters
	isScheme
)

var class = buildClasses()

func buildClasses() *[256]uint8 {
	t := new([256]uint8)
	set := func(s string, bits uint8) {
		for i := range len(s) {
			t[s[i]] |= bits
		}
	}
	for c := range 256 {
		if c == '\t' || c >= 0x20 && c != 0x7f {
			t[c] |= isValue
		}
		if c > 0x20 && c != 0x7f {
			t[c] |= isPath
		}
	}
	set("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", isName|isMethod)
	set("ABCDEFGHIJKLMNOPQRSTUVWXYZ", isMethod|isHost|isScheme)
	set("abcdefghijklmnopqrstuvwxyz0123456789", isHost|isScheme)
	set("!$%&'()*+,-./:;=@[]_~", isHost)
	set("+-.", isScheme)
	return t
}

func all(s string, bits uint8) bool {
	for i := range len(s) {
		if class[s[i]]&bits == 0 {
			return false
		}
	}
	return true
}

// contentLength parses a content-length value; false when it is none.
func contentLength(v string) (int64, bool) {
	if v == "" || len(v) > 18 {
		return 0, false
	}
	n := int64(0)
	for i := range len(v) {
		d := v[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	return n, true
}
