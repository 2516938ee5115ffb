//go:build !race

package stats

// ownerAdd adds to a slot that only the calling worker writes. Readers load it
// atomically; an aligned 64-bit store is seen whole on every platform that Go
// calls 64-bit, so the owner needs no locked instruction.
func ownerAdd(p *uint64, n uint64) { *p += n }
