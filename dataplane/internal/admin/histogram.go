package admin

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// quantiles are those that Envoy computes, in percent.
var quantiles = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// DefaultBuckets are the upper bounds of histogram buckets unless
// stats_config.histogram_bucket_settings says otherwise.
var DefaultBuckets = []float64{
	0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
}

// g6 formats as C's %g with six digits.
func g6(f float64) string {
	if math.IsNaN(f) {
		return "nan"
	}
	s := strconv.FormatFloat(f, 'g', 6, 64)
	return s
}

func (h *Handler) snapshots(v stats.Sample) (interval, total stats.Snapshot) {
	total = h.src.Stats.Snapshot(v)
	if h.src.Interval != nil {
		interval = h.src.Interval(v)
	}
	return interval, total
}

func (h *Handler) bounds(name string) []float64 {
	if h.src.Buckets != nil {
		if b := h.src.Buckets(name); b != nil {
			return b
		}
	}
	return DefaultBuckets
}

func (h *Handler) histogramText(b *bytes.Buffer, s *selection, v stats.Sample) {
	interval, total := h.snapshots(v)
	if !v.Used && s.buckets != bucketsDetailed {
		b.WriteString(v.Name + ": No recorded values\n")
		return
	}
	switch s.buckets {
	case bucketsCumulative, bucketsDisjoint:
		b.WriteString(v.Name + ":")
		for _, c := range h.counts(s.buckets, v.Name, &interval, &total) {
			fmt.Fprintf(b, " B%s(%d,%d)", g6(c.Bound), c.Interval, c.Total)
		}
		b.WriteByte('\n')
	case bucketsDetailed:
		b.WriteString(v.Name + ":\n  totals=")
		binText(b, &total)
		b.WriteString("\n  intervals=")
		binText(b, &interval)
		b.WriteString("\n  summary=")
		summaryText(b, &interval, &total)
		b.WriteByte('\n')
	default:
		b.WriteString(v.Name + ": ")
		summaryText(b, &interval, &total)
		b.WriteByte('\n')
	}
}

func summaryText(b *bytes.Buffer, interval, total *stats.Snapshot) {
	for i, q := range quantiles {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(b, "P%s(%s,%s)", g6(q), g6(interval.Quantile(q/100)), g6(total.Quantile(q/100)))
	}
}

func binText(b *bytes.Buffer, s *stats.Snapshot) {
	for i, n := range s.Bins {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(b, "%s,%s:%d", g6(n.Low), g6(n.Width), n.Count)
	}
}

type bucketCount struct {
	Bound           float64
	Interval, Total uint64
}

// counts returns the values below each bound, or (disjoint) between a bound
// and the one before.
func (h *Handler) counts(mode bucketMode, name string, interval, total *stats.Snapshot) []bucketCount {
	var out []bucketCount
	var lastI, lastT uint64
	for _, bound := range h.bounds(name) {
		i, t := interval.Below(bound), total.Below(bound)
		if mode == bucketsDisjoint {
			out = append(out, bucketCount{bound, i - lastI, t - lastT})
		} else {
			out = append(out, bucketCount{bound, i, t})
		}
		lastI, lastT = i, t
	}
	return out
}

func (h *Handler) histogramJSON(s *selection, hists []stats.Sample) any {
	switch s.buckets {
	case bucketsCumulative, bucketsDisjoint:
		list := []any{}
		for _, v := range hists {
			interval, total := h.snapshots(v)
			buckets := []any{}
			for _, c := range h.counts(s.buckets, v.Name, &interval, &total) {
				buckets = append(buckets, map[string]any{"upper_bound": c.Bound, "interval": c.Interval, "cumulative": c.Total})
			}
			list = append(list, map[string]any{"name": v.Name, "buckets": buckets})
		}
		return list
	case bucketsDetailed:
		list := []any{}
		for _, v := range hists {
			interval, total := h.snapshots(v)
			list = append(list, map[string]any{
				"name": v.Name, "totals": binJSON(&total), "intervals": binJSON(&interval),
				"percentiles": quantileJSON(&interval, &total),
			})
		}
		return map[string]any{"supported_percentiles": quantiles, "details": list}
	}
	list := []any{}
	for _, v := range hists {
		interval, total := h.snapshots(v)
		list = append(list, map[string]any{"name": v.Name, "values": quantileJSON(&interval, &total)})
	}
	return map[string]any{"supported_quantiles": quantiles, "computed_quantiles": list}
}

func quantileJSON(interval, total *stats.Snapshot) []any {
	out := []any{}
	for _, q := range quantiles {
		out = append(out, map[string]any{"interval": number(interval.Quantile(q / 100)), "cumulative": number(total.Quantile(q / 100))})
	}
	return out
}

func binJSON(s *stats.Snapshot) []any {
	out := []any{}
	for _, b := range s.Bins {
		out = append(out, map[string]any{"lower_bound": b.Low, "width": b.Width, "count": b.Count})
	}
	return out
}

// number is f, or nil (JSON null) for NaN.
func number(f float64) any {
	if math.IsNaN(f) {
		return nil
	}
	return f
}
