// Package stats holds counters, gauges and histograms under Envoy's names.
//
// Names resolve to handles when configuration is compiled: a Schema lists the
// statistics of one kind of component, a Group is that schema under a prefix
// ("cluster.orders."). A handle is a small number; writing through it touches
// a slot of the caller's own Local and nothing else: no lock, no look-up, no
// memory that another worker writes. Reading sums the slots of all Locals.
//
// Names are put together only when they are read, so a statistic costs eight
// bytes for each Local that wrote to its page.
package stats
