package listener

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// FilterStatus is what a listener filter's callback returns.
type FilterStatus uint8

// The statuses.
const (
	// FilterContinue: this filter is done, go on with the next.
	FilterContinue FilterStatus = iota
	// FilterWait: more bytes are needed; OnData is called when there are some.
	FilterWait
	// FilterClose: the connection is refused.
	FilterClose
)

// Filter looks at a connection before a filter chain is picked. It sees the
// first bytes without taking them. One instance serves one connection.
type Filter interface {
	// OnAccept is called first.
	OnAccept(c *Accepted) FilterStatus
	// OnData gets all bytes that have arrived so far; end says that no more
	// will come. Bytes are not consumed, unless the filter calls c.Consume.
	OnData(c *Accepted, peeked []byte, end bool) FilterStatus
	// MaxBytes is how many bytes the filter ever wants to see.
	MaxBytes() int
}

// FilterFactory makes a configured filter for each connection; it is called on
// any worker.
type FilterFactory interface {
	NewFilter(w *event.Worker) Filter
}

// Accepted is a connection that has no filter chain yet.
type Accepted struct {
	Worker  *event.Worker
	Info    network.Info
	FD      int
	consume int
}

// Consume takes the first n of the peeked bytes away from whoever serves the
// connection (a PROXY header).
func (a *Accepted) Consume(n int) { a.consume = n }
