package demo

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

// Service answers every request with a JSON description of itself and of the
// request.
type Service struct {
	Name    string        // for example "catalog"
	Version string        // for example "v2"
	Delay   time.Duration // before each answer
	// FailEvery makes every n-th request fail with 503; 0 is never.
	FailEvery uint64

	requests atomic.Uint64
}

// answer is the body of a response.
type answer struct {
	Service string            `json:"service"`
	Version string            `json:"version"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
}

// shown are the request headers that say something about the way here.
var shown = []string{"X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto", "X-Envoy-Attempt-Count", "X-Envoy-Original-Path", "X-Shop-Canary"}

// ServeHTTP implements http.Handler. /healthz always answers at once.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if s.Delay > 0 {
		select {
		case <-time.After(s.Delay):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("x-served-by", s.Name+"-"+s.Version)
	if s.FailEvery > 0 && s.requests.Add(1)%s.FailEvery == 0 {
		http.Error(w, "this one fails on purpose", http.StatusServiceUnavailable)
		return
	}
	a := answer{Service: s.Name, Version: s.Version, Path: r.URL.RequestURI(), Headers: map[string]string{}}
	for _, h := range shown {
		if v := r.Header.Get(h); v != "" {
			a.Headers[h] = v
		}
	}
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}
