//go:build race

package stats

import "sync/atomic"

// ownerAdd is the atomic form for the race detector, which knows no
// single-writer counters.
func ownerAdd(p *uint64, n uint64) { atomic.AddUint64(p, n) }
