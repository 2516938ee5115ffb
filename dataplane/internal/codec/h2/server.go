package h2

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// maxFreeStreams bounds the streams that a server keeps for later requests.
const maxFreeStreams = 64

// Server is the server side of one connection; it implements
// stream.ServerCodec.
type Server struct {
	conn
	cb    stream.ServerCallbacks
	free  *serverStream
	nFree int
}

// NewServer returns the codec of an accepted connection. Zero values in o get
// Envoy's defaults; st may be nil. The connection's owner passes on its
// watermark events and its close.
func NewServer(nc network.Connection, o config.HTTP2Options, st *Stats, cb stream.ServerCallbacks) *Server {
	s := &Server{cb: cb}
	s.conn.init(nc, o, st, true)
	s.conn.srv = s
	s.st.downstreamConns.Inc(s.local)
	s.openSettings()
	return s
}

// serverStream adds the response encoder to a stream.
type serverStream struct {
	strm
	nextFree *serverStream
}

func (c *Server) newStream(id uint32) *strm {
	ss := c.free
	if ss != nil {
		c.free, ss.nextFree = ss.nextFree, nil
		c.nFree--
	} else {
		ss = new(serverStream)
	}
	s := &ss.strm
	s.init(&c.conn, id)
	s.server = ss
	c.link(s)
	c.open(s)
	s.dec = c.cb.NewStream(ss)
	return s
}

// Encode1xx implements stream.ResponseEncoder.
func (s *serverStream) Encode1xx(h *header.Map) {
	if s.closed || s.sendPhase != sendIdle {
		return
	}
	s.c.writeHeaders(&s.strm, h, false)
}

// EncodeHeaders implements stream.ResponseEncoder.
func (s *serverStream) EncodeHeaders(h *header.Map, end bool) {
	if s.closed || s.sendPhase != sendIdle {
		return
	}
	s.upgrade.encodeResponse(h)
	s.sendPhase = sendBody
	if end {
		s.sendPhase = sendEnded
	}
	s.c.writeHeaders(&s.strm, h, end)
	if end {
		s.c.localEnd(&s.strm)
	}
}
