package client

import (
	"math/rand/v2"
	"time"
)

// Envoy's back-off between streams, in EnvoyGrpc.retry_policy's absence.
const (
	DefaultBackOffBase = 500 * time.Millisecond
	DefaultBackOffMax  = 30 * time.Second
)

// backOff gives random times between nothing and an interval that doubles.
type backOff struct {
	base, max time.Duration
	next      time.Duration
	rand      *rand.Rand
}

func (b *backOff) reset() { b.next = b.base }

func (b *backOff) delay() time.Duration {
	d := max(b.next, 1)
	b.next = min(2*d, b.max)
	return time.Duration(b.rand.Int64N(int64(d)) + 1)
}

// bucket is ApiConfigSource.rate_limit_settings; a nil bucket is no limit.
type bucket struct {
	max, tokens float64
	rate        float64 // tokens a second
	at          time.Time
}

func newBucket(tokens uint32, rate float64, now time.Time) *bucket {
	return &bucket{max: float64(tokens), tokens: float64(tokens), rate: rate, at: now}
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	if b == nil {
		return 0
	}
	b.tokens = min(b.max, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(time.Duration((1-b.tokens)/b.rate*float64(time.Second)), time.Millisecond)
}
