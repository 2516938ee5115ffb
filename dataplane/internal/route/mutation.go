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
	for k := range add {
		scratch = add[k].apply(h, i, scratch[:0])
	}
	return scratch
}

func (o *HeaderOp) apply(h *header.Map, i *streaminfo.Info, scratch []byte) []byte {
	value := o.Text
	if o.Value != nil {
		scratch = o.Value.Append(scratch, i)
		value = string(scratch)
	}
	if value == "" && !o.KeepEmpty {
		return scratch
	}
	name := o.Name
	if name == "host" {
		name = ":authority"
	}
	switch o.Action {
	case config.AppendIfExistsOrAdd:
		if name[0] == ':' {
			h.Set(name, value)
		} else {
			h.Add(name, value)
		}
	case config.AddIfAbsent:
		if !h.Has(name) {
			h.Add(name, value)
		}
	case config.OverwriteIfExistsOrAdd:
		h.Set(name, value)
	case config.OverwriteIfExists:
		if h.Has(name) {
			h.Set(name, value)
		}
	}
	return scratch
}

// levels calls f for the mutations that apply to a match, in order.
func (m *Match) levels(f func(*Mutation)) {
	specificFirst := m.Table == nil || !m.Table.MostSpecificWins
	var order [4]*Mutation
	n := 0
	if m.Cluster != nil {
		order[n] = &m.Cluster.Mutation
		n++
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
