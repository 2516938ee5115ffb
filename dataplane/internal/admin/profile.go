package admin

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
)

// profiler writes Go's profiles where Envoy writes gperftools'.
type profiler struct {
	mu  sync.Mutex
	cpu *os.File
}

func (h *Handler) profileEndpoints() []*endpoint {
	p := &profiler{}
	enable := []paramHelp{{"enable", "enables the CPU profiler; One of (y, n)"}}
	enableHeap := []paramHelp{{"enable", "enable/disable the heap profiler; One of (y, n)"}}
	enableAlloc := []paramHelp{{"enable", "enable/disable the allocation profiler; One of (y, n)"}}
	return []*endpoint{
		{path: "/cpuprofiler", mutates: true, help: "enable/disable the CPU profiler", params: enable, handle: p.cpuProfiler},
		{path: "/heapprofiler", mutates: true, help: "enable/disable the heap profiler", params: enableHeap, handle: func(r *Request) Response { return dumpOnDisable(r, "heap") }},
		{path: "/allocprofiler", mutates: true, help: "enable/disable the allocation profiler (if supported)", params: enableAlloc, handle: func(r *Request) Response { return dumpOnDisable(r, "allocs") }},
		{path: "/heap_dump", help: "dump current Envoy heap (if supported)", handle: func(*Request) Response { return lookup("heap", 0) }},
		{path: "/peak_heap_dump", help: "dump peak Envoy heap (if supported)", handle: func(*Request) Response { return lookup("allocs", 0) }},
		{path: "/contention", help: "dump current Envoy mutex contention stats (if enabled)", handle: func(*Request) Response { return lookup("mutex", 1) }},
	}
}

func profilePath(name string) string { return filepath.Join(os.TempDir(), "hawser."+name+".pprof") }

func (p *profiler) cpuProfiler(r *Request) Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch v, _ := r.Query.Get("enable"); v {
	case "y":
		if p.cpu != nil {
			return ok
		}
		f, err := os.Create(profilePath("cpu"))
		if err != nil {
			return text(500, "failure to start the profiler: "+err.Error()+"\n")
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			_ = f.Close()
			return text(500, "failure to start the profiler: "+err.Error()+"\n")
		}
		p.cpu = f
		return ok
	case "n":
		if p.cpu != nil {
			pprof.StopCPUProfile()
			_ = p.cpu.Close()
			p.cpu = nil
		}
		return ok
	}
	return text(400, "?enable=<y|n>\n")
}

func dumpOnDisable(r *Request, profile string) Response {
	switch v, _ := r.Query.Get("enable"); v {
	case "y":
		return text(200, "Starting heap profiler\n")
	case "n":
		f, err := os.Create(profilePath(profile))
		if err == nil {
			err = pprof.Lookup(profile).WriteTo(f, 0)
			_ = f.Close()
		}
		if err != nil {
			return text(500, err.Error()+"\n")
		}
		return text(200, "Heap profiler stopped and data written to "+profilePath(profile)+"\n")
	}
	return text(400, "?enable=<y|n>\n")
}

func lookup(profile string, debug int) Response {
	var b bytes.Buffer
	if err := pprof.Lookup(profile).WriteTo(&b, debug); err != nil {
		return text(500, err.Error()+"\n")
	}
	r := Response{Status: 200, Body: b.Bytes()}
	if debug == 0 {
		r.ContentType = "application/octet-stream"
	}
	return r
}
