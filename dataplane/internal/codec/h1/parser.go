package h1

import (
	"bytes"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// phase is where in a message the parser stands.
type phase uint8

const (
	startLine phase = iota
	headers
	fixedBody
	chunkSize
	chunkData
	chunkEnd
	trailers
	untilClose
	raw // after an upgrade: bytes without framing
	done
)

// framing is how a body ends.
type framing uint8

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// sink is the side of a codec that a parser feeds.
type sink interface {
	// startLine parses a request or status line.
	startLine(line []byte) error
	// head gets the complete headers and says how the body ends.
	head() (framing, uint64, error)
	// body gets the bytes of one dispatch; end is the end of the message.
	body(b *buffer.Buffer, end bool)
	// trailers gets the trailers, which end the message.
	trailers(h *header.Map)
}

// parser reads one message after the other.
type parser struct {
	opts    *config.HTTP1Options
	stats   *Stats
	local   *stats.Local
	pool    *header.Pool
	sink    sink
	phase   phase
	h       *header.Map   // being filled
	line    []byte        // a line that spans blocks
	tail    []byte        // blanks at the end of the last value
	fold    bool          // the value of the last header line may go on
	size    int           // bytes of the head or the trailers
	left    uint64        // bytes of the body or the chunk
	data    buffer.Buffer // body bytes of this dispatch
	dropped bool          // the last header line was dropped (underscores)
	// emptyLines says whether empty lines may stand before a message.
	emptyLines bool
	// limit is how large a head may be, in bytes.
	limit int
	// maxLines is how many lines h may have, pseudo-headers included.
	maxLines int
}

// reset prepares for the next message.
func (p *parser) reset() {
	p.phase, p.size, p.fold, p.left = startLine, 0, false, 0
	p.line = p.line[:0]
	if p.h != nil {
		p.pool.Put(p.h)
		p.h = nil
	}
}

// within says whether a message has begun and must go on.
func (p *parser) within() bool {
	return p.phase == startLine && p.size > 0 || p.phase > startLine && p.phase < untilClose
}

// parse consumes from b until it needs more or the message is complete.
func (p *parser) parse(b *buffer.Buffer) error {
	for p.phase != done {
		var more bool
		var err error
		switch p.phase {
		case startLine, headers, chunkSize, trailers:
			more, err = p.parseLine(b)
		case chunkEnd:
			more, err = p.parseChunkEnd(b)
		default:
			more = p.parseBody(b)
		}
		if err != nil {
			p.data.Drain(p.data.Len())
			return err
		}
		if more {
			break
		}
	}
	if p.data.Len() > 0 {
		p.sink.body(&p.data, false)
		p.data.Drain(p.data.Len())
	}
	return nil
}

// parseLine takes one line, which ends in LF.
func (p *parser) parseLine(b *buffer.Buffer) (more bool, err error) {
	front := b.Front()
	if front == nil {
		return true, nil
	}
	i := bytes.IndexByte(front, '\n')
	if i < 0 {
		p.size += len(front)
		if p.size > p.limit {
			return false, p.tooLarge()
		}
		p.line = append(p.line, front...)
		b.Drain(len(front))
		return b.Len() == 0, nil
	}
	p.size += i + 1
	if p.size > p.limit {
		return false, p.tooLarge()
	}
	if len(p.line) > 0 {
		p.line = append(p.line, front[:i]...)
		b.Drain(i + 1)
		err = p.checked(p.line)
		p.line = p.line[:0]
		if cap(p.line) > 4096 {
			p.line = nil // an idle connection keeps nothing large
		}
		return false, err
	}
	err = p.checked(front[:i])
	b.Drain(i + 1)
	return false, err
}

func (p *parser) tooLarge() error {
	switch p.phase {
	case chunkSize:
		return errCodec
	}
	return errTooLarge
}

// checked is takeLine, but says of a line of the head that holds a control
// character just that, as Envoy does, whatever else is wrong with it.
func (p *parser) checked(line []byte) error {
	err := p.takeLine(line)
	if err == errCodec && (p.phase == headers || p.phase == startLine && bytes.IndexByte(line, ' ') > 0) {
		for _, c := range line {
			if class[c]&controlByte != 0 {
				return errCharacters
			}
		}
	}
	return err
}

// takeLine processes a line without its LF.
func (p *parser) takeLine(line []byte) error {
	switch p.phase {
	case startLine:
		if len(trim(line)) == 0 {
			if !p.emptyLines {
				return errCodec
			}
			p.size = 0
			return nil // RFC 9112 section 2.2: empty lines before a request
		}
		for len(line) > 0 && line[0] == '\r' {
			line = line[1:]
		}
		p.h = p.pool.Get()
		if err := p.sink.startLine(line); err != nil {
			return err
		}
		p.phase = headers
		p.fold = false
		p.maxLines = p.h.Len() + int(p.opts.MaxHeaders)
		return nil
	case chunkSize:
		return p.takeChunkSize(line)
	}
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		if p.phase == trailers {
			p.endTrailers()
			return nil
		}
		return p.endHead()
	}
	return p.takeField(line)
}

