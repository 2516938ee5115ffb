package buffer

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestModel compares a pair of buffers with plain byte slices under random
// operations, and checks that no block is lost or kept by an empty buffer.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := NewPool(1 << 20)
		bufs := [2]*Buffer{New(pool), New(pool)}
		var want [2][]byte
		next := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "i")
				p := make([]byte, rapid.IntRange(0, 3*BlockSize).Draw(t, "n"))
				for j := range p {
					p[j] = next
					next++
				}
				_, _ = bufs[i].Write(p)
				want[i] = append(want[i], p...)
			},
			"drain": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "i")
				n := rapid.IntRange(0, len(want[i])).Draw(t, "n")
				bufs[i].Drain(n)
				want[i] = want[i][n:]
			},
			"move": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "i")
				n := rapid.IntRange(0, len(want[i])).Draw(t, "n")
				bufs[i].MoveTo(bufs[1-i], n)
				want[1-i] = append(want[1-i], want[i][:n]...)
				want[i] = want[i][n:]
			},
			"linearize": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "i")
				n := rapid.IntRange(1, BlockSize).Draw(t, "n")
				got := bufs[i].Linearize(n)
				if n > len(want[i]) {
					if got != nil {
						t.Fatalf("linearize %d of %d gave bytes", n, len(want[i]))
					}
				} else if !bytes.Equal(got, want[i][:n]) {
					t.Fatal("linearize differs")
				}
			},
			"": func(t *rapid.T) {
				for i, b := range bufs {
					if b.Len() != len(want[i]) || !bytes.Equal(b.Bytes(), want[i]) {
						t.Fatalf("buffer %d differs: %d bytes, want %d", i, b.Len(), len(want[i]))
					}
					if b.Len() == 0 && b.Front() != nil {
						t.Fatal("front of an empty buffer")
					}
				}
			},
		})
		for _, b := range bufs {
			b.Drain(b.Len())
			if b.head != nil {
				t.Fatal("an empty buffer holds a block")
			}
		}
	})
}

func TestReserveCommitNothingHoldsNothing(t *testing.T) {
	b := New(NewPool(4))
	b.Reserve(100)
	b.Commit(0)
	if b.head != nil || b.pool.Free() != 1 {
		t.Fatal("the block was not given back")
	}
}
