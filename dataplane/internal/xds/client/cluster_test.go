package client

import (
	"testing"
)

// fakeCluster offers streams of a made-up worker.
type fakeCluster struct {
	queue   []func()
	stopped bool
	none    bool
	cb      ClusterCallbacks
	sent    []string
	reset   bool
}

func (f *fakeCluster) post(g func()) bool {
	if !f.stopped {
		f.queue = append(f.queue, g)
	}
	return !f.stopped
}

func (f *fakeCluster) run() {
	for len(f.queue) > 0 {
		g := f.queue[0]
		f.queue = f.queue[1:]
		g()
	}
}

func (f *fakeCluster) StartStream(_ string, cb ClusterCallbacks) ClusterStream {
	if f.none {
		return nil
	}
	f.cb = cb
	return f
}
func (f *fakeCluster) Send(m []byte) { f.sent = append(f.sent, string(m)) }
func (f *fakeCluster) Reset()        { f.reset = true }

func TestClusterTransport(t *testing.T) {
	f := &fakeCluster{}
	h := newRecorder()
	s := NewClusterTransport(f.post, f).Open("/m", h)
	s.Send([]byte("one"))
	f.run()
	f.cb.OnMessage([]byte("answer"))
	s.Send([]byte("two"))
	f.run()
	f.cb.OnClose(14, "gone")
	s.Send([]byte("three"))
	s.Close()
	f.run()
	if len(f.sent) != 2 || string(receive(t, h.messages)) != "answer" || receive(t, h.ended).Error() != "gRPC status 14: gone" || f.reset {
		t.Fatalf("%+v", f)
	}

	f = &fakeCluster{}
	h = newRecorder()
	s = NewClusterTransport(f.post, f).Open("/m", h)
	f.run()
	s.Close()
	f.run()
	f.cb.OnMessage([]byte("late"))
	f.cb.OnClose(0, "")
	if !f.reset || len(h.messages)+len(h.ended) > 0 {
		t.Fatal("a closed stream must be silent")
	}

	for _, f := range []*fakeCluster{{none: true}, {stopped: true}} {
		h := newRecorder()
		NewClusterTransport(f.post, f).Open("/m", h)
		f.run()
		if receive(t, h.ended) == nil {
			t.Fatal("no reason")
		}
	}
}
