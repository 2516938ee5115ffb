// Package fieldpath names places in configuration, so that every refusal says
// where: "static_resources.listeners[0].filter_chains[1].filters[0]". Field
// names are those of the protobuf messages.
package fieldpath

import (
	"fmt"
	"strconv"
)

// Path is a place in a configuration. The zero value is its root. Paths are
// immutable.
type Path struct{ s string }

// New returns a path that starts with a name, such as a resource's.
func New(s string) Path { return Path{s} }

// Field returns the path of a field of the message at p.
func (p Path) Field(name string) Path {
	if p.s == "" {
		return Path{name}
	}
	return Path{p.s + "." + name}
}

// Index returns the path of item i of the list at p.
func (p Path) Index(i int) Path { return Path{p.s + "[" + strconv.Itoa(i) + "]"} }

// Key returns the path of an entry of the map at p.
func (p Path) Key(k string) Path { return Path{p.s + "[" + strconv.Quote(k) + "]"} }

func (p Path) String() string { return p.s }

// Errorf returns an *Error at p.
func (p Path) Errorf(format string, args ...any) *Error {
	return &Error{Path: p, Err: fmt.Errorf(format, args...)}
}

// Wrap returns err as an *Error at p; an *Error is returned as it is, because
// the deeper path says more. nil stays nil.
func (p Path) Wrap(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Path: p, Err: err}
}

// Error is what is wrong at a place in the configuration.
type Error struct {
	Path Path
	Err  error
}

func (e *Error) Error() string {
	if e.Path.s == "" {
		return e.Err.Error()
	}
	return e.Path.s + ": " + e.Err.Error()
}

// Unwrap returns the error without its place.
func (e *Error) Unwrap() error { return e.Err }
