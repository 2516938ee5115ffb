// Package header holds the header map that every HTTP version shares: ordered,
// repeated names allowed, names in lower case, pseudo-headers (":method",
// ":path", ":authority", ":scheme", ":status", ":protocol") as ordinary
// entries in front of the others.
//
// Names and values are copied into memory that the map owns and reuses, so the
// steady state allocates nothing. Strings handed out by a map are valid until
// it is reset or released to its Pool; strings.Clone what must live longer.
package header