// takeField parses one header or trailer line (RFC 9112 section 5).
func (p *parser) takeField(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' {
		return p.takeFold(line)
	}
	colon, underscore := 0, false
	for ; colon < len(line); colon++ {
		c := line[colon]
		k := class[c] & (tokenByte | upperByte | underscoreByte)
		if k == tokenByte {
			continue
		}
		if k&tokenByte == 0 {
			break
		}
		if k&upperByte != 0 {
			line[colon] = c | 0x20
		} else {
			underscore = true
		}
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return errCodec
	}
	name, value := line[:colon], line[colon+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t' || value[0] == '\r') {
		value = value[1:]
	}
	p.fold, p.dropped = true, false
	p.tail = p.tail[:0]
	if framingName(name) && bytes.IndexByte(trim(value), '\r') >= 0 {
		return errCodec // others may read another length, or another coding
	}
	value, err := p.cleanValue(value)
	if err != nil {
		return err
	}
	if underscore && p.opts.Underscores != config.AllowUnderscore {
		if p.opts.Underscores == config.RejectUnderscore {
			p.stats.rejectedUnderscore(p.local)
			return errUnderscore
		}
		p.stats.droppedUnderscore(p.local)
		p.dropped = true
		return nil
	}
	if p.h.Len() >= p.maxLines {
		return errTooMany
	}
	p.h.AddBytes(name, value)
	return nil
}

// takeFold appends a continuation line to the last value (obs-fold).
func (p *parser) takeFold(line []byte) error {
	if !p.fold {
		return errCodec
	}
	if p.opts.Strict {
		return errCodec
	}
	if p.dropped {
		return nil
	}
	before := len(p.tail)
	kept, err := p.cleanValue(line)
	if err != nil {
		return err
	}
	i := p.h.Len() - 1
	old := p.h.At(i).Value
	if len(kept) == 0 {
		return nil // only blanks, which count when more follows
	}
	tail := string(p.tail[:before])
	p.tail = append(p.tail[:0], p.tail[before:]...)
	if old == "" {
		tail, kept = "", trim(kept)
	}
	p.h.SetAt(i, old+tail+string(kept))
	return nil
}

// cleanValue returns a value without what must not be passed on: blanks at its
// end, which go to tail as they may stand before a continuation line, and bare
// CRs, which Envoy drops.
func (p *parser) cleanValue(value []byte) ([]byte, error) {
	n := len(value)
	for n > 0 && (value[n-1] == ' ' || value[n-1] == '\t' || value[n-1] == '\r') {
		n--
	}
	for _, c := range value[n:] {
		if c != '\r' {
			p.tail = append(p.tail, c)
		}
	}
	value = value[:n]
	for i, c := range value {
		if class[c]&valueByte == 0 {
			return dropCR(value, i)
		}
	}
	return value, nil
}

// framingName says whether a header decides how a body ends.
func framingName(name []byte) bool {
	return string(name) == "content-length" || string(name) == "transfer-encoding"
}

// dropCR is the slow half of cleanValue: byte i is not allowed in a value.
func dropCR(value []byte, i int) ([]byte, error) {
	k := i
	for _, c := range value[i:] {
		if c == '\r' {
			continue
		}
		if class[c]&valueByte == 0 {
			return nil, errCharacters
		}
		value[k] = c
		k++
	}
	return value[:k], nil
}

