// Package stream is the one contract between HTTP codecs and everything above
// them. HTTP/1.1, HTTP/2 and HTTP/3 implement it on both sides, so any of them
// translates to any other.
//
// Ownership: a header map that is given to a Decoder belongs to it from then on
// (it gives the map back to the worker's pool). A map that is given to an
// Encoder stays with the caller and may be changed by the codec. A buffer that
// is given to either side is drained by the callee; what it leaves is discarded
// by a codec, and kept by nobody.
//
// Everything runs on the connection's worker. A callback may reset the stream
// or close the connection that it is called from; codecs look again after each
// callback.
package stream
