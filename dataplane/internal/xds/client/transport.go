package client

// Transport opens bidirectional gRPC streams of serialized messages. Its
// implementations: GRPC (google_grpc), and one over the cluster manager
// (envoy_grpc).
type Transport interface {
	// Open starts a stream of a method ("/package.Service/Method"). What
	// happens to it is told through h, from any goroutine, in order, never
	// before Open returns on the same goroutine.
	Open(method string, h StreamHandler) Stream
}

// Stream is one stream. Its methods do not block and may be called by one
// goroutine at a time.
type Stream interface {
	// Send sends one message; a stream that has ended ignores it.
	Send(message []byte)
	// Close ends the stream; its handler is not called for it.
	Close()
}

// StreamHandler gets what happens to a stream.
type StreamHandler interface {
	// OnMessage hands over one message.
	OnMessage(message []byte)
	// OnEnd is the last call: the stream was ended by the peer or has failed.
	OnEnd(err error)
}
