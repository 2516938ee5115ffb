package assemble

import (
	"errors"
	"fmt"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// Sources finds the client of each configuration source; equal sources share
// one.
type Sources struct {
	ads  client.Source
	open func(typeURL string, s *config.Source) (client.Source, error)
	have map[sourceKey]client.Source
}

type sourceKey struct {
	typeURL, path, directory string
	service                  uint64
	delta                    bool
}

// NewSources returns the sources. ads is the aggregated stream, nil when the
// bootstrap has none; open makes a client for a source of its own.
func NewSources(ads client.Source, open func(typeURL string, s *config.Source) (client.Source, error)) *Sources {
	return &Sources{ads: ads, open: open, have: map[sourceKey]client.Source{}}
}

var errNoADS = errors.New("ads is named as a source, but the bootstrap has no dynamic_resources.ads_config")

// Get returns the client of a source for a type of resource.
func (s *Sources) Get(typeURL string, c *config.Source) (client.Source, error) {
	if c == nil {
		return nil, errors.New("no configuration source")
	}
	if c.Kind == config.SourceADS {
		if s.ads == nil {
			return nil, errNoADS
		}
		return s.ads, nil
	}
	k := sourceKey{typeURL: typeURL, path: c.Path, directory: c.WatchedDirectory}
	if c.GRPC != nil {
		k.service, k.delta = c.GRPC.Service.Hash, c.GRPC.Delta
	}
	if src := s.have[k]; src != nil {
		return src, nil
	}
	src, err := s.open(typeURL, c)
	if err != nil {
		return nil, fmt.Errorf("configuration source: %w", err)
	}
	s.have[k] = src
	return src, nil
}
