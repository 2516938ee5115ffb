package listener

import (
	"syscall"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
)

// pending is a connection that listener filters look at.
type pending struct {
	l       *workerListener
	a       Accepted
	filters []Filter
	at      int // the filter that decides
	begun   bool
	timer   event.Timer
	peek    []byte
}

// inspect runs the listener filters; it may take several turns.
func (l *workerListener) inspect(fd int, info network.Info) {
	p := &pending{l: l, a: Accepted{Worker: l.w, Info: info, FD: fd}}
	for _, f := range l.state.filters {
		p.filters = append(p.filters, f.NewFilter(l.w))
	}
	l.state.group.Gauge(preCxActive).Inc(l.w.Stats())
	l.pending[p] = struct{}{}
	if p.advance(false) {
		return
	}
	p.timer.Init(l.w, p.onTimeout)
	if d := l.state.config.InspectTimeout; d > 0 {
		p.timer.Reset(d)
	}
	if err := l.w.Register(fd, p); err != nil {
		p.end()
		l.drop(fd)
	}
}

// OnReady implements event.Handler.
func (p *pending) OnReady(r event.Ready) {
	if r&event.Failed != 0 {
		p.refuse(filterError)
		return
	}
	p.advance(r&event.PeerClosed != 0)
}

// advance runs filters until one waits; it says whether the matter is settled.
func (p *pending) advance(peerClosed bool) bool {
	for p.at < len(p.filters) {
		f := p.filters[p.at]
		status := FilterWait
		if !p.begun {
			p.begun = true
			status = f.OnAccept(&p.a)
		}
		if status == FilterWait {
			peeked, end, failed := p.look(f.MaxBytes())
			if failed {
				p.refuse(filterError)
				return true
			}
			if len(peeked) == 0 && (end || peerClosed) {
				p.refuse(filterRemoteClose)
				return true
			}
			if len(peeked) > 0 {
				status = f.OnData(&p.a, peeked, end || peerClosed || len(peeked) >= f.MaxBytes())
				p.take()
			}
		}
		switch status {
		case FilterWait:
			return false
		case FilterClose:
			p.refuse(-1)
			return true
		}
		p.at++
		p.begun = false
	}
	p.done()
	return true
}

// look peeks at up to limit bytes.
func (p *pending) look(limit int) (peeked []byte, end, failed bool) {
	if cap(p.peek) < limit {
		p.peek = make([]byte, limit)
	}
	n, e := p.l.w.System().Peek(p.a.FD, p.peek[:limit])
	switch {
	case e == syscall.EAGAIN:
		return nil, false, false
	case e != 0:
		return nil, false, true
	}
	return p.peek[:n], n == 0, false
}

// take removes what a filter consumed from the socket.
func (p *pending) take() {
	for p.a.consume > 0 {
		n, e := p.l.w.System().Read(p.a.FD, p.peek[:min(p.a.consume, len(p.peek))])
		if e != 0 || n == 0 {
			p.a.consume = 0
			return
		}
		p.a.consume -= n
	}
}

func (p *pending) onTimeout() {
	s := p.l.state
	s.group.Counter(preCxTimeout).Inc(p.l.w.Stats())
	if s.config.ContinueOnTimeout {
		p.done()
		return
	}
	p.refuse(-1)
}

// refuse closes the connection and counts why (negative: counted already).
func (p *pending) refuse(counter int) {
	if counter >= 0 {
		p.l.state.group.Counter(counter).Inc(p.l.w.Stats())
	}
	p.end()
	p.l.drop(p.a.FD)
}

// done hands the connection to its filter chain.
func (p *pending) done() {
	p.end()
	p.l.serve(p.a.FD, p.a.Info)
}

func (p *pending) end() {
	delete(p.l.pending, p)
	p.timer.Remove()
	p.l.w.Unregister(p.a.FD)
	p.l.state.group.Gauge(preCxActive).Dec(p.l.w.Stats())
}
