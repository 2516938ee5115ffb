// Package h1 is HTTP/1.1 (RFC 9112) on both sides: an incremental parser that
// may be fed at any byte boundary, and encoders that write into the
// connection's buffer. In steady state it allocates nothing.
//
// It is as strict, and as lenient, as Envoy 1.40: Content-Length together with
// Transfer-Encoding, repeated or odd lengths, transfer codings other than
// exactly "chunked", and odd bytes in names, targets and chunk sizes are
// refused; bare LF as a line end, obs-fold and CR inside of a value are read
// (and never passed on). What is passed on is always unambiguous: one length
// or one "chunked", lines that end in CRLF, values without CR and LF.
package h1
