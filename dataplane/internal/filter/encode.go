package filter

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/buffer"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
)

// Encode1xx passes an interim response.
func (m *Manager) Encode1xx(h *header.Map) {
	for i := m.n - 1; i >= 0 && !m.destroyed; i-- {
		if n := m.nodes[i]; n.encoder != nil && !n.disabled {
			n.encoder.Encode1xx(h)
		}
	}
	if !m.destroyed {
		m.host.Encode1xxToCodec(h)
	}
}

// EncodeHeaders begins the response.
func (m *Manager) EncodeHeaders(h *header.Map, end bool) {
	m.replied = true
	m.resp.h, m.resp.end, m.resp.begun = h, end, true
	m.encodeHeaders(m.n-1, end)
}

// EncodeData passes response data; b is drained, or its bytes are kept.
func (m *Manager) EncodeData(b *buffer.Buffer, end bool) {
	m.resp.end = m.resp.end || end
	m.encodeData(m.n-1, b, end)
	b.Drain(b.Len())
}

// EncodeTrailers ends the response.
func (m *Manager) EncodeTrailers(h *header.Map) {
	m.resp.end, m.resp.trailers = true, h
	m.encodeTrailers(m.n - 1)
}

func (m *Manager) encodeHeaders(i int, end bool) {
	for ; i >= 0 && !m.destroyed; i-- {
		n := m.nodes[i]
		if n.encoder == nil || n.disabled {
			n.encode.headers = true
			continue
		}
		s := n.encoder.EncodeHeaders(m.resp.h, end)
		if m.destroyed {
			return
		}
		switch s {
		case StopIteration:
			n.encode.pause = stopped
			return
		case StopAllAndBuffer:
			n.encode.pause = stoppedAllBuffer
			return
		case StopAllAndWatermark:
			n.encode.pause = stoppedAllWatermark
			return
		case ContinueAndDontEndStream:
			end = false
		}
		n.encode.headers = true
	}
	if !m.destroyed {
		m.host.EncodeHeadersToCodec(m.resp.h, end)
	}
}

func (m *Manager) encodeData(i int, b *buffer.Buffer, end bool) {
	for ; i >= 0 && !m.destroyed; i-- {
		n := m.nodes[i]
		if n.encoder == nil || n.disabled {
			continue
		}
		if n.encode.pause >= stoppedAllBuffer {
			m.hold(&m.resp, b, n.encode.pause == stoppedAllWatermark, false)
			return
		}
		s := n.encoder.EncodeData(b, end)
		if m.destroyed {
			return
		}
		if s != DataContinue {
			n.encode.pause = stopped
			if s != StopNoBuffer {
				m.hold(&m.resp, b, s == StopAndWatermark, false)
			}
			return
		}
		n.encode.pause = going
		if !n.encode.headers {
			n.encode.headers = true
			m.encodeHeaders(i-1, false)
			if m.destroyed {
				return
			}
		}
		if m.resp.data.Len() > 0 {
			b.MoveTo(&m.resp.data, b.Len())
			m.resp.data.MoveTo(b, m.resp.data.Len())
			m.resume(&m.resp)
		}
	}
	if !m.destroyed {
		m.host.EncodeDataToCodec(b, end)
	}
}

func (m *Manager) encodeTrailers(i int) {
	for ; i >= 0 && !m.destroyed; i-- {
		n := m.nodes[i]
		if n.encoder == nil || n.disabled {
			continue
		}
		if n.encode.pause >= stoppedAllBuffer {
			return
		}
		s := n.encoder.EncodeTrailers(m.resp.trailers)
		if m.destroyed {
			return
		}
		if s == TrailersStop {
			n.encode.pause = stopped
			return
		}
		n.encode.pause = going
		if !n.encode.headers {
			n.encode.headers = true
			m.encodeHeaders(i-1, false)
			if m.destroyed {
				return
			}
		}
		if m.resp.data.Len() > 0 {
			held := m.take(&m.resp)
			m.encodeData(i-1, held, false)
			held.Drain(held.Len())
			if m.destroyed {
				return
			}
		}
	}
	if !m.destroyed {
		m.host.EncodeTrailersToCodec(m.resp.trailers)
	}
}

// continueEncoding goes on after a filter that had stopped.
func (m *Manager) continueEncoding(n *node) {
	if m.destroyed || n.encode.pause == going {
		return
	}
	all := n.encode.pause >= stoppedAllBuffer
	n.encode.pause = going
	i := n.cb.index - 1
	if !n.encode.headers {
		n.encode.headers = true
		m.encodeHeaders(i, m.resp.end && m.resp.data.Len() == 0 && m.resp.trailers == nil)
		if m.destroyed {
			return
		}
	}
	from := i
	if all {
		from = n.cb.index
	}
	if m.resp.data.Len() > 0 {
		held := m.take(&m.resp)
		m.encodeData(from, held, m.resp.end && m.resp.trailers == nil)
		held.Drain(held.Len())
		if m.destroyed {
			return
		}
	}
	if m.resp.trailers != nil {
		m.encodeTrailers(from)
	}
}
