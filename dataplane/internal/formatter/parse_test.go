package formatter

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for format, want := range map[string]string{
		"plain":                  "'plain'",
		"100%% of":               "'100% of'",
		"%A%%B_2%":               "A[-1] B_2[-1]",
		"x%REQ(:PATH):3%y":       "'x' REQ(:PATH)[3] 'y'",
		"%CEL(a == ')' && b):2%": "CEL(a == ')' && b)[2]",
		"%Q():0%":                "Q()[0]",
		"%START_TIME(%Y%m)%":     "START_TIME(%Y%m)[-1]",
		"%Z:7%":                  "Z[7]",
	} {
		parts, err := parse(format)
		if err != nil {
			t.Errorf("%q: %v", format, err)
			continue
		}
		if got := show(parts); got != want {
			t.Errorf("%q: %s, want %s", format, got, want)
		}
	}
	for _, bad := range []string{"%", "a%b%", "%REQ(", "%REQ(x)", "%REQ(x):a%", "%REQ", "%:3%", "%REQ(x)y%"} {
		if parts, err := parse(bad); err == nil {
			t.Errorf("%q is accepted: %s", bad, show(parts))
		}
	}
}

func show(parts []part) string {
	out := ""
	for i, p := range parts {
		if i > 0 {
			out += " "
		}
		if p.cmd == nil {
			out += "'" + p.literal + "'"
			continue
		}
		out += p.cmd.name
		if p.cmd.hasArg {
			out += "(" + p.cmd.arg + ")"
		}
		out += "[" + itoa(p.cmd.max) + "]"
	}
	return out
}

func itoa(n int) string {
	if n < 0 {
		return "-1"
	}
	return string(rune('0' + n))
}

func TestTimeFormats(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_012_345, time.UTC)
	for pattern, want := range map[string]string{
		"%Y-%m-%dT%H:%M:%S": "2026-03-04T05:06:07",
		"%s%3f":             "1772600767089",
		"%6f %f %1f":        "089012 089012345 0",
		"%E3S %E*S":         "07.089 07.089012345",
		"100%% %q":          "100% %q",
		"%z %Ez":            "+0000 +00:00",
	} {
		if got := string(compileTime(pattern).append(nil, at)); got != want {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}
