// Package echo is the network filter that sends back what it gets.
// Source: envoy.extensions.filters.network.echo.v3.
package echo

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// Factory makes a filter for each connection.
type Factory struct{}

// AddFilters implements network.FilterFactory.
func (Factory) AddFilters(m network.FilterManager) {
	m.Connection().EnableHalfClose(true)
	m.AddReadFilter(&filter{})
}

type filter struct{ cb network.ReadCallbacks }

// InitRead implements network.ReadFilter.
func (f *filter) InitRead(cb network.ReadCallbacks) { f.cb = cb }

// OnNewConnection implements network.ReadFilter.
func (f *filter) OnNewConnection() network.FilterStatus { return network.Continue }

// OnData implements network.ReadFilter.
func (f *filter) OnData(b *buffer.Buffer, end bool) network.FilterStatus {
	f.cb.Connection().Write(b, end)
	return network.StopIteration
}
