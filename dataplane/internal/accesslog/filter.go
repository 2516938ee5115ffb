package accesslog

import (
	"slices"
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Filter decides whether a stream is logged.
// Source: envoy.config.accesslog.v3.AccessLogFilter.
type Filter interface {
	Match(w *event.Worker, i *streaminfo.Info) bool
}

// Runtime overrides numbers and shares by key.
type Runtime interface {
	Weight(key string, def uint64) uint64
	EnabledByKey(key string, numerator, denominator uint32, random uint64) bool
}

// Op is ComparisonFilter.Op.
type Op uint8

// The comparisons.
const (
	Equal Op = iota
	GreaterOrEqual
	LessOrEqual
	NotEqual
)

// Comparison compares a number with a runtime-settable value.
type Comparison struct {
	Op      Op
	Value   uint64
	Key     string
	Runtime Runtime
}

func (c *Comparison) holds(n uint64) bool {
	v := c.Value
	if c.Key != "" && c.Runtime != nil {
		v = c.Runtime.Weight(c.Key, v)
	}
	switch c.Op {
	case Equal:
		return n == v
	case GreaterOrEqual:
		return n >= v
	case LessOrEqual:
		return n <= v
	}
	return n != v
}

// Status is status_code_filter.
type Status struct{ Comparison }

// Match implements Filter.
func (f *Status) Match(_ *event.Worker, i *streaminfo.Info) bool { return f.holds(uint64(i.Code)) }

// Duration is duration_filter, in milliseconds.
type Duration struct{ Comparison }

// Match implements Filter.
func (f *Duration) Match(w *event.Worker, i *streaminfo.Info) bool {
	end := i.End
	if end.IsZero() {
		end = w.Now()
	}
	return f.holds(uint64(max(0, end.Sub(i.Start).Milliseconds())))
}

// NotHealthCheck is not_health_check_filter.
type NotHealthCheck struct{}

// Match implements Filter.
func (NotHealthCheck) Match(_ *event.Worker, i *streaminfo.Info) bool {
	return i.FilterState["hawser.health_check"] == nil
}

// Share is runtime_filter.
type Share struct {
	Key                    string
	Numerator, Denominator uint32
	Independent            bool // do not derive the decision from x-request-id
	Runtime                Runtime
}

// Match implements Filter.
func (f *Share) Match(w *event.Worker, i *streaminfo.Info) bool {
	random := i.Random
	if !f.Independent && i.Request != nil {
		if n, ok := requestRandom(i.Request.GetID(header.XRequestID)); ok {
			random = n
		}
	}
	if f.Independent {
		random = w.Rand.Uint64()
	}
	if f.Runtime != nil {
		return f.Runtime.EnabledByKey(f.Key, f.Numerator, f.Denominator, random)
	}
	return random%uint64(max(f.Denominator, 1)) < uint64(f.Numerator)
}

// requestRandom is the number that a request id stands for: its first eight
// digits.
func requestRandom(id string) (uint64, bool) {
	if len(id) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(id[:8], 16, 64)
	return n, err == nil
}

// And, Or combine filters.
type (
	And []Filter
	Or  []Filter
)

// Match implements Filter.
func (f And) Match(w *event.Worker, i *streaminfo.Info) bool {
	for _, x := range f {
		if !x.Match(w, i) {
			return false
		}
	}
	return true
}

// Match implements Filter.
func (f Or) Match(w *event.Worker, i *streaminfo.Info) bool {
	for _, x := range f {
		if x.Match(w, i) {
			return true
		}
	}
	return false
}

// Header is header_filter.
type Header struct{ matcher.Header }

var noHeaders header.Map

// Match implements Filter.
func (f *Header) Match(_ *event.Worker, i *streaminfo.Info) bool {
	h := i.Request
	if h == nil {
		h = &noHeaders
	}
	return f.Header.Match(h)
}

// Flags is response_flag_filter; 0 is any flag.
type Flags struct{ Want fault.Flag }

// Match implements Filter.
func (f *Flags) Match(_ *event.Worker, i *streaminfo.Info) bool {
	if f.Want == 0 {
		return i.Flags != 0
	}
	return i.Flags&f.Want != 0
}

// GRPCStatus is grpc_status_filter.
type GRPCStatus struct {
	Codes   []int
	Exclude bool
}

// Match implements Filter.
func (f *GRPCStatus) Match(_ *event.Worker, i *streaminfo.Info) bool {
	code := 2
	found := false
	for _, h := range []*header.Map{i.Trailers, i.Response} {
		if h == nil || found {
			continue
		}
		if n, err := strconv.Atoi(h.GetID(header.GrpcStatus)); err == nil {
			code, found = n, true
		}
	}
	if !found {
		code = httpToGRPC(i.Code)
	}
	return slices.Contains(f.Codes, code) != f.Exclude
}

func httpToGRPC(status int) int {
	switch status {
	case 200:
		return 0
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	}
	return 2
}

// Metadata is metadata_filter: a value of the dynamic metadata.
type Metadata struct {
	Namespace string
	Path      []string
	Value     func(v any) bool
	Missing   bool // what an absent value gives
}

// Match implements Filter.
func (f *Metadata) Match(_ *event.Worker, i *streaminfo.Info) bool {
	var v any = i.Metadata[f.Namespace]
	if i.Metadata[f.Namespace] == nil {
		return f.Missing
	}
	for _, k := range f.Path {
		m, ok := v.(map[string]any)
		if !ok {
			return f.Missing
		}
		if v, ok = m[k]; !ok {
			return f.Missing
		}
	}
	return f.Value(v)
}

// LogType is log_type_filter.
type LogType struct {
	Types   []string
	Exclude bool
}

// Match implements Filter.
func (f *LogType) Match(_ *event.Worker, i *streaminfo.Info) bool {
	return slices.Contains(f.Types, i.LogType) != f.Exclude
}
