package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// usageError is what is wrong with the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// flag is one flag. A switch takes no value.
type flag struct {
	name, short string
	value       string // how help names the value; "": a switch
	help        string
	set         func(o *Options, v string) error
	repeats     bool
}

// Info is what --version and --hot-restart-version print.
type Info struct {
	Program, Version, HotRestart string
}

// Parse reads the arguments after the program's name. When output is not "",
// or the code is not 0, the process is to print it (to standard output when
// the code is 0, else to standard error) and end with the code; Options are
// nil then.
func Parse(args []string, info Info) (o *Options, code int, output string) {
	o = defaults()
	all := flags()
	seen := map[string]bool{}
	for len(args) > 0 {
		name, v, given := split(args[0])
		if args[0] == "--" {
			args = args[1:]
			if len(args) > 0 {
				return nil, 1, fail(info, usage("Couldn't find match for argument: %s", args[0]))
			}
			break
		}
		args = args[1:]
		switch name {
		case "--help", "-h":
			return nil, 0, help(info, all)
		case "--version":
			return nil, 0, fmt.Sprintf("%s  version: %s\n", info.Program, info.Version)
		case "--hot-restart-version":
			return nil, 0, info.HotRestart + "\n"
		}
		f := find(all, name)
		if f == nil {
			return nil, 1, fail(info, usage("Couldn't find match for argument: %s", name))
		}
		if seen[f.name] && !f.repeats {
			return nil, 1, fail(info, usage("Argument already set: --%s", f.name))
		}
		seen[f.name] = true
		switch {
		case f.value == "" && given:
			return nil, 1, fail(info, usage("--%s takes no value", f.name))
		case f.value != "" && !given:
			if len(args) == 0 {
				return nil, 1, fail(info, usage("Missing a value for this argument: --%s", f.name))
			}
			v, args = args[0], args[1:]
		}
		if err := f.set(o, v); err != nil {
			return nil, 1, fail(info, wrap(f, err))
		}
	}
	if err := o.check(seen); err != nil {
		return nil, 1, fail(info, err)
	}
	return o, 0, ""
}

func wrap(f *flag, err error) error {
	var u *usageError
	if errors.As(err, &u) {
		return err
	}
	return usage("--%s: %v", f.name, err)
}

// split takes "--name=value" apart.
func split(arg string) (name, v string, given bool) {
	if strings.HasPrefix(arg, "-") {
		return strings.Cut(arg, "=")
	}
	return arg, "", false
}

func find(all []flag, name string) *flag {
	for i := range all {
		f := &all[i]
		if name == "--"+f.name || f.short != "" && name == "-"+f.short {
			return f
		}
	}
	return nil
}

// check looks at what belongs together.
func (o *Options) check(seen map[string]bool) error {
	if o.ConfigPath == "" && o.ConfigYAML == "" {
		return usage("At least one of --config-path or --config-yaml or Options::configProto() should be non-empty")
	}
	if seen["base-id"] && o.UseDynamicBaseID {
		return usage("error: cannot use --base-id and --use-dynamic-base-id together")
	}
	if o.UseDynamicBaseID && o.RestartEpoch > 0 {
		return usage("error: cannot use --restart-epoch=%d with --use-dynamic-base-id", o.RestartEpoch)
	}
	if seen["component-log-level"] && o.FineGrainLog {
		return usage("error: --component-log-level will not work with --enable-fine-grain-logging")
	}
	if seen["log-format"] && o.LogFormat == "" {
		return usage("error: --log-format must not be empty")
	}
	return nil
}

func fail(info Info, err error) string {
	return fmt.Sprintf("PARSE ERROR: %v\n\nFor complete USAGE and HELP type:\n   %s --help\n", err, info.Program)
}

func help(info Info, all []flag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "USAGE:\n\n   %s [flags]\n\nWhere:\n", info.Program)
	for i := range all {
		f := &all[i]
		b.WriteString("\n   ")
		if f.short != "" {
			fmt.Fprintf(&b, "-%s", f.short)
			if f.value != "" {
				fmt.Fprintf(&b, " <%s>", f.value)
			}
			b.WriteString(",  ")
		}
		b.WriteString("--" + f.name)
		if f.value != "" {
			fmt.Fprintf(&b, " <%s>", f.value)
		}
		b.WriteString("\n     " + f.help + "\n")
	}
	b.WriteString("\n   --hot-restart-version\n     Print the version of hot restart and exit\n\n   --version\n     Print the version and exit\n\n   -h,  --help\n     Print this text and exit\n")
	return b.String()
}

func text(p func(*Options) *string) func(*Options, string) error {
	return func(o *Options, v string) error { *p(o) = v; return nil }
}

func on(p func(*Options) *bool) func(*Options, string) error {
	return func(o *Options, _ string) error { *p(o) = true; return nil }
}

func number(p func(*Options) *uint32) func(*Options, string) error {
	return func(o *Options, v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return usage("Couldn't read argument value from string '%s'", v)
		}
		*p(o) = uint32(n)
		return nil
	}
}

func span(unit time.Duration, p func(*Options) *time.Duration) func(*Options, string) error {
	return func(o *Options, v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || time.Duration(n) > math.MaxInt64/unit {
			return usage("Couldn't read argument value from string '%s'", v)
		}
		*p(o) = time.Duration(n) * unit
		return nil
	}
}

func ignored(*Options, string) error { return nil }
