// Package directresponse is the network filter that sends fixed bytes and
// closes.
// Source: envoy.extensions.filters.network.direct_response.v3.
package directresponse

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// Factory makes a filter for each connection.
type Factory struct{ Response []byte }

// AddFilters implements network.FilterFactory.
func (f *Factory) AddFilters(m network.FilterManager) { m.AddReadFilter(&filter{f: f}) }

type filter struct {
	f  *Factory
	cb network.ReadCallbacks
}

// InitRead implements network.ReadFilter.
func (f *filter) InitRead(cb network.ReadCallbacks) { f.cb = cb }

// OnNewConnection implements network.ReadFilter.
func (f *filter) OnNewConnection() network.FilterStatus {
	c := f.cb.Connection()
	if len(f.f.Response) > 0 {
		b := buffer.New(&c.Worker().Buffers)
		_, _ = b.Write(f.f.Response)
		c.Write(b, false)
	}
	c.Close(network.CloseFlush, "")
	return network.StopIteration
}

// OnData implements network.ReadFilter.
func (f *filter) OnData(b *buffer.Buffer, _ bool) network.FilterStatus {
	b.Drain(b.Len())
	return network.StopIteration
}
