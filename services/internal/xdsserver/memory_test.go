package xdsserver

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestMemoryOfASession: what the engine keeps of a client that has a thousand
// clusters and asked for each assignment by name.
func TestMemoryOfASession(t *testing.T) {
	const clients, resources, limit = 100, 1000, 24 << 10
	list := make([]*Resource, 0, 2*resources)
	for i := range resources {
		name := fmt.Sprintf("hawser/default/service-%d/80", i)
		c, err := NewResource(name, made(t, TypeCluster, name, 1).Body, nil, Ref{TypeEndpoint, name})
		if err != nil {
			t.Fatal(err)
		}
		c.Body = made(t, TypeCluster, name, 1).Body
		list = append(list, c, made(t, TypeEndpoint, name, 1))
	}
	v := viewOf(t, 1, list...)
	sessions := make([]*Session, clients)
	before := heap()
	for i := range sessions {
		s := NewSession(Delta, "")
		request := func(r *Request) {
			if err := s.Request(r, now); err != nil {
				t.Fatal(err)
			}
			for r := s.Next(v, now); r != nil; r = s.Next(v, now) {
				ack(t, s, r, "")
			}
		}
		request(&Request{TypeURL: TypeCluster})
		names := make([]string, resources)
		for j := range names {
			names[j] = strings.Clone(list[2*j].Name) // as they come from the wire
		}
		request(&Request{TypeURL: TypeEndpoint, Subscribe: names})
		request(&Request{TypeURL: TypeListener})
		sessions[i] = s
	}
	if each := int(heap()-before) / clients; each > limit {
		t.Errorf("%d bytes a client, at most %d", each, limit)
	} else {
		t.Logf("%d bytes a client", each)
	}
	runtime.KeepAlive(sessions)
	runtime.KeepAlive(v)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
