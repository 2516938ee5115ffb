// Package decode turns Envoy's messages into the plain configuration of the
// rest of the program. It is where protobuf stops: names are resolved, regular
// expressions compiled, defaults filled in, extensions built.
//
// What is set and not supported is an error with the path of the field and its
// value (package support); so is what breaks the rules of a message. A Decoder
// has no state of its own; its methods may be called by any goroutine, as far
// as the factories of its Registry may.
package decode
