// Package listener accepts connections and gives each to the filter chain that
// matches it.
//
// The Manager is called on the control goroutine and owns the sockets; each
// worker has its own socket of a listener (SO_REUSEPORT) and its own copy of
// nothing but pointers. An update of the same addresses keeps the sockets, so
// that no connection attempt is lost; connections of filter chains that stayed
// the same are not touched, others drain.
package listener