// endHead hands the head over and chooses how to read the body.
func (p *parser) endHead() error {
	f, n, err := p.sink.head()
	if err != nil {
		return err
	}
	p.h = nil
	p.fold = false
	switch f {
	case noBody:
		p.phase = done
	case byLength:
		p.left, p.phase = n, fixedBody
	case byChunks:
		p.size, p.phase = 0, chunkSize
	case byClose:
		p.phase = untilClose
	}
	return nil
}

// parseBody takes what belongs to the body.
func (p *parser) parseBody(b *buffer.Buffer) (more bool) {
	if b.Len() == 0 {
		return true
	}
	switch p.phase {
	case untilClose, raw:
		b.MoveTo(&p.data, b.Len())
		return true
	case fixedBody, chunkData:
		n := int(min(uint64(b.Len()), p.left))
		b.MoveTo(&p.data, n)
		p.left -= uint64(n)
		if p.left > 0 {
			return true
		}
		if p.phase == chunkData {
			p.phase = chunkEnd
			return false
		}
		p.phase = done
		p.sink.body(&p.data, true)
		p.data.Drain(p.data.Len())
	}
	return false
}

// maxChunkLine bounds a chunk-size line with its extensions, which are ignored.
const maxChunkLine = 16 << 10

// takeChunkSize parses a chunk-size line (RFC 9112 section 7.1), which must end
// in CRLF: a bare LF here is how desynchronisation attacks begin.
func (p *parser) takeChunkSize(line []byte) error {
	if len(line) == 0 || line[len(line)-1] != '\r' || len(line) > maxChunkLine {
		return errCodec
	}
	line = line[:len(line)-1]
	if bytes.IndexByte(line, '\r') >= 0 {
		return errCodec
	}
	var n uint64
	i := 0
	for ; i < len(line); i++ {
		c := line[i]
		var d uint64
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		default:
			if i == 0 || c != ';' && c != ' ' && c != '\t' {
				return errCodec
			}
			goto digits
		}
		if n >= 1<<60 {
			return errCodec
		}
		n = n<<4 | d
	}
digits:
	if i == 0 {
		return errCodec
	}
	// What follows is ignored, as Envoy does; it cannot hold a CR or LF.
	if rest := bytes.TrimLeft(line[i:], " \t"); p.opts.Strict && len(rest) > 0 && (rest[0] != ';' || !all(rest, valueByte)) {
		return errCodec
	}
	p.size = 0
	if n == 0 {
		p.h = p.pool.Get()
		p.maxLines = int(p.opts.MaxHeaders)
		p.phase = trailers
		p.fold = false
		return nil
	}
	p.left, p.phase = n, chunkData
	return nil
}

// parseChunkEnd takes the line end after a chunk's data.
func (p *parser) parseChunkEnd(b *buffer.Buffer) (more bool, err error) {
	front := b.Front()
	if front == nil {
		return true, nil
	}
	switch front[0] {
	case '\r':
		if p.left == 1 {
			return false, errCodec
		}
		p.left = 1 // seen
		b.Drain(1)
		return false, nil
	case '\n':
		if p.opts.Strict && p.left == 0 {
			return false, errCodec
		}
		p.left = 0
		b.Drain(1)
		p.phase = chunkSize
		return false, nil
	}
	if p.left == 1 || p.opts.Strict {
		return false, errCodec
	}
	// Envoy's parser skips what is left of the line.
	i := bytes.IndexByte(front, '\n')
	if i < 0 {
		b.Drain(len(front))
		return b.Len() == 0, nil
	}
	b.Drain(i + 1)
	p.phase = chunkSize
	return false, nil
}

// endTrailers ends a chunked message.
func (p *parser) endTrailers() {
	h := p.h
	p.h = nil
	p.phase = done
	if !p.opts.EnableTrailers || h.Len() == 0 {
		p.pool.Put(h)
		p.sink.body(&p.data, true)
		p.data.Drain(p.data.Len())
		return
	}
	if p.data.Len() > 0 {
		p.sink.body(&p.data, false)
		p.data.Drain(p.data.Len())
	}
	p.sink.trailers(h)
}
