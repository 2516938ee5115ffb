package resource

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Check finds all that is wrong with a resource taken alone: envelope, spec
// and values. What it accepts can be compiled, if its references are in
// order too (see Links).
func Check(r *configv1.Resource) Violations {
	c := &checker{resource: r}
	k, known := kindOf(r.GetKind())
	switch {
	case r.GetKind() == "":
		c.fail("kind", "is missing")
	case !known:
		c.fail("kind", "%s", unknownKind(r.GetKind()))
	case r.GetApiVersion() == "":
		c.fail("apiVersion", "is missing (expected %s)", k.apiVersions[0])
	case !slices.Contains(k.apiVersions, r.GetApiVersion()):
		c.fail("apiVersion", "%s has no %s (expected %s)", short(r.GetApiVersion()), k.name, k.apiVersions[0])
	}
	c.envelope(r.GetMetadata())
	if known {
		spec, violations := Decode(r)
		c.violations = append(c.violations, violations...)
		// Values of fields that did not decode would be reported a second time.
		if len(violations) == 0 {
			k.check(c, spec)
		}
	}
	label := "resource"
	if key := KeyOf(r); key.Kind != "" && key.Name != "" {
		label = key.String()
	}
	for i := range c.violations {
		c.violations[i].Field = label + ": " + c.violations[i].Field
	}
	return c.violations
}

type checker struct {
	resource   *configv1.Resource
	violations Violations
}

func (c *checker) fail(path, format string, args ...any) {
	c.violations = append(c.violations, Violation{Field: path, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) envelope(m *configv1.Metadata) {
	if m.GetName() == "" {
		c.fail("metadata.name", "is missing")
	} else if !isSubdomain(m.GetName()) {
		c.fail("metadata.name", "%s is not a DNS subdomain (lower case letters, digits, '-' and '.')", short(m.GetName()))
	}
	if !isLabel(m.GetNamespace()) {
		c.fail("metadata.namespace", "%s is not a DNS label (lower case letters, digits and '-')", short(m.GetNamespace()))
	}
	for _, key := range sortedKeys(m.GetLabels()) {
		if !isQualified(key) {
			c.fail("metadata.labels."+key, "is not a label key")
		}
		if value := m.GetLabels()[key]; !isLabelValue(value) {
			c.fail("metadata.labels."+key, "%s is not a label value", short(value))
		}
	}
	size := 0
	for _, key := range sortedKeys(m.GetAnnotations()) {
		if !isQualified(key) {
			c.fail("metadata.annotations."+key, "is not an annotation key")
		}
		size += len(key) + len(m.GetAnnotations()[key])
	}
	if size > 256<<10 {
		c.fail("metadata.annotations", "are longer than 256 KiB in all")
	}
}

// oneOf checks an enumeration; the first value is what empty means.
func (c *checker) oneOf(path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		c.fail(path, "%s is not one of %s", short(value), strings.Join(allowed, ", "))
	}
}

// oneOfSupported is oneOf for enumerations of which Hawser has a part.
func (c *checker) oneOfSupported(path, value string, notYet []string, allowed ...string) {
	if slices.Contains(notYet, value) {
		c.fail(path, "%s is not supported (supported: %s)", short(value), strings.Join(allowed, ", "))
		return
	}
	c.oneOf(path, value, allowed...)
}

func (c *checker) port(path string, port int32, required bool) {
	if port == 0 && !required {
		return
	}
	if port < 1 || port > 65535 {
		c.fail(path, "%d is not a port (1 to 65535)", port)
	}
}

func (c *checker) between(path string, value, least, most int64) {
	if value < least || value > most {
		c.fail(path, "%d is not within %d to %d", value, least, most)
	}
}

// duration checks a GEP-2257 duration; empty is absent, and then zero.
func (c *checker) duration(path, value string) time.Duration {
	if value == "" {
		return 0
	}
	d, err := ParseDuration(value)
	if err != nil {
		c.fail(path, "%v", err)
	}
	return d
}

func (c *checker) hostname(path, host string) {
	name := strings.TrimPrefix(host, "*.")
	if _, err := netip.ParseAddr(name); err == nil {
		c.fail(path, "%s is an IP address, not a host name", short(host))
	} else if !isSubdomain(name) {
		c.fail(path, "%s is not a host name (lower case, may start with \"*.\")", short(host))
	}
}

// ParseDuration reads a Gateway API duration (GEP-2257): one to four of h,
// m, s and ms, each with at most five digits.
func ParseDuration(text string) (time.Duration, error) {
	if !regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`).MatchString(text) {
		return 0, fmt.Errorf("%s is not a duration (like 1h30m, 10s or 250ms)", short(text))
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration: %w", short(text), err)
	}
	return d, nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !lowerOrDigit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// isSubdomain: RFC 1123 as Kubernetes reads it.
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func lowerOrDigit(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

// isQualified: [subdomain/]name, the name as isLabelValue but not empty.
func isQualified(key string) bool {
	if prefix, name, found := strings.Cut(key, "/"); found {
		return isSubdomain(prefix) && name != "" && isLabelValue(name)
	}
	return key != "" && isLabelValue(key)
}

func isLabelValue(s string) bool {
	if s == "" {
		return true
	}
	alnum := func(b byte) bool { return lowerOrDigit(b) || b >= 'A' && b <= 'Z' }
	if len(s) > 63 || !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !alnum(s[i]) && !strings.ContainsRune("-_.", rune(s[i])) {
			return false
		}
	}
	return true
}

// isToken: RFC 9110 section 5.6.2; the names of headers and methods.
func isToken(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if !lowerOrDigit(b) && (b < 'A' || b > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return true
}

// ValidNamespace tells whether a name can be a namespace's: a DNS label.
func ValidNamespace(name string) bool { return isLabel(name) }
