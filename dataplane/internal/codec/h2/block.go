package h2

import (
	"golang.org/x/net/http2/hpack"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// blockKind is what a header block is.
type blockKind uint8

const (
	blockRequest blockKind = iota
	blockResponse
	blockTrailers
)

// The pseudo-headers and others that a block has had.
const (
	sawMethod = 1 << iota
	sawPath
	sawScheme
	sawAuthority
	sawProtocol
	sawStatus
	sawHost
	sawRegular // a header that is no pseudo-header
)

// blockReader decompresses one header block at a time (RFC 9113 section 4.3).
type blockReader struct {
	decomp *hpack.Decoder

	blockOpen   bool // END_HEADERS is to come
	blockID     uint32
	blockEnd    bool // the block ends the message
	blockRefuse bool // too many streams: REFUSED_STREAM
	blockKind   blockKind
	blockStream *strm       // nil: decompressed and dropped
	blockMap    *header.Map // nil: likewise
	blockLen    int
	blockSaw    uint16
	blockBad    string // detail of a violation
	blockLimit  string // detail of a limit that was passed
	blockCL     int64  // content-length, -1: none
	status      int
	cookie      []byte
	cookies     int
}

// maxBlock is how many octets a header block may have: twice what its headers
// may, so that a list that is a little too long is refused as such.
func (c *conn) maxBlock() int { return 2*int(c.opt.MaxHeadersKiB)<<10 + 64<<10 }

// beginHeaders checks a HEADERS frame.
func (c *conn) beginHeaders() error {
	f := &c.f
	if f.id == 0 || f.id&1 == 0 || !c.server && c.idle(f.id) {
		return c.fail()
	}
	s := c.streams[f.id]
	if s != nil && s.recvPhase >= recvEnded || s == nil && c.recent.endedByPeer(f.id) {
		return c.failGoAway(codeStreamClosed)
	}
	if c.opt.Strict && c.server && s == nil && f.id <= c.lastPeerID && !c.recent.has(f.id) {
		return c.failGoAway(codeProtocol) // RFC 9113 section 5.1.1
	}
	c.blockID, c.blockEnd = f.id, f.has(flagEndStream)
	if !f.has(flagPadded) {
		if err := c.trackEmpty(f.length == 0 && !c.blockEnd, s); err != nil {
			return err
		}
	}
	if err := c.beginPadded(f.has(flagPriority)); err != nil || c.stage == stageFixed {
		return err
	}
	return c.openBlock()
}

func (c *conn) beginContinuation() error {
	if !c.blockOpen {
		return c.failGoAway(codeProtocol)
	}
	if err := c.trackEmpty(c.f.length == 0, c.blockStream); err != nil {
		return err
	}
	c.fragment, c.stage = c.left, stageFragment
	return nil
}

// openBlock starts a header block, and the stream when it is a new one.
func (c *conn) openBlock() error {
	c.blockOpen, c.blockRefuse = true, false
	c.blockLen, c.blockSaw, c.blockBad, c.blockLimit = 0, 0, "", ""
	c.blockCL, c.status, c.cookies, c.cookie = -1, 0, 0, c.cookie[:0]
	c.blockStream, c.blockMap = nil, nil
	id := c.f.id
	s := c.streams[id]
	switch {
	case s != nil && (c.server || s.recvPhase == recvBody):
		c.blockKind = blockTrailers
		c.st.trailers.Inc(c.local)
	case s != nil:
		c.blockKind = blockResponse
	case !c.server || !c.idle(id) || c.goAwaySent && id > c.goAwayID:
		c.st.headersNoStream.Inc(c.local)
		return nil // too late for the stream, or for the connection
	case c.active >= int(c.opt.MaxConcurrentStreams):
		if c.settingsAcked { // the peer knows the limit
			return c.fail()
		}
		c.lastPeerID = id
		c.blockRefuse = true
		return nil
	default:
		c.blockKind = blockRequest
		c.lastPeerID = id
		s = c.srv.newStream(id)
		if c.dead || s.closed {
			return nil
		}
	}
	if s.discard {
		c.blockStream = s
		return nil
	}
	c.blockStream, c.blockMap = s, c.w.Headers.Get()
	return nil
}

func (c *conn) dropBlock() {
	c.w.Headers.Put(c.blockMap)
	c.blockMap, c.blockStream = nil, nil
}

// blockBytes decompresses n octets of the block.
func (c *conn) blockBytes(b *buffer.Buffer, n int) error {
	if c.blockLen += n; c.blockLen > c.maxBlock() {
		return c.failGoAway(codeEnhanceYourCalm)
	}
	for n > 0 {
		p := b.Front()
		if len(p) > n {
			p = p[:n]
		}
		if _, err := c.decomp.Write(p); err != nil {
			return c.failGoAway(codeCompression)
		}
		n -= len(p)
		b.Drain(len(p))
	}
	return nil
}

// onField gets each line of the block from the decompressor, whose strings are
// never changed: the map refers to them.
func (c *conn) onField(f hpack.HeaderField) {
	m := c.blockMap
	if m == nil || c.blockBad != "" || c.blockLimit != "" {
		return
	}
	id := header.Lookup(f.Name)
	if !c.validField(id, f.Name, f.Value) {
		c.blockBad = detailInvalidField
		return
	}
	if m.ByteSize()+len(c.cookie)+len(f.Name)+len(f.Value) > int(c.opt.MaxHeadersKiB)<<10 {
		c.st.headerListTooLarge.Inc(c.local)
		c.blockLimit = detailListTooLarge
		return
	}
	if m.Len()+min(c.cookies, 1) >= int(c.opt.MaxHeaders) && (id != header.Cookie || c.cookies == 0) {
		c.st.headerOverflow.Inc(c.local)
		c.blockLimit = detailTooManyHeaders
		return
	}
	switch {
	case id == header.Cookie && c.server:
		c.cookies++
		if len(c.cookie) > 0 {
			c.cookie = append(c.cookie, "; "...)
		}
		c.cookie = append(c.cookie, f.Value...)
	case id == header.ContentLength && c.dropsLength():
	case id == header.Other && c.server && !c.underscore(f.Name):
	case id == header.Other:
		m.AddRef(f.Name, f.Value)
	default:
		m.AddIDRef(id, f.Value)
	}
}

// dropsLength says whether a response cannot have a content-length (RFC 9110
// section 8.6); nghttp2 takes it away.
func (c *conn) dropsLength() bool {
	return c.blockKind == blockResponse && (c.status == 204 || c.status < 200)
}

// underscore says whether a name passes headers_with_underscores_action.
func (c *conn) underscore(name string) bool {
	if c.opt.Underscores == 0 {
		return true
	}
	for i := range len(name) {
		if name[i] == '_' {
			return c.onUnderscore()
		}
	}
	return true
}

// endBlock acts on a complete header block.
func (c *conn) endBlock() error {
	c.blockOpen = false
	if err := c.decomp.Close(); err != nil {
		return c.failGoAway(codeCompression)
	}
	s, h := c.blockStream, c.blockMap
	c.blockStream, c.blockMap = nil, nil
	if s == nil {
		c.w.Headers.Put(h)
		if c.blockRefuse {
			c.writeReset(c.blockID, codeRefused)
		}
		return nil
	}
	s.meter.HeaderBytesReceived += uint64(c.blockLen)
	s.meter.WireBytesReceived += uint64(c.blockLen + frameHeaderLen)
	if s.discard || h == nil {
		c.w.Headers.Put(h)
		if c.blockEnd {
			s.recvPhase = recvSettled
			c.closeIfDone(s)
		}
		return nil
	}
	if c.cookies > 0 && len(c.cookie) > 0 {
		h.AddID(header.Cookie, view(c.cookie))
	}
	if c.blockLimit != "" {
		c.w.Headers.Put(h)
		s.setDetail(c.blockLimit)
		c.resetStream(s, codeInternal, stream.RemoteReset, s.detail)
		return nil
	}
	if c.blockBad == "" && !c.validBlock(s, h) {
		c.blockBad = detailMessaging
	}
	if c.blockBad != "" {
		c.w.Headers.Put(h)
		return c.badBlock(s)
	}
	c.deliverBlock(s, h)
	return nil
}

// badBlock handles a malformed message (RFC 9113 section 8.1.1): it costs the
// stream if so configured, and else the connection.
func (c *conn) badBlock(s *strm) error {
	c.st.messagingError.Inc(c.local)
	s.setDetail(c.blockBad)
	if !c.opt.OverrideStreamError {
		return c.fail()
	}
	c.resetStream(s, codeProtocol, stream.ProtocolError, s.detail)
	return nil
}

// deliverBlock passes a valid block on.
func (c *conn) deliverBlock(s *strm, h *header.Map) {
	end := c.blockEnd
	switch c.blockKind {
	case blockTrailers:
		if s.recvPhase = recvEnded; s.readDisabled > 0 || s.recv.Len() > 0 {
			s.recvTrailers = h
			return
		}
		s.recvPhase = recvSettled
		s.dec.DecodeTrailers(h)
	case blockResponse:
		if c.status < 200 {
			s.interim.Decode1xx(h)
			return
		}
		s.upgrade.decodeResponse(h)
		c.deliverHeaders(s, h, end)
	case blockRequest:
		s.upgrade.decodeRequest(h)
		c.deliverHeaders(s, h, end)
	}
	if !s.discard {
		c.closeIfDone(s)
	}
}

func (c *conn) deliverHeaders(s *strm, h *header.Map, end bool) {
	s.contentLen = c.blockCL
	s.recvPhase = recvBody
	if end {
		s.recvPhase = recvSettled
	}
	s.dec.DecodeHeaders(h, end)
}
