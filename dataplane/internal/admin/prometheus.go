package admin

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

func (h *Handler) prometheusEndpoint(r *Request) Response {
	s, problem := parseSelection(r.Query)
	if problem != nil {
		return *problem
	}
	return h.prometheus(&s)
}

// family is all statistics that share a metric name.
type family struct {
	name   string
	labels []string // of each sample, without braces
	values []stats.Sample
}

// prometheus renders the exposition format: counters, gauges, text readouts
// (where wanted), histograms, each sorted by metric name.
func (h *Handler) prometheus(s *selection) Response {
	values, hists, texts := h.read(s)
	var b bytes.Buffer
	for _, kind := range []stats.Kind{stats.KindCounter, stats.KindGauge} {
		for _, f := range h.families(values, kind) {
			b.WriteString("# TYPE " + f.name + " " + [...]string{"counter", "gauge"}[kind] + "\n")
			for i, v := range f.values {
				b.WriteString(f.name + "{" + f.labels[i] + "} " + strconv.FormatUint(v.Value, 10) + "\n")
			}
		}
	}
	if s.textReadouts {
		for _, t := range texts {
			name, labels := h.metric(t[0])
			b.WriteString("# TYPE " + name + " gauge\n" + name + "{" + join(labels, `text_value="`+escape(t[1])+`"`) + "} 0\n")
		}
	}
	for _, f := range h.families(hists, stats.KindHistogram) {
		h.prometheusHistogram(&b, s, f)
	}
	return Response{Status: 200, Body: b.Bytes()}
}

func (h *Handler) families(values []stats.Sample, kind stats.Kind) []*family {
	byName := map[string]*family{}
	for _, v := range values {
		if v.Kind != kind {
			continue
		}
		name, labels := h.metric(v.Name)
		f := byName[name]
		if f == nil {
			f = &family{name: name}
			byName[name] = f
		}
		f.labels = append(f.labels, labels)
		f.values = append(f.values, v)
	}
	var out []*family
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[n])
	}
	return out
}

func (h *Handler) prometheusHistogram(b *bytes.Buffer, s *selection, f *family) {
	typ := "histogram"
	if s.buckets == bucketsSummary {
		typ = "summary"
	}
	b.WriteString("# TYPE " + f.name + " " + typ + "\n")
	for i, v := range f.values {
		interval, total := h.snapshots(v)
		if typ == "summary" {
			for _, q := range quantiles {
				b.WriteString(f.name + "{" + join(f.labels[i], `quantile="`+g6(q/100)+`"`) + "} " + g6(interval.Quantile(q/100)) + "\n")
			}
		} else {
			for _, c := range h.counts(bucketsCumulative, v.Name, &interval, &total) {
				b.WriteString(f.name + "_bucket{" + join(f.labels[i], `le="`+strconv.FormatFloat(c.Bound, 'f', -1, 64)+`"`) + "} " + strconv.FormatUint(c.Total, 10) + "\n")
			}
			b.WriteString(f.name + "_bucket{" + join(f.labels[i], `le="+Inf"`) + "} " + strconv.FormatUint(total.Count, 10) + "\n")
		}
		b.WriteString(f.name + "_sum{" + f.labels[i] + "} " + strconv.FormatUint(total.Sum, 10) + "\n")
		b.WriteString(f.name + "_count{" + f.labels[i] + "} " + strconv.FormatUint(total.Count, 10) + "\n")
	}
}

// metric returns the Prometheus name and labels of a statistic.
func (h *Handler) metric(name string) (metric, labels string) {
	base, tags := h.src.Tagger.Split(name)
	for _, t := range tags {
		labels = join(labels, sanitize(strings.ReplaceAll(t.Name, "envoy.", "envoy_"))+`="`+escape(t.Value)+`"`)
	}
	return "envoy_" + sanitize(base), labels
}

func join(labels, more string) string {
	if labels == "" {
		return more
	}
	return labels + "," + more
}

func escape(v string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(v)
}

func sanitize(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}
