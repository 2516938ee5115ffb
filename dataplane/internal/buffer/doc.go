// Package buffer holds bytes in transit: chains of pooled, fixed-size blocks.
//
// Moving bytes between two buffers moves blocks, not bytes. A buffer without
// bytes holds no block, so an idle connection costs nothing. Pools belong to
// one worker: neither a Pool nor a Buffer may be used by two goroutines at
// once. Limits are the caller's business (watermarks of network.Connection).
package buffer
