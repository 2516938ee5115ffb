package h2

import (
	"encoding/binary"

	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// preface is what a client sends first (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	frameHeaderLen  = 9
	defaultWindow   = 65535
	maxWindow       = 1<<31 - 1
	maxStreamID     = 1<<31 - 1
	minMaxFrameSize = 16384
	maxMaxFrameSize = 1<<24 - 1
)

type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// errorCode is an error code of RFC 9113 section 7.
type errorCode uint32

const (
	codeNone errorCode = iota
	codeProtocol
	codeInternal
	codeFlowControl
	codeSettingsTimeout
	codeStreamClosed
	codeFrameSize
	codeRefused
	codeCancel
	codeCompression
	codeConnect
	codeEnhanceYourCalm
	codeInadequateSecurity
	codeHTTP11Required
)

// The settings of RFC 9113 section 6.5.2 and RFC 8441.
const (
	settingTableSize     = 1
	settingEnablePush    = 2
	settingMaxStreams    = 3
	settingInitialWindow = 4
	settingMaxFrameSize  = 5
	settingMaxHeaderList = 6
	settingConnect       = 8
)

// frameHeader is the fixed part of every frame (RFC 9113 section 4.1).
type frameHeader struct {
	typ    frameType
	flags  uint8
	id     uint32
	length int
}

func (f *frameHeader) parse(p *[frameHeaderLen]byte) {
	f.length = int(p[0])<<16 | int(p[1])<<8 | int(p[2])
	f.typ = frameType(p[3])
	f.flags = p[4]
	f.id = binary.BigEndian.Uint32(p[5:]) & maxStreamID
}

func (f *frameHeader) has(flag uint8) bool { return f.flags&flag != 0 }

func writeFrameHeader(b *buffer.Buffer, typ frameType, flags uint8, id uint32, length int) {
	p := b.Reserve(frameHeaderLen)
	p[0], p[1], p[2] = byte(length>>16), byte(length>>8), byte(length)
	p[3], p[4] = byte(typ), flags
	binary.BigEndian.PutUint32(p[5:9], id)
	b.Commit(frameHeaderLen)
}

func writeUint32(b *buffer.Buffer, v uint32) {
	binary.BigEndian.PutUint32(b.Reserve(4), v)
	b.Commit(4)
}

func writeSetting(b *buffer.Buffer, id uint16, v uint32) {
	p := b.Reserve(6)
	binary.BigEndian.PutUint16(p, id)
	binary.BigEndian.PutUint32(p[2:], v)
	b.Commit(6)
}

// codeOf is the code that a local reset is sent with.
func codeOf(r stream.ResetReason) errorCode {
	switch r {
	case stream.LocalRefused:
		return codeRefused
	case stream.ConnectError:
		return codeConnect
	case stream.ProtocolError:
		return codeProtocol
	}
	return codeInternal
}

// reasonOf is what the peer's RST_STREAM means to the stream, and the detail.
func reasonOf(c errorCode) (stream.ResetReason, string) {
	switch c {
	case codeRefused:
		return stream.RemoteRefused, detailRemoteRefuse
	case codeConnect:
		return stream.ConnectError, detailRemoteReset
	}
	return stream.RemoteReset, detailRemoteReset
}
