package lb

import "testing"

func TestEDFIsProportionalAndSmooth(t *testing.T) {
	var e EDF[string]
	weights := map[string]float64{"a": 1, "b": 2, "c": 5}
	for _, n := range []string{"a", "b", "c"} {
		e.Add(weights[n], n)
	}
	count := map[string]int{}
	run, last := 0, ""
	for range 800 {
		x := e.Pick(func(s string) float64 { return weights[s] })
		count[x]++
		if x == last {
			run++
		} else {
			run = 1
		}
		last = x
		if run > 3 {
			t.Fatalf("%s was picked %d times in a row", x, run)
		}
	}
	if count["a"] != 100 || count["b"] != 200 || count["c"] != 500 {
		t.Errorf("%v", count)
	}
}

func TestLeastOf(t *testing.T) {
	loads := map[int]int64{0: 5, 1: 1, 2: 9}
	seq := []uint64{0, 1, 2, 2}
	i := 0
	random := func() uint64 { i++; return seq[i-1] }
	if got := LeastOf([]int{0, 1, 2}, 2, random, func(x int) int64 { return loads[x] }); got != 1 {
		t.Errorf("of 0 and 1: %d", got)
	}
	if got := LeastOf([]int{0, 1, 2}, 2, random, func(x int) int64 { return loads[x] }); got != 2 {
		t.Errorf("of 2 and 2: %d", got)
	}
}
