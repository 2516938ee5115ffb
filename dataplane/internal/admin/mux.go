package admin

import (
	"net/url"
	"slices"
	"strings"
)

// Request is one request to the admin interface.
type Request struct {
	Method string
	Path   string // without the query
	Query  Query
	Body   []byte
}

// Response answers a Request.
type Response struct {
	Status      int
	ContentType string // "" is text/plain
	Body        []byte
	// Header lines beside the fixed ones.
	Header [][2]string
	// After runs when the response is on its way (to quit, for example).
	After func()
}

// The content types.
const (
	TextPlain = "text/plain; charset=UTF-8"
	TextHTML  = "text/html; charset=UTF-8"
	JSON      = "application/json"
)

// Query holds the parameters of a query string in order.
type Query []Param

// Param is one parameter.
type Param struct{ Name, Value string }

// Get returns the first value of a parameter.
func (q Query) Get(name string) (string, bool) {
	for _, p := range q {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Has says whether the parameter is there.
func (q Query) Has(name string) bool { _, ok := q.Get(name); return ok }

// ParseQuery splits a query string or form body; what cannot be unescaped is
// kept as it is.
func ParseQuery(s string) Query {
	var q Query
	for part := range strings.SplitSeq(s, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		q = append(q, Param{unescape(k), unescape(v)})
	}
	return q
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// endpoint is one path of the interface.
type endpoint struct {
	path    string
	help    string
	params  []paramHelp
	mutates bool // needs POST
	handle  func(*Request) Response
}

type paramHelp struct{ name, help string }

func text(status int, body string) Response {
	return Response{Status: status, Body: []byte(body)}
}

var ok = text(200, "OK\n")

// Handler dispatches requests.
type Handler struct {
	src       Sources
	endpoints []*endpoint
	allow     func(path string) bool
}

// New returns the handler of all endpoints. allow, when not nil, limits the
// paths that are served (Admin.allow_paths); others get 403.
func New(src Sources, allow func(pathAndQuery string) bool) *Handler {
	h := &Handler{src: src, allow: allow}
	h.endpoints = slices.Concat(h.serverEndpoints(), h.statsEndpoints(), h.stateEndpoints(), h.profileEndpoints())
	slices.SortFunc(h.endpoints, func(a, b *endpoint) int { return strings.Compare(a.path, b.path) })
	return h
}

// Serve answers one request; target is the request's path with its query.
func (h *Handler) Serve(method, target string, body []byte) Response {
	path, query, _ := strings.Cut(target, "?")
	if h.allow != nil && !h.allow(target) {
		return text(403, "request to path "+path+" not allowed")
	}
	for _, e := range h.endpoints {
		if e.path != path {
			continue
		}
		if e.mutates && method != "POST" {
			return text(405, "Method "+method+" not allowed, POST required.")
		}
		return e.handle(&Request{Method: method, Path: path, Query: ParseQuery(query), Body: body})
	}
	return text(404, "invalid path. "+h.help())
}

func (h *Handler) help() string {
	var b strings.Builder
	b.WriteString("admin commands are:\n")
	for _, e := range h.endpoints {
		b.WriteString("  " + e.path)
		if e.mutates {
			b.WriteString(" (POST)")
		}
		b.WriteString(": " + e.help + "\n")
		for _, p := range e.params {
			b.WriteString("      " + p.name + ": " + p.help + "\n")
		}
	}
	return b.String()
}
