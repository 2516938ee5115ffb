package formatter

import (
	"strconv"
	"strings"
	"time"
)

// timeFormat is a compiled strftime pattern with Envoy's additions: %s (unix
// seconds), %f and %Nf (fractional digits), %E3S and the like of absl::Time.
type timeFormat []func(b []byte, t time.Time) []byte

// layouts are the conversions that Go's time.Format knows.
var layouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
	'y': "06", 'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'p': "PM",
	'Z': "MST", 'z': "-0700", 'T': "15:04:05", 'R': "15:04", 'F': "2006-01-02", 'D': "01/02/06",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'j': "002", 'r': "03:04:05 PM",
}

func compileTime(pattern string) timeFormat {
	var f timeFormat
	lit := func(s string) {
		f = append(f, func(b []byte, _ time.Time) []byte { return append(b, s...) })
	}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			j := i + 1
			for j < len(pattern) && pattern[j] != '%' {
				j++
			}
			lit(pattern[i:j])
			i = j - 1
			continue
		}
		step, n := conversion(pattern[i+1:])
		if step == nil {
			lit(pattern[i : i+2])
			i++
			continue
		}
		f = append(f, step)
		i += n
	}
	return f
}

// conversion compiles one conversion after its percent sign and returns its
// length.
func conversion(s string) (func([]byte, time.Time) []byte, int) {
	switch c := s[0]; {
	case c == '%':
		return func(b []byte, _ time.Time) []byte { return append(b, '%') }, 1
	case c == 'n' || c == 't':
		ch := map[byte]byte{'n': '\n', 't': '\t'}[c]
		return func(b []byte, _ time.Time) []byte { return append(b, ch) }, 1
	case c == 's':
		return func(b []byte, t time.Time) []byte { return strconv.AppendInt(b, t.Unix(), 10) }, 1
	case c == 'f':
		return fractionDigits(9), 1
	case c >= '1' && c <= '9' && len(s) > 1 && s[1] == 'f':
		return fractionDigits(int(c - '0')), 2
	case c == 'E' && len(s) > 1:
		return extended(s)
	case layouts[c] != "":
		layout := layouts[c]
		return func(b []byte, t time.Time) []byte { return t.AppendFormat(b, layout) }, 1
	}
	return nil, 0
}

// extended compiles %E4Y, %E#S, %E*S, %Ez and %E#f of absl::FormatTime.
func extended(s string) (func([]byte, time.Time) []byte, int) {
	if s[1] == 'z' {
		return func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "-07:00") }, 2
	}
	if len(s) < 3 {
		return nil, 0
	}
	digits := -1
	if s[1] >= '0' && s[1] <= '9' {
		digits = int(s[1] - '0')
	} else if s[1] != '*' {
		return nil, 0
	}
	switch s[2] {
	case 'Y':
		return func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "2006") }, 3
	case 'S':
		return func(b []byte, t time.Time) []byte {
			b = t.AppendFormat(b, "05")
			if digits == 0 || digits < 0 && t.Nanosecond() == 0 {
				return b
			}
			b = append(b, '.')
			return appendFraction(b, t, digits)
		}, 3
	case 'f':
		return func(b []byte, t time.Time) []byte { return appendFraction(b, t, digits) }, 3
	}
	return nil, 0
}

func fractionDigits(n int) func([]byte, time.Time) []byte {
	return func(b []byte, t time.Time) []byte { return appendFraction(b, t, n) }
}

// appendFraction appends n digits of the second's fraction; a negative n means
// as many as it takes.
func appendFraction(b []byte, t time.Time, n int) []byte {
	text := strconv.Itoa(1_000_000_000 + t.Nanosecond())[1:]
	if n < 0 {
		return append(b, strings.TrimRight(text, "0")...)
	}
	return append(b, text[:min(n, 9)]...)
}

func (f timeFormat) append(b []byte, t time.Time) []byte {
	for _, step := range f {
		b = step(b, t)
	}
	return b
}

// appendISO appends the default form, "2026-01-02T03:04:05.678Z".
func appendISO(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}
