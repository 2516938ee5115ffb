package client

import (
	"context"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// GRPC is the transport of google_grpc: a channel of its own to one target.
type GRPC struct {
	conn *grpc.ClientConn
}

// NewGRPC returns a transport to target (google_grpc.target_uri). creds are
// channel_credentials.ssl_credentials; nil is no encryption.
func NewGRPC(target string, creds credentials.TransportCredentials) (*GRPC, error) {
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(1<<31-1)))
	if err != nil {
		return nil, fmt.Errorf("google_grpc target %q: %w", target, err)
	}
	return &GRPC{conn: c}, nil
}

// Close closes the channel; its streams end.
func (g *GRPC) Close() error { return g.conn.Close() }

// Open implements Transport.
func (g *GRPC) Open(method string, h StreamHandler) Stream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &grpcStream{cancel: cancel, handler: h, wake: make(chan struct{}, 1)}
	go s.run(ctx, g.conn, method)
	return s
}

// grpcStream moves messages between a stream and its user. Two goroutines
// belong to it: run receives, write sends.
type grpcStream struct {
	cancel  context.CancelFunc
	handler StreamHandler
	wake    chan struct{}

	mu     sync.Mutex
	queue  [][]byte
	closed bool
}

func (s *grpcStream) Send(message []byte) {
	s.mu.Lock()
	if !s.closed {
		s.queue = append(s.queue, message)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *grpcStream) Close() {
	s.mu.Lock()
	s.closed, s.queue = true, nil
	s.mu.Unlock()
	s.cancel()
}

// end tells the handler, unless the user has closed the stream.
func (s *grpcStream) end(err error) {
	s.mu.Lock()
	told := s.closed
	s.closed, s.queue = true, nil
	s.mu.Unlock()
	s.cancel()
	if !told {
		s.handler.OnEnd(err)
	}
}

func (s *grpcStream) run(ctx context.Context, conn *grpc.ClientConn, method string) {
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	cs, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		s.end(err)
		return
	}
	go s.write(ctx, cs)
	for {
		var m []byte
		if err := cs.RecvMsg(&m); err != nil {
			if err == io.EOF {
				err = fmt.Errorf("the server ended the stream: %w", err)
			}
			s.end(err)
			return
		}
		s.handler.OnMessage(m)
	}
}

func (s *grpcStream) write(ctx context.Context, cs grpc.ClientStream) {
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, m := range queue {
			if cs.SendMsg(m) != nil {
				return // RecvMsg tells why
			}
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// rawCodec passes serialized messages through.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
