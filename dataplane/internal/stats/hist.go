package stats

import (
	"math"
	"sync/atomic"
)

// binsPerDecade is how many bins a power of ten has: two significant digits
// (10 to 99), as Envoy's circllhist.
const binsPerDecade = 90

// decades covers all of uint64.
const decades = 20

type decade [binsPerDecade]uint64

// hist is one Local's log-linear histogram; values are integers.
type hist struct {
	sum, zero uint64
	bins      [decades]atomic.Pointer[decade]
}

// bin returns the decade and bin of v > 0: v lies in
// [ (bin+10) * 10^(decade-1), (bin+11) * 10^(decade-1) ).
func bin(v uint64) (dec, b int) {
	lo := uint64(1) // 10^dec <= v
	for dec = 0; dec < decades-1 && v/lo >= 10; dec++ {
		lo *= 10
	}
	if dec == 0 {
		return 0, int(v)*10 - 10
	}
	return dec, int(v/(lo/10)) - 10
}

func (h *hist) record(v uint64) {
	atomic.AddUint64(&h.sum, v)
	if v == 0 {
		atomic.AddUint64(&h.zero, 1)
		return
	}
	d, b := bin(v)
	p := h.bins[d].Load()
	if p == nil {
		h.bins[d].CompareAndSwap(nil, new(decade))
		p = h.bins[d].Load()
	}
	atomic.AddUint64(&p[b], 1)
}

// Bin is one filled bin of a Snapshot: Count values in [Low, Low+Width).
type Bin struct {
	Low, Width float64
	Count      uint64
}

// Snapshot is the merged content of a histogram: bins in rising order.
type Snapshot struct {
	Bins  []Bin
	Count uint64
	Sum   uint64
}

func (s *Snapshot) merge(h *hist, acc *[decades * binsPerDecade]uint64) {
	s.Sum += atomic.LoadUint64(&h.sum)
	z := atomic.LoadUint64(&h.zero)
	if z > 0 {
		if len(s.Bins) == 0 {
			s.Bins = append(s.Bins, Bin{})
		}
		s.Bins[0].Count += z
		s.Count += z
	}
	for d := range h.bins {
		p := h.bins[d].Load()
		if p == nil {
			continue
		}
		for b := range p {
			acc[d*binsPerDecade+b] += atomic.LoadUint64(&p[b])
		}
	}
}

func (s *Snapshot) fill(acc *[decades * binsPerDecade]uint64) {
	for i, n := range acc {
		if n == 0 {
			continue
		}
		width := math.Pow10(i/binsPerDecade - 1)
		s.Bins = append(s.Bins, Bin{Low: float64(i%binsPerDecade+10) * width, Width: width, Count: n})
		s.Count += n
	}
}

// Quantile returns the value below which the share q (0 to 1) of the values
// lies; NaN without values. The k-th of n values in one bin is taken to stand
// at k/(n+1) of the bin's width, as circllhist has it.
func (s *Snapshot) Quantile(q float64) float64 {
	if s.Count == 0 {
		return math.NaN()
	}
	want := max(1, math.Ceil(q*float64(s.Count)-1e-9))
	seen := 0.0
	for _, b := range s.Bins {
		c := float64(b.Count)
		if seen+c >= want {
			return b.Low + b.Width*(want-seen)/(c+1)
		}
		seen += c
	}
	last := s.Bins[len(s.Bins)-1]
	return last.Low + last.Width
}

// Below returns how many values lie in the bins that begin at or below v: a
// bound that is the beginning of a bin counts that bin, as Envoy's buckets do.
func (s *Snapshot) Below(v float64) uint64 {
	var n uint64
	for _, b := range s.Bins {
		if b.Low > v*(1+1e-12) {
			break
		}
		n += b.Count
	}
	return n
}

// Sub returns what came since an earlier snapshot of the same histogram.
func (s *Snapshot) Sub(earlier *Snapshot) Snapshot {
	out := Snapshot{Count: s.Count - earlier.Count, Sum: s.Sum - earlier.Sum}
	j := 0
	for _, b := range s.Bins {
		for j < len(earlier.Bins) && earlier.Bins[j].Low < b.Low {
			j++
		}
		if j < len(earlier.Bins) && earlier.Bins[j].Low == b.Low && earlier.Bins[j].Width == b.Width {
			b.Count -= earlier.Bins[j].Count
		}
		if b.Count > 0 {
			out.Bins = append(out.Bins, b)
		}
	}
	return out
}
