package decode

import (
	"regexp"
	"slices"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// Stats is how statistics are named and shown.
type Stats struct {
	Tagger *stats.Tagger
	// Buckets returns the histogram buckets of a statistic; nil: the defaults.
	Buckets func(name string) []float64
	// FlushInterval is how often gauges are brought up to date; FlushOnAdmin
	// only does so when somebody looks.
	FlushInterval time.Duration
	FlushOnAdmin  bool
	// VersionOverride is server.version; 0: the build's.
	VersionOverride uint64
}

func (b *Bootstrap) stats(m *bootstrapv3.Bootstrap, p fieldpath.Path) error {
	s := &b.Stats
	s.FlushInterval, s.FlushOnAdmin = duration(m.GetStatsFlushInterval(), defaultFlush), m.GetStatsFlushOnAdmin()
	s.VersionOverride = m.GetStatsServerVersionOverride().GetValue()
	c := m.GetStatsConfig()
	p = p.Field("stats_config")
	t, err := tagger(c, p)
	if err != nil {
		return err
	}
	s.Tagger = t
	s.Buckets, err = buckets(c.GetHistogramBucketSettings(), p.Field("histogram_bucket_settings"))
	return err
}

func tagger(c *metricsv3.StatsConfig, p fieldpath.Path) (*stats.Tagger, error) {
	t := &stats.Tagger{}
	if boolean(c.GetUseAllDefaultTags(), true) {
		t.Extractors = stats.DefaultExtractors()
	}
	seen := map[string]bool{}
	for _, x := range t.Extractors {
		seen[x.Tag] = true
	}
	for i, x := range c.GetStatsTags() {
		at := p.Field("stats_tags").Index(i)
		name := x.GetTagName()
		if f, ok := x.GetTagValue().(*metricsv3.TagSpecifier_FixedValue); ok {
			if seen[name] {
				return nil, at.Errorf("Tag name '%s' specified twice", name)
			}
			seen[name] = true
			t.Fixed = append(t.Fixed, stats.Tag{Name: name, Value: f.FixedValue})
			continue
		}
		if x.GetRegex() == "" {
			if err := defaultTag(t, name, seen); err != nil {
				return nil, at.Wrap(err)
			}
			continue
		}
		if seen[name] {
			return nil, at.Errorf("Tag name '%s' specified twice", name)
		}
		seen[name] = true
		r, err := regexp.Compile(x.GetRegex())
		if err != nil {
			return nil, at.Field("regex").Errorf("%q: %w", x.GetRegex(), err)
		}
		t.Extractors = append(t.Extractors, stats.Extractor{Tag: name, Pattern: r})
	}
	return t, nil
}

// defaultTag turns on one of Envoy's own tags by its name.
func defaultTag(t *stats.Tagger, name string, seen map[string]bool) error {
	found := false
	for _, x := range stats.DefaultExtractors() {
		if x.Tag == name {
			found = true
			if !seen[name] {
				t.Extractors = append(t.Extractors, x)
			}
		}
	}
	if !found {
		return fieldpath.Path{}.Errorf("No regex specified for tag specifier and no default regex for name: '%s'", name).Err
	}
	seen[name] = true
	return nil
}

func buckets(list []*metricsv3.HistogramBucketSettings, p fieldpath.Path) (func(string) []float64, error) {
	type setting struct {
		match   matcher.String
		buckets []float64
	}
	var all []setting
	for i, m := range list {
		s, err := matcher.DecodeString(m.GetMatch(), p.Index(i).Field("match"))
		if err != nil {
			return nil, err
		}
		b := slices.Clone(m.GetBuckets())
		slices.Sort(b)
		all = append(all, setting{s, slices.Compact(b)})
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(name string) []float64 {
		for i := range all {
			if all[i].match.Match(name) {
				return all[i].buckets
			}
		}
		return nil
	}, nil
}
