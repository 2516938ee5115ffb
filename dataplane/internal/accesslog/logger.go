package accesslog

import (
	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog/file"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Format makes an entry.
type Format interface {
	Append(b []byte, i *streaminfo.Info) []byte
}

// File writes entries to a file; it implements streaminfo.Logger.
type File struct {
	format  Format
	filter  Filter // nil: everything
	file    *file.File
	scratch [][]byte // by worker
}

// NewFile returns a logger for so many workers; a filter of nil logs all.
func NewFile(f *file.File, format Format, filter Filter, workers int) *File {
	return &File{format: format, filter: filter, file: f, scratch: make([][]byte, workers+1)}
}

// Log implements streaminfo.Logger.
func (l *File) Log(w *event.Worker, i *streaminfo.Info) {
	if l.filter != nil && !l.filter.Match(w, i) {
		return
	}
	b := l.format.Append(l.scratch[w.Index()][:0], i)
	l.scratch[w.Index()] = b
	l.file.Append(w.Index(), w.Stats(), b)
}

// DefaultFormat is Envoy's default text format.
const DefaultFormat = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" " +
	"%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% " +
	"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" " +
	"\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n"
