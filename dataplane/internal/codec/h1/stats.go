package h1

import "github.com/hawser-mesh/hawser/dataplane/internal/stats"

// schema is the codec's statistics, under "http1.".
var schema = stats.NewSchema(
	stats.C("dropped_headers_with_underscores"), stats.C("metadata_not_supported_error"),
	stats.C("requests_rejected_with_underscores_in_headers"), stats.C("response_flood"),
)

// Stats are the statistics of all HTTP/1 codecs; nil counts nothing.
type Stats struct{ g *stats.Group }

// NewStats returns the codec's statistics in a store.
func NewStats(s *stats.Store) *Stats { return &Stats{s.Group("http1.", schema)} }

func (s *Stats) droppedUnderscore(l *stats.Local) {
	if s != nil {
		s.g.Counter(0).Inc(l)
	}
}

func (s *Stats) flooded(l *stats.Local) {
	if s != nil {
		s.g.Counter(3).Inc(l)
	}
}

func (s *Stats) rejectedUnderscore(l *stats.Local) {
	if s != nil {
		s.g.Counter(2).Inc(l)
	}
}
