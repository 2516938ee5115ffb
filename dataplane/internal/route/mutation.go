package route

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Value is a header value that is evaluated for each stream (a compiled
// format).
type Value interface {
	Append(b []byte, i *streaminfo.Info) []byte
}

// HeaderOp sets or adds one header.
type HeaderOp struct {
	Name      string // lower case
	Text      string // when Value is nil
	Value     Value
	Action    config.AppendAction
	KeepEmpty bool
}

// Mutation is what one level of a route configuration does to headers.
type Mutation struct {
	RequestAdd, ResponseAdd       []HeaderOp
	RequestRemove, ResponseRemove []string
}

// Apply runs additions and removals over headers. scratch is for evaluated
// values.
func Apply(h *header.Map, remove []string, add []HeaderOp, i *streaminfo.Info, scratch []byte) []byte {
	for _, n := range remove {
		if n == "host" {
			continue
		}
		h.Remove(n)
	}
	if len(add) == 0 {
		return scratch
	}
	// All values are made of the headers as they came; then headers are
	// overwritten, and only then added (Envoy's HeaderParser).
	var room [8]pending
	todo := room[:0]
	for k := range add {
		o := &add[k]
		value := o.Text
		if o.Value != nil {
			scratch = o.Value.Append(scratch[:0], i)
			value = string(scratch)
		}
		if (value != "" || o.KeepEmpty) && o.applies(h) {
			todo = append(todo, pending{o, value})
		}
	}
	for _, x := range todo {
		if x.op.overwrites() {
			h.Set(x.op.field(), x.value)
		}
	}
	for _, x := range todo {
		if !x.op.overwrites() {
			h.Add(x.op.field(), x.value)
		}
	}
	return scratch
}

// pending is an evaluated addition.
type pending struct {
	op    *HeaderOp
	value string
}

// field is the header's name in a map.
func (o *HeaderOp) field() string {
	if o.Name == "host" {
		return ":authority"
	}
	return o.Name
}

// applies says whether the operation does anything to these headers.
func (o *HeaderOp) applies(h *header.Map) bool {
	switch o.Action {
	case config.AddIfAbsent:
		return !h.Has(o.field())
	case config.OverwriteIfExists:
		return h.Has(o.field())
	}
	return true
}

func (o *HeaderOp) overwrites() bool {
	return o.Action == config.OverwriteIfExists || o.Action == config.OverwriteIfExistsOrAdd ||
		o.Action == config.AppendIfExistsOrAdd && o.field()[0] == ':'
}

// levels calls f for the mutations that apply to a match, in order: the
// weighted cluster's first, then route, virtual host and configuration or the
// other way round (most_specific_header_mutations_wins).
func (m *Match) levels(f func(*Mutation)) {
	specificFirst := m.Table == nil || !m.Table.MostSpecificWins
	var order [3]*Mutation
	n := 0
	if m.Cluster != nil {
		f(&m.Cluster.Mutation)
	}
	if m.Route != nil {
		order[n] = &m.Route.Mutation
		n++
	}
	if m.Host != nil {
		order[n] = &m.Host.Mutation
		n++
	}
	if m.Table != nil {
		order[n] = &m.Table.Mutation
		n++
	}
	for k := range n {
		if specificFirst {
			f(order[k])
		} else {
			f(order[n-1-k])
		}
	}
}

// MutateRequest applies the request mutations of all levels.
func (m *Match) MutateRequest(h *header.Map, i *streaminfo.Info) {
	var scratch []byte
	m.levels(func(x *Mutation) {
		if len(x.RequestAdd)+len(x.RequestRemove) > 0 {
			scratch = Apply(h, x.RequestRemove, x.RequestAdd, i, scratch)
		}
	})
}

// MutateResponse applies the response mutations of all levels.
func (m *Match) MutateResponse(h *header.Map, i *streaminfo.Info) {
	var scratch []byte
	m.levels(func(x *Mutation) {
		if len(x.ResponseAdd)+len(x.ResponseRemove) > 0 {
			scratch = Apply(h, x.ResponseRemove, x.ResponseAdd, i, scratch)
		}
	})
}
