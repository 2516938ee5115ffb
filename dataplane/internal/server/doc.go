// Package server is the composition root of the proxy: it knows everybody, and
// nobody knows it. It builds the workers and the control side, decodes the
// bootstrap, starts things in order, and stops them in the opposite one.
//
// Order of a start: log, statistics, runtime · workers (not yet running) ·
// static clusters, DNS, health checks · CDS and EDS over xDS · listeners, LDS,
// RDS · workers run and accept · admin says LIVE. The admin interface answers
// from the beginning.
package server
