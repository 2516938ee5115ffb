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
// lies, by linear interpolation inside the bin; NaN without values.
func (s *Snapshot) Quantile(q float64) float64 {
	if s.Count == 0 {
		return math.NaN()
	}
	want := q * float64(s.Count)
	seen := 0.0
	for _, b := range s.Bins {
		c := float64(b.Count)
		if seen+c >= want {
			return b.Low + b.Width*(want-seen)/c
		}
		seen += c
	}
	last := s.Bins[len(s.Bins)-1]
	return last.Low + last.Width
}
