// Package h2 is the HTTP/2 stream layer (RFC 9113), server and client, behind
// the contract of package stream.
//
// Dispatch takes the peer's bytes as they come and works at any byte boundary:
// nothing is collected but a frame's header and the few octets of a control
// frame. Data moves on in blocks, header blocks go straight into the
// decompressor.
//
// Writing: headers are compressed at once, in the order of the calls; data
// waits in the stream and is sent at the end of the worker's turn, one frame a
// stream in turn, as the peer's windows and the connection's write buffer
// allow. Reading: windows are given back when the stream above takes data and
// is not read-disabled, so a slow consumer holds its peer back.
//
// Limits keep a hostile peer cheap: size and number of headers, octets of a
// header block, frames without payload, PRIORITY and WINDOW_UPDATE frames in
// proportion to what was asked for, streams at a time, stream resets a second,
// frames that wait to be sent. Each has Envoy's counter under "http2.".
//
// What Envoy 1.40 does where the RFC leaves a choice is followed: which
// violations end the stream and which the connection, and which of the latter
// are announced with GOAWAY. HEADERS for a stream below the highest one that
// was never opened are ignored, as in Envoy; the RFC makes that an error.
//
// Server push, METADATA frames and priorities are not implemented; PRIORITY is
// checked and ignored (RFC 9113 section 5.3.2).
package h2
