package xdsserver

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Source gives the views.
type Source interface {
	// View is what a node is to have at present, nil as long as that is not
	// known, and a channel that is closed when it may be something else. It
	// is called from many goroutines, often.
	View(node *corev3.Node) (*View, <-chan struct{})
}

// Client is the other end of a stream.
type Client struct {
	// Stream is unique in the process.
	Stream    uint64
	Node      *corev3.Node
	Address   string
	Connected time.Time
}

// Observer is told of what clients say. Its methods must not block; calls
// about one stream come in order, those of others at the same time.
type Observer interface {
	Connected(Client)
	Status(Client, Status)
	Disconnected(Client)
}

// Stats counts what the server does, over all streams.
type Stats struct {
	Streams, Requests, Responses, Resources, Rejections atomic.Int64
}

// Config of a Server.
type Config struct {
	Source   Source
	Observer Observer
	// Identifier of the control plane, told to clients.
	Identifier string
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Server serves the discovery services.
type Server struct {
	// Set at construction.
	cfg Config

	// Shared by goroutines.
	stopping chan struct{} // closed by Stop
	spread   time.Duration // set before stopping is closed
	streams  atomic.Uint64
	stats    Stats
}

// New makes a server; Register puts it onto a gRPC server.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{cfg: cfg, stopping: make(chan struct{})}
}

// Stats are the counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Stop ends all streams, with UNAVAILABLE, and refuses new ones: clients go
// to another replica or come again. It or StopWithin must be called once.
func (s *Server) Stop() { s.StopWithin(0) }

// StopWithin is Stop for many clients: each stream ends at a random moment
// within spread, until which it is served, so that other replicas take the
// clients over one after the other. New streams are refused at once. It does
// not wait.
func (s *Server) StopWithin(spread time.Duration) {
	s.spread = spread
	close(s.stopping)
}

// errStopping tells a client to go elsewhere or to come again.
var errStopping = status.Error(codes.Unavailable, "the distributor is shutting down")

// ServerOptions are the options of the gRPC server that keep a client small.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ReadBufferSize(4 << 10), grpc.WriteBufferSize(8 << 10), grpc.SharedWriteBuffer(true),
		grpc.MaxRecvMsgSize(8 << 20), grpc.MaxConcurrentStreams(100),
	}
}

// wire is a stream of either variant.
type wire interface {
	Context() context.Context
	receive() (*Request, *corev3.Node, error)
	send(*Response) error
}

// serve runs one stream until it ends.
func (s *Server) serve(w wire, mode Mode, typeURL string) error {
	select {
	case <-s.stopping:
		return errStopping
	default:
	}
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	requests := make(chan *Request)
	ended := make(chan error, 1)
	first, node, err := w.receive()
	if err != nil {
		return err
	}
	if node.GetId() == "" {
		return status.Error(codes.InvalidArgument, "node.id is missing in the first request")
	}
	client := Client{Stream: s.streams.Add(1), Node: slim(node), Connected: s.cfg.Now()}
	if proto.Size(client.Node) > maxNode {
		return status.Errorf(codes.InvalidArgument, "the node, without its extensions, is larger than %d bytes", maxNode)
	}
	if p, ok := peer.FromContext(ctx); ok {
		client.Address = p.Addr.String()
	}
	s.stats.Streams.Add(1)
	s.cfg.Observer.Connected(client)
	defer func() {
		s.stats.Streams.Add(-1)
		s.cfg.Observer.Disconnected(client)
	}()
	go read(ctx, w, first, requests, ended)
	return s.loop(ctx, w, client, NewSession(mode, typeURL), requests, ended)
}

// maxNode bounds what is kept of a node, in bytes.
const maxNode = 64 << 10

// slim leaves out what is large and says nothing about what a client is to
// have: Envoy lists its hundreds of extensions.
func slim(n *corev3.Node) *corev3.Node {
	return &corev3.Node{Id: n.GetId(), Cluster: n.GetCluster(), Metadata: n.GetMetadata(), Locality: n.GetLocality(),
		UserAgentName: n.GetUserAgentName(), UserAgentVersionType: n.GetUserAgentVersionType()}
}

// read passes on what the client says until the stream ends.
func read(ctx context.Context, w wire, r *Request, requests chan<- *Request, ended chan<- error) {
	for {
		select {
		case requests <- r:
		case <-ctx.Done():
			return
		}
		var err error
		if r, _, err = w.receive(); err != nil {
			ended <- err
			return
		}
	}
}

func (s *Server) loop(ctx context.Context, w wire, client Client, session *Session, requests <-chan *Request, ended <-chan error) error {
	stopping := s.stopping
	var end <-chan time.Time
	for {
		view, next := s.cfg.Source.View(client.Node)
		for r := session.Next(view, s.cfg.Now()); r != nil; r = session.Next(view, s.cfg.Now()) {
			if err := w.send(r); err != nil {
				return err
			}
			s.stats.Responses.Add(1)
			s.stats.Resources.Add(int64(len(r.Resources)))
			// What was sent may be old by now; the newest is enough.
			view, next = s.cfg.Source.View(client.Node)
		}
		if st, changed := session.TakeStatus(); changed {
			s.cfg.Observer.Status(client, st)
		}
		var timeout <-chan time.Time
		if at := session.Deadline(); !at.IsZero() {
			timeout = time.After(at.Sub(s.cfg.Now()))
		}
		select {
		case <-next:
		case <-timeout:
		case r := <-requests:
			s.stats.Requests.Add(1)
			if r.Rejected {
				s.stats.Rejections.Add(1)
			}
			if err := session.Request(r, s.cfg.Now()); err != nil {
				return status.Error(codes.InvalidArgument, err.Error())
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil // it is done
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-stopping:
			if s.spread <= 0 {
				return errStopping
			}
			stopping, end = nil, time.After(rand.N(s.spread))
		case <-end:
			return errStopping
		}
	}
}
