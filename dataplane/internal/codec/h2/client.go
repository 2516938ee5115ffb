package h2

import (
	"errors"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// Client is the client side of one connection; it implements
// stream.ClientCodec.
type Client struct {
	conn
	cb     stream.ClientCallbacks
	nextID uint32
	free   *clientStream
	nFree  int
}

// NewClient returns the codec of an outgoing connection, which need not be
// established yet; prior knowledge or ALPN has settled that it speaks HTTP/2.
// Zero values in o get Envoy's defaults; st may be nil.
func NewClient(nc network.Connection, o config.HTTP2Options, st *Stats, cb stream.ClientCallbacks) *Client {
	c := &Client{cb: cb, nextID: 1}
	c.conn.init(nc, o, st, false)
	c.conn.cli = c
	c.st.upstreamConns.Inc(c.local)
	c.out.WriteString(preface)
	c.openSettings()
	c.giveInitialWindow()
	c.kick()
	return c
}

// clientStream adds the request encoder to a stream.
type clientStream struct {
	strm
	nextFree *clientStream
}

// NewStream implements stream.ClientCodec. The stream has no number before its
// headers are encoded.
func (c *Client) NewStream(d stream.ResponseDecoder) stream.RequestEncoder {
	cs := c.free
	if cs != nil {
		c.free, cs.nextFree = cs.nextFree, nil
		c.nFree--
	} else {
		cs = new(clientStream)
	}
	s := &cs.strm
	s.init(&c.conn, 0)
	s.dec, s.interim, s.client = d, d, cs
	if c.dead {
		s.closed = true
		return cs
	}
	c.link(s)
	c.pingIfIdle()
	return cs
}

// The reasons for which a request cannot be sent.
var (
	errNoMethod    = errors.New("missing required header: :method")
	errNoPath      = errors.New("missing required header: :path")
	errNoAuthority = errors.New("missing required header: :authority")
	errNoStream    = errors.New("http2 connection takes no more streams")
)

// EncodeHeaders implements stream.RequestEncoder.
func (s *clientStream) EncodeHeaders(h *header.Map, end bool) error {
	c := s.c.cli
	if s.closed || c.dead || s.sendPhase != sendIdle || c.nextID > maxStreamID {
		return errNoStream
	}
	method := h.GetID(header.Method)
	connect := method == "CONNECT"
	switch {
	case method == "":
		return errNoMethod
	case !connect && h.GetID(header.Path) == "":
		return errNoPath
	case connect && !h.HasID(header.Authority) && !h.HasID(header.Host):
		return errNoAuthority
	}
	s.noBody = method == "HEAD"
	s.upgrade.encodeRequest(h, connect)
	s.id = c.nextID
	c.nextID += 2
	c.open(&s.strm)
	s.sendPhase = sendBody
	if end {
		s.sendPhase = sendEnded
	}
	c.writeHeaders(&s.strm, h, end)
	if end {
		c.localEnd(&s.strm)
	}
	if c.nextID > maxStreamID && !c.sawGoAway {
		c.sawGoAway = true
		c.cb.OnGoAway(true)
	}
	return nil
}
