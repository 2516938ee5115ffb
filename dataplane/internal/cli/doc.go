// Package cli reads the command line of the proxy, which is Envoy's: the same
// flags, defaults and exit codes. Flags of Envoy that mean nothing to this
// proxy (hot restart through shared memory, for example) are read and have no
// effect; their help says so.
package cli
