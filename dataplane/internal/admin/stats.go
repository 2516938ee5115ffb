package admin

import (
	"bytes"
	"encoding/json"
	"html"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

func (h *Handler) statsEndpoints() []*endpoint {
	return []*endpoint{
		{path: "/stats", help: "print server stats", handle: h.stats, params: []paramHelp{
			{"usedonly", "Only include stats that have been written by system since restart"},
			{"filter", "Regular expression (Google re2) for filtering stats"},
			{"invert_filter", "Invert the filter regex"},
			{"format", "Format to use; One of (html, active-html, text, json)"},
			{"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"},
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"},
		}},
		{path: "/stats/prometheus", help: "print server stats in prometheus format", handle: h.prometheusEndpoint, params: []paramHelp{
			{"usedonly", "Only include stats that have been written by system since restart"},
			{"text_readouts", "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)"},
			{"filter", "Regular expression (Google re2) for filtering stats"},
			{"invert_filter", "Invert the filter regex"},
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"},
		}},
		{path: "/reset_counters", mutates: true, help: "reset all counters to zero", handle: func(*Request) Response {
			h.src.Stats.ResetCounters()
			return ok
		}},
		{path: "/stats/recentlookups", help: "Show recent stat-name lookups", handle: h.recentLookups},
		{path: "/stats/recentlookups/clear", mutates: true, help: "clear list of stat-name lookups and counter", handle: func(*Request) Response { return ok }},
		{path: "/stats/recentlookups/disable", mutates: true, help: "disable recording of reset stat-name lookup names", handle: func(*Request) Response { return ok }},
		{path: "/stats/recentlookups/enable", mutates: true, help: "enable recording of reset stat-name lookup names", handle: func(*Request) Response { return ok }},
	}
}

// recentLookups is always empty: names become handles at configuration time,
// so that no request ever looks one up.
func (h *Handler) recentLookups(*Request) Response {
	return text(200, "   Count Lookup\n\ntotal: 0\n")
}

// bucketMode is histogram_buckets.
type bucketMode string

const (
	bucketsNone       bucketMode = ""
	bucketsCumulative bucketMode = "cumulative"
	bucketsDisjoint   bucketMode = "disjoint"
	bucketsDetailed   bucketMode = "detailed"
	bucketsSummary    bucketMode = "summary"
)

// selection is the parsed parameters of /stats.
type selection struct {
	usedOnly, invert, textReadouts bool
	filter                         *regexp.Regexp
	format                         string
	kinds                          [3]bool // by stats.Kind
	texts                          bool
	buckets                        bucketMode
}

func parseSelection(q Query) (s selection, problem *Response) {
	bad := func(msg string) (selection, *Response) { r := text(400, msg); return selection{}, &r }
	s.usedOnly, s.textReadouts, s.invert = q.Has("usedonly"), q.Has("text_readouts"), q.Has("invert_filter")
	if f, ok := q.Get("filter"); ok && f != "" {
		re, err := regexp.Compile(f)
		if err != nil {
			return bad("Invalid re2 regex: " + regexProblem(err) + "\n")
		}
		s.filter = re
	}
	switch s.format, _ = q.Get("format"); s.format {
	case "":
		s.format = "text"
	case "html", "active-html", "json", "prometheus", "text":
	default:
		return bad("usage: /stats?format=(html|active-html|json|prometheus|text)\n")
	}
	s.kinds, s.texts = [3]bool{true, true, true}, true
	if t, ok := q.Get("type"); ok && t != "All" {
		s.kinds, s.texts = [3]bool{t == "Counters", t == "Gauges", t == "Histograms"}, t == "TextReadouts"
		if s.kinds == [3]bool{} && !s.texts {
			return bad("invalid &type= param")
		}
	}
	m, _ := q.Get("histogram_buckets")
	switch m {
	case "", "none":
	case "cumulative", "disjoint", "detailed", "summary":
		s.buckets = bucketMode(m)
	default:
		return bad("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n")
	}
	return s, nil
}

// regexProblem words a Go regexp error as RE2 does.
func regexProblem(err error) string {
	msg := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	msg = strings.Replace(msg, "missing closing ]: ", "missing ]: ", 1)
	msg = strings.Replace(msg, "missing closing )", "missing )", 1)
	return strings.ReplaceAll(msg, "`", "")
}

func (s *selection) wants(name string) bool {
	return s.filter == nil || s.filter.MatchString(name) != s.invert
}

// read returns the selected counters and gauges, histograms, and texts, each
// in the order of their names.
func (h *Handler) read(s *selection) (values, hists []stats.Sample, texts [][2]string) {
	if h.src.Flush != nil {
		h.src.Flush()
	}
	for _, r := range h.src.Stats.Read() {
		if s.usedOnly && !r.Used || !s.kinds[r.Kind] || !s.wants(r.Name) {
			continue
		}
		if r.Kind == stats.KindHistogram {
			hists = append(hists, r)
		} else {
			values = append(values, r)
		}
	}
	if !s.texts {
		return values, hists, nil
	}
	all := h.src.Stats.Texts()
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if s.wants(n) && !(s.usedOnly && all[n] == "") {
			texts = append(texts, [2]string{n, all[n]})
		}
	}
	return values, hists, texts
}

func (h *Handler) stats(r *Request) Response {
	s, problem := parseSelection(r.Query)
	if problem != nil {
		return *problem
	}
	switch s.format {
	case "prometheus":
		return h.prometheus(&s)
	case "json":
		return h.statsJSON(&s)
	case "html", "active-html":
		body := "<html><head><title>Hawser statistics</title></head><body><pre>" + html.EscapeString(string(h.statsText(&s))) + "</pre></body></html>\n"
		return Response{Status: 200, ContentType: TextHTML, Body: []byte(body)}
	}
	return Response{Status: 200, Body: h.statsText(&s)}
}

func (h *Handler) statsText(s *selection) []byte {
	values, hists, texts := h.read(s)
	var b bytes.Buffer
	for _, t := range texts {
		b.WriteString(t[0] + ": \"" + t[1] + "\"\n")
	}
	for _, v := range values {
		b.WriteString(v.Name + ": " + strconv.FormatUint(v.Value, 10) + "\n")
	}
	for _, v := range hists {
		h.histogramText(&b, s, v)
	}
	return b.Bytes()
}

func (h *Handler) statsJSON(s *selection) Response {
	values, hists, texts := h.read(s)
	list := []any{}
	for _, t := range texts {
		list = append(list, map[string]any{"name": t[0], "value": t[1]})
	}
	for _, v := range values {
		list = append(list, map[string]any{"name": v.Name, "value": v.Value})
	}
	if len(hists) > 0 {
		list = append(list, map[string]any{"histograms": h.histogramJSON(s, hists)})
	}
	body, err := json.Marshal(map[string]any{"stats": list})
	if err != nil {
		return text(500, err.Error())
	}
	return Response{Status: 200, ContentType: JSON, Body: body}
}
