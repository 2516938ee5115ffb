package formatter

import (
	"fmt"
	"strconv"
	"strings"
)

// command is one parsed %NAME(arg):max%.
type command struct {
	name   string
	arg    string
	hasArg bool
	max    int // -1: no limit
}

// part is a literal text or a command.
type part struct {
	literal string
	cmd     *command
}

// parse splits a format into literals and commands. "%%" is a percent sign.
func parse(format string) ([]part, error) {
	var parts []part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, part{literal: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(format); {
		if format[i] != '%' {
			lit.WriteByte(format[i])
			i++
			continue
		}
		if i+1 < len(format) && format[i+1] == '%' {
			lit.WriteByte('%')
			i += 2
			continue
		}
		c, n := parseCommand(format[i:])
		if n == 0 {
			return nil, fmt.Errorf("Incorrect configuration: %s. Couldn't find valid command at position %d", format, i)
		}
		flush()
		parts = append(parts, part{cmd: c})
		i += n
	}
	flush()
	return parts, nil
}

// parseCommand reads %NAME%, %NAME(arg)% or %NAME(arg):max% at the beginning of
// s and returns its length, 0 when there is none. An argument ends at the
// first ")%" or "):digits%".
func parseCommand(s string) (*command, int) {
	i := 1
	for i < len(s) && (s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' || s[i] == '_') {
		i++
	}
	if i == 1 || i == len(s) {
		return nil, 0
	}
	c := &command{name: s[1:i], max: -1}
	if s[i] == '(' {
		for j := i + 1; j < len(s); j++ {
			if s[j] != ')' {
				continue
			}
			if max, n := parseEnd(s[j+1:]); n > 0 {
				c.arg, c.hasArg, c.max = s[i+1:j], true, max
				return c, j + 1 + n
			}
		}
		return nil, 0
	}
	max, n := parseEnd(s[i:])
	if n == 0 {
		return nil, 0
	}
	c.max = max
	return c, i + n
}

// parseEnd reads "%" or ":digits%".
func parseEnd(s string) (limit, n int) {
	if strings.HasPrefix(s, "%") {
		return -1, 1
	}
	if !strings.HasPrefix(s, ":") {
		return 0, 0
	}
	end := strings.IndexByte(s, '%')
	if end < 2 {
		return 0, 0
	}
	v, err := strconv.Atoi(s[1:end])
	if err != nil || v < 0 {
		return 0, 0
	}
	return v, end + 1
}
