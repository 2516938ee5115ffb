// Package runtime is Envoy's layered runtime: keys with values that may change
// while the proxy runs, from static layers, directories, the admin interface
// and RTDS. Readers hold an immutable Snapshot behind one atomic pointer.
package runtime
