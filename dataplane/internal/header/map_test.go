package header

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryNameIsFound(t *testing.T) {
	for id := ID(1); id < numIDs; id++ {
		if names[id] == "" {
			t.Errorf("id %d has no name", id)
		}
		if got := Lookup(names[id]); got != id {
			t.Errorf("Lookup(%q) = %d, want %d", names[id], got, id)
		}
	}
	for _, n := range []string{"", "x", "content-lengths", "hosT"} {
		if got := Lookup(n); got != Other {
			t.Errorf("Lookup(%q) = %d", n, got)
		}
	}
}

// TestModel compares a map with a plain list under random operations.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map
		var want []Entry
		name := rapid.SampledFrom([]string{":path", "host", "x-a", "x-b", "cookie", "te"})
		value := rapid.StringMatching(`[a-z]{0,20}`)
		without := func(n string) []Entry {
			return slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return e.Name == n })
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n, v := name.Draw(t, "n"), value.Draw(t, "v")
				m.AddBytes([]byte(n), []byte(v))
				want = append(want, Entry{n, v})
			},
			"set": func(t *rapid.T) {
				n, v := name.Draw(t, "n"), value.Draw(t, "v")
				m.Set(n, v)
				i := slices.IndexFunc(want, func(e Entry) bool { return e.Name == n })
				if i < 0 {
					want = append(want, Entry{n, v})
					return
				}
				rest := slices.DeleteFunc(slices.Clone(want[i+1:]), func(e Entry) bool { return e.Name == n })
				want = append(append(slices.Clone(want[:i]), Entry{n, v}), rest...)
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "n")
				if got := m.Remove(n); got != len(want)-len(without(n)) {
					t.Fatalf("removed %d", got)
				}
				want = without(n)
			},
			"copy": func(*rapid.T) {
				var c Map
				c.CopyFrom(&m)
				m = c
			},
			"": func(t *rapid.T) {
				size := 0
				for i, e := range want {
					if i >= m.Len() || m.At(i) != e || m.IDAt(i) != Lookup(e.Name) {
						t.Fatalf("line %d differs: want %v", i, e)
					}
					size += len(e.Name) + len(e.Value)
				}
				if m.Len() != len(want) || m.ByteSize() != size {
					t.Fatalf("%d lines of %d bytes, want %d of %d", m.Len(), m.ByteSize(), len(want), size)
				}
			},
		})
	})
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	var p Pool
	n := testing.AllocsPerRun(100, func() {
		m := p.Get()
		for range 12 {
			m.Add("x-some-header", "with a value of its own")
			m.AddID(Host, "example.com")
		}
		p.Put(m)
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
