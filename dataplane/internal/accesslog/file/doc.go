// Package file writes log lines to files without ever making a worker wait for
// a disk. Each worker appends to a buffer of its own; one goroutine for each
// file takes the buffers and writes them, when one grows over flushSize or the
// flush interval is over (--file-flush-interval-msec). A disk that does not
// keep up fills the buffers to maxBuffered; further lines are dropped and
// counted (filesystem.write_dropped is ours, the others are Envoy's).
package file
