// Package client gets configuration over xDS v3 and hands it on as raw
// resources.
//
// A Mux is one stream to a control plane, aggregated (ADS) or of one type, in
// delta or state of the world; it runs over a Transport, of which there are
// two: GRPC (google_grpc) and whatever the composition root makes of its
// clusters (envoy_grpc). A File is path_config_source. Both are a Source: who
// wants resources subscribes a Handler and answers with what it refuses, which
// becomes the NACK.
//
// Everything happens on one Loop, the control goroutine of configuration,
// never on a worker: Handlers are called there, and the methods of Mux, File
// and Subscription are called there.
//
// Guarantees: every response is answered once, with ACK or NACK, unless a later
// one of its type comes while answers are paused (state of the world: the
// latest answer stands for all). Requests of one turn of the loop are put
// together. On ADS the types are asked for in the order CDS, EDS, LDS, RDS.
// After a lost stream the subscriptions are renewed with what is known, after
// a back-off with jitter; what was received stays in force. A Cache keeps the
// last accepted resources on disk for a start without a control plane.
//
// Limits: xdstp names are passed as plain names; REST is refused by
// configuration; on-demand types (VHDS, ODCDS) are not offered.
package client
