package h2

import (
	"golang.org/x/net/http2/hpack"

	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// maxEncoderTable bounds our compression table whatever the peer offers, in
// bytes as RFC 7541 section 4.1 counts them.
const maxEncoderTable = 4096

// entryOverhead is what RFC 7541 adds to the size of each entry.
const entryOverhead = 32

// compressor writes header blocks (RFC 7541). It is our own because the values
// it is given live only as long as their map: an entry copies them into memory
// that is used again for later entries, so that nothing is allocated once the
// table is full. Huffman coding is golang.org/x/net's.
type compressor struct {
	entries []tableEntry // a ring
	hashes  []uint32     // of name and value, beside entries
	newest  int          // place of the newest entry
	n       int          // entries in use
	size    int
	max     int
	// A change of max that the peer must be told of, smallest first (section 4.2).
	announce      bool
	announceFirst int // -1: none
}

type tableEntry struct {
	bytes   []byte // name, then value
	nameLen int
}

func newCompressor() compressor { return compressor{max: maxEncoderTable, announceFirst: -1} }

// setMax follows the peer's SETTINGS_HEADER_TABLE_SIZE.
func (c *compressor) setMax(peer uint32) {
	m := int(min(peer, maxEncoderTable))
	if m == c.max {
		return
	}
	if m < c.max && (c.announceFirst < 0 || m < c.announceFirst) {
		c.announceFirst = m
	}
	c.max, c.announce = m, true
	c.evict(0)
}

// begin starts a block.
func (c *compressor) begin(dst []byte) []byte {
	if !c.announce {
		return dst
	}
	if c.announceFirst >= 0 && c.announceFirst < c.max {
		// Down and up again. To 0 instead of the lower size, because some
		// decoders take a second change only while their table is empty.
		c.n, c.size = 0, 0
		dst = append(dst, 0x20)
	}
	c.announce, c.announceFirst = false, -1
	return appendInt(dst, 0x20, 5, uint64(c.max))
}

// field appends one header line.
func (c *compressor) field(dst []byte, id header.ID, name, value string) []byte {
	static, exact := staticIndex(id, name, value)
	if exact {
		return appendInt(dst, 0x80, 7, uint64(static))
	}
	mode := indexing(id, value)
	if mode != indexed {
		if static == 0 {
			static = c.findName(name)
		}
		return appendLiteral(dst, byte(mode), 4, static, name, value)
	}
	h := hashField(name, value)
	if i := c.find(h, name, value); i > 0 {
		return appendInt(dst, 0x80, 7, uint64(i))
	}
	if static == 0 {
		static = c.findName(name)
	}
	if size := len(name) + len(value) + entryOverhead; size <= c.max*3/4 {
		dst = appendLiteral(dst, 0x40, 6, static, name, value)
		c.add(h, name, value, size)
		return dst
	}
	return appendLiteral(dst, byte(plain), 4, static, name, value)
}

type indexMode byte

const (
	plain   indexMode = 0x00
	never   indexMode = 0x10
	indexed indexMode = 0x40
)

// indexing keeps values that differ from message to message out of the table,
// and secrets out of every table on the way (RFC 7541 section 7.1.3).
func indexing(id header.ID, value string) indexMode {
	switch id {
	case header.Path, header.ContentLength, header.SetCookie, header.Location, header.XRequestID,
		header.EnvoyUpstreamServiceTime, header.GrpcMessage:
		return plain
	case header.Authorization:
		return never
	case header.Cookie:
		if len(value) < 20 {
			return never
		}
	}
	return indexed
}

func appendLiteral(dst []byte, first byte, prefix uint, nameIndex int, name, value string) []byte {
	dst = appendInt(dst, first, prefix, uint64(nameIndex))
	if nameIndex == 0 {
		dst = appendString(dst, name)
	}
	return appendString(dst, value)
}

func appendString(dst []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		dst = appendInt(dst, 0x80, 7, n)
		return hpack.AppendHuffmanString(dst, s)
	}
	dst = appendInt(dst, 0, 7, uint64(len(s)))
	return append(dst, s...)
}

// appendInt is RFC 7541 section 5.1.
func appendInt(dst []byte, first byte, prefix uint, v uint64) []byte {
	limit := uint64(1)<<prefix - 1
	if v < limit {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(limit))
	for v -= limit; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// hashField tells most lines apart by their lengths and ends; find compares
// the rest.
func hashField(name, value string) uint32 {
	h := uint32(2166136261) ^ uint32(len(name))<<16 ^ uint32(len(value))
	h = hashEnds(h, name)
	return hashEnds(h, value)
}

func hashEnds(h uint32, s string) uint32 {
	for i := range min(len(s), 4) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	for i := max(len(s)-4, 4); i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// find returns the index (RFC 7541 section 2.3.3) of an entry, or 0.
func (c *compressor) find(h uint32, name, value string) int {
	for age := range c.n {
		i := c.place(age)
		if c.hashes[i] != h {
			continue
		}
		if e := &c.entries[i]; string(e.bytes[:e.nameLen]) == name && string(e.bytes[e.nameLen:]) == value {
			return staticEntries + 1 + age
		}
	}
	return 0
}

func (c *compressor) findName(name string) int {
	for age := range c.n {
		if e := &c.entries[c.place(age)]; e.nameLen == len(name) && string(e.bytes[:e.nameLen]) == name {
			return staticEntries + 1 + age
		}
	}
	return 0
}

// place is where the entry of an age (0 is the newest) stands.
func (c *compressor) place(age int) int {
	i := c.newest - age
	if i < 0 {
		i += len(c.entries)
	}
	return i
}

func (c *compressor) add(h uint32, name, value string, size int) {
	c.evict(size)
	if c.n == len(c.entries) {
		c.grow()
	}
	if c.newest++; c.newest >= len(c.entries) {
		c.newest = 0
	}
	e := &c.entries[c.newest]
	e.bytes = append(append(e.bytes[:0], name...), value...)
	e.nameLen = len(name)
	c.hashes[c.newest] = h
	c.n++
	c.size += size
}

func (c *compressor) evict(room int) {
	for c.n > 0 && c.size+room > c.max {
		e := &c.entries[c.place(c.n-1)]
		c.size -= len(e.bytes) + entryOverhead
		c.n--
	}
}

func (c *compressor) grow() {
	next := max(16, 2*len(c.entries))
	entries, hashes := make([]tableEntry, next), make([]uint32, next)
	for age := range c.n { // oldest first
		i := c.place(c.n - 1 - age)
		entries[age], hashes[age] = c.entries[i], c.hashes[i]
	}
	c.newest = c.n - 1
	if c.n == 0 {
		c.newest = next - 1
	}
	c.entries, c.hashes = entries, hashes
}
