// Package h1 is HTTP/1.1 (RFC 9112) on both sides: an incremental parser that
// may be fed at any byte boundary, and encoders that write into the
// connection's buffer. In steady state it allocates nothing.
//
// It is as strict, and as lenient, as Envoy 1.40: Content-Length together with
// Transfer-Encoding, repeated or odd lengths, transfer codings other than
// exactly "chunked", odd bytes in names, targets and hosts, and chunk-size lines
// that end in a bare LF are refused; a bare LF as a line end, obs-fold, CR inside
// of a value and anything in chunk extensions are read (and never passed on).
// What is passed on is always unambiguous: one length or one "chunked", lines
// that end in CRLF, values without CR and LF.
//
// It is stricter than Envoy in three places: a length or coding with a CR in it
// is refused (Envoy 1.40 reads a request whose coding is "chun\rked" as one
// without a body), chunk extensions end at 16 KiB, and statuses have three or
// four digits.
//
// A server's stream opens with the first byte of a request. A stream becomes a
// tunnel, bytes without framing both ways, with a 101 that the request asked for
// or a 2xx for CONNECT.
package h1
