package resource

import (
	"fmt"
	"strings"
)

// Violation is one offending field.
type Violation struct {
	// Field is "Kind/namespace/name: path", or "line N" of the manifest
	// where no resource could be made out.
	Field string
	// Message says what is wrong, with the value, in lower case.
	Message string
}

func (v Violation) String() string { return v.Field + ": " + v.Message }

// Violations is an error made of all that is wrong with some input.
type Violations []Violation

func (v Violations) Error() string {
	lines := make([]string, len(v))
	for i := range v {
		lines[i] = v[i].String()
	}
	return strings.Join(lines, "\n")
}

// maxViolations bounds what one refused change set reports.
const maxViolations = 100

// Trim bounds the list and says how many were left out.
func (v Violations) Trim() Violations {
	if len(v) <= maxViolations {
		return v
	}
	rest := len(v) - maxViolations
	return append(v[:maxViolations:maxViolations], Violation{
		Field: "...", Message: fmt.Sprintf("and %d more", rest)})
}

// short renders a value for a message; long ones are cut.
func short(v any) string {
	s := fmt.Sprintf("%v", v)
	if text, ok := v.(string); ok {
		s = fmt.Sprintf("%q", text)
	}
	if len(s) > 120 {
		s = s[:117] + "..."
	}
	return s
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
