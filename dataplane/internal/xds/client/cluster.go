package client

import (
	"errors"
	"fmt"
)

// ClusterStreams starts gRPC streams on one cluster of the cluster manager; it
// is how envoy_grpc gets its balancing, TLS and statistics. It is called on
// one worker.
type ClusterStreams interface {
	// StartStream starts a stream of a method. It returns nil when there is no
	// such cluster or no host; then cb is not called.
	StartStream(method string, cb ClusterCallbacks) ClusterStream
}

// ClusterStream is one stream, on its worker.
type ClusterStream interface {
	// Send sends one message.
	Send(message []byte)
	// Reset ends the stream; its callbacks are not called afterwards.
	Reset()
}

// ClusterCallbacks gets what happens to a stream, on its worker.
type ClusterCallbacks interface {
	// OnMessage hands over one message, which is the callee's.
	OnMessage(message []byte)
	// OnClose is the last call; status is the gRPC status.
	OnClose(status int, message string)
}

// NewClusterTransport returns the transport of envoy_grpc. post runs a
// function on the worker that s belongs to, and says whether it will.
func NewClusterTransport(post func(func()) bool, s ClusterStreams) Transport {
	return &clusterTransport{post: post, streams: s}
}

type clusterTransport struct {
	post    func(func()) bool
	streams ClusterStreams
}

var (
	errNoStream = errors.New("the cluster of the control plane has no stream to offer")
	errStopped  = errors.New("the worker has stopped")
)

// Open implements Transport.
func (t *clusterTransport) Open(method string, h StreamHandler) Stream {
	s := &postedStream{post: t.post, handler: h}
	ok := t.post(func() {
		if s.ended {
			return
		}
		// An end that comes inside of StartStream is told by OnClose alone.
		st := t.streams.StartStream(method, s)
		if st == nil {
			s.end(errNoStream)
			return
		}
		if !s.ended {
			s.stream = st
		}
	})
	if !ok {
		h.OnEnd(errStopped)
	}
	return s
}

// postedStream brings calls to a stream's worker.
type postedStream struct {
	post    func(func()) bool
	handler StreamHandler

	// Owned by the worker.
	stream ClusterStream
	ended  bool
}

func (s *postedStream) Send(message []byte) {
	s.post(func() {
		if s.stream != nil {
			s.stream.Send(message)
		}
	})
}

func (s *postedStream) Close() {
	s.post(func() {
		s.ended = true
		if s.stream != nil {
			s.stream.Reset()
			s.stream = nil
		}
	})
}

// OnMessage implements ClusterCallbacks.
func (s *postedStream) OnMessage(message []byte) {
	if !s.ended {
		s.handler.OnMessage(message)
	}
}

// OnClose implements ClusterCallbacks.
func (s *postedStream) OnClose(status int, message string) {
	s.end(fmt.Errorf("gRPC status %d: %s", status, message))
}

func (s *postedStream) end(err error) {
	if s.ended {
		return
	}
	s.ended, s.stream = true, nil
	s.handler.OnEnd(err)
}
