package hcm

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/filter"
	"github.com/hawser-mesh/hawser/dataplane/internal/stream"
)

// onIdle: nothing moved for stream_idle_timeout.
func (s *activeStream) onIdle() {
	s.c.f.count(s.Worker(), statRqIdleTimeout)
	s.info.Flags |= fault.StreamIdleTimeout
	if s.manager.ResponseBegun() {
		s.info.Details = "stream_idle_timeout"
		s.ResetStream(stream.LocalReset)
		return
	}
	status := 504
	if !s.state.requestEnd {
		status = 408
	}
	s.build()
	s.manager.SendLocalReply(filter.Reply{Status: status, Body: "stream timeout", Details: "stream_idle_timeout"})
}

// onRequestTimeout: the request was not complete within request_timeout.
func (s *activeStream) onRequestTimeout() {
	s.c.f.count(s.Worker(), statRqTimeout)
	if s.manager.ResponseBegun() {
		s.ResetStream(stream.LocalReset)
		return
	}
	s.manager.SendLocalReply(filter.Reply{Status: 408, Body: "request timeout", Details: "request_overall_timeout"})
}

// onHeadersTimeout: the headers were not complete within
// request_headers_timeout.
func (s *activeStream) onHeadersTimeout() {
	s.c.f.count(s.Worker(), statRqHeaderTimeout)
	s.manager.SendLocalReply(filter.Reply{Status: 408, Body: "request header timeout", Details: "request_header_timeout"})
}

// onDuration: the stream lived for max_stream_duration.
func (s *activeStream) onDuration() {
	s.c.f.count(s.Worker(), statRqMaxDurationReached)
	if s.manager.ResponseBegun() {
		s.info.Details = "max_duration_timeout"
		s.ResetStream(stream.LocalReset)
		return
	}
	s.build()
	s.manager.SendLocalReply(filter.Reply{Status: 408, Body: "downstream duration timeout", Details: "max_duration_timeout", Flag: fault.DurationTimeout})
}
