package tls

import (
	"io"
	"net"
	"sync"
	"time"
)

// again is what reading without bytes gives once the handshake is done:
// crypto/tls keeps the state of its record layer for a temporary error.
type again struct{}

func (again) Error() string   { return "no more bytes yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// mem is the connection below crypto/tls. While it blocks, a goroutine reads
// and the worker feeds; afterwards only the worker uses it.
type mem struct {
	mu       sync.Mutex
	cond     *sync.Cond
	in       []byte
	at       int
	out      []byte
	blocking bool
	end      bool // no more bytes will come
	onWrite  func()
}

func newMem(onWrite func()) *mem {
	m := &mem{blocking: true, onWrite: onWrite}
	m.cond = sync.NewCond(&m.mu)
	return m
}

// feed adds bytes from the socket.
func (m *mem) feed(p []byte) {
	m.mu.Lock()
	if m.at == len(m.in) {
		m.in, m.at = m.in[:0], 0
	}
	m.in = append(m.in, p...)
	m.cond.Broadcast()
	m.mu.Unlock()
}

// finish says that no more bytes will come.
func (m *mem) finish() {
	m.mu.Lock()
	m.end = true
	m.cond.Broadcast()
	m.mu.Unlock()
}

// unblock makes reading return instead of waiting.
func (m *mem) unblock() {
	m.mu.Lock()
	m.blocking = false
	m.mu.Unlock()
}

// Read implements net.Conn.
func (m *mem) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.at == len(m.in) {
		if m.end {
			return 0, io.EOF
		}
		if !m.blocking {
			return 0, again{}
		}
		m.cond.Wait()
	}
	n := copy(p, m.in[m.at:])
	if m.at += n; m.at == len(m.in) {
		if cap(m.in) > 64<<10 {
			m.in = nil // an idle connection keeps nothing large
		}
		m.in, m.at = m.in[:0], 0
	}
	return n, nil
}

// Write implements net.Conn.
func (m *mem) Write(p []byte) (int, error) {
	m.mu.Lock()
	m.out = append(m.out, p...)
	blocking := m.blocking
	m.mu.Unlock()
	if blocking && m.onWrite != nil {
		m.onWrite()
	}
	return len(p), nil
}

// take returns what waits for the socket; drop removes what it has taken.
func (m *mem) take() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out
}

func (m *mem) drop(n int) {
	m.mu.Lock()
	m.out = m.out[:copy(m.out, m.out[n:])]
	if len(m.out) == 0 && cap(m.out) > 32<<10 {
		m.out = nil
	}
	m.mu.Unlock()
}

func (m *mem) pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.out)
}

// The rest of net.Conn is not used by crypto/tls.

func (m *mem) Close() error                     { m.finish(); return nil }
func (m *mem) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *mem) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *mem) SetDeadline(time.Time) error      { return nil }
func (m *mem) SetReadDeadline(time.Time) error  { return nil }
func (m *mem) SetWriteDeadline(time.Time) error { return nil }
