package fault

import "math/bits"

// Flag is a set of Envoy's response flags.
type Flag uint64

// The flags, in the order in which Envoy prints them.
const (
	FailedLocalHealthCheck           Flag = 1 << iota // LH
	NoHealthyUpstream                                 // UH
	UpstreamRequestTimeout                            // UT
	LocalReset                                        // LR
	UpstreamRemoteReset                               // UR
	UpstreamConnectionFailure                         // UF
	UpstreamConnectionTermination                     // UC
	UpstreamOverflow                                  // UO
	NoRouteFound                                      // NR
	DelayInjected                                     // DI
	FaultInjected                                     // FI
	RateLimited                                       // RL
	UnauthorizedExternalService                       // UAEX
	RateLimitServiceError                             // RLSE
	DownstreamConnectionTermination                   // DC
	UpstreamRetryLimitExceeded                        // URX
	StreamIdleTimeout                                 // SI
	InvalidEnvoyRequestHeaders                        // IH
	DownstreamProtocolError                           // DPE
	UpstreamMaxStreamDurationReached                  // UMSDR
	ResponseFromCacheFilter                           // RFCF
	NoFilterConfigFound                               // NFCF
	DurationTimeout                                   // DT
	UpstreamProtocolError                             // UPE
	NoClusterFound                                    // NC
	OverloadManager                                   // OM
	DNSResolutionFailed                               // DF
	DropOverload                                      // DO
	DownstreamRemoteReset                             // DR
	UnconditionalDropOverload                         // UDO
)

var flagNames = [...]struct{ short, long string }{
	{"LH", "FailedLocalHealthCheck"},
	{"UH", "NoHealthyUpstream"},
	{"UT", "UpstreamRequestTimeout"},
	{"LR", "LocalReset"},
	{"UR", "UpstreamRemoteReset"},
	{"UF", "UpstreamConnectionFailure"},
	{"UC", "UpstreamConnectionTermination"},
	{"UO", "UpstreamOverflow"},
	{"NR", "NoRouteFound"},
	{"DI", "DelayInjected"},
	{"FI", "FaultInjected"},
	{"RL", "RateLimited"},
	{"UAEX", "UnauthorizedExternalService"},
	{"RLSE", "RateLimitServiceError"},
	{"DC", "DownstreamConnectionTermination"},
	{"URX", "UpstreamRetryLimitExceeded"},
	{"SI", "StreamIdleTimeout"},
	{"IH", "InvalidEnvoyRequestHeaders"},
	{"DPE", "DownstreamProtocolError"},
	{"UMSDR", "UpstreamMaxStreamDurationReached"},
	{"RFCF", "ResponseFromCacheFilter"},
	{"NFCF", "NoFilterConfigFound"},
	{"DT", "DurationTimeout"},
	{"UPE", "UpstreamProtocolError"},
	{"NC", "NoClusterFound"},
	{"OM", "OverloadManagerTerminated"},
	{"DF", "DnsResolutionFailed"},
	{"DO", "DropOverload"},
	{"DR", "DownstreamRemoteReset"},
	{"UDO", "UnconditionalDropOverload"},
}

// Has says whether all flags of g are set.
func (f Flag) Has(g Flag) bool { return f&g == g }

// Append appends the short names joined with commas, "-" for none
// (%RESPONSE_FLAGS%).
func (f Flag) Append(b []byte) []byte { return f.append(b, false) }

// AppendLong appends the long names joined with commas, "-" for none
// (%RESPONSE_FLAGS_LONG%).
func (f Flag) AppendLong(b []byte) []byte { return f.append(b, true) }

func (f Flag) append(b []byte, long bool) []byte {
	if f == 0 {
		return append(b, '-')
	}
	for first := true; f != 0; f &= f - 1 {
		if !first {
			b = append(b, ',')
		}
		first = false
		n := flagNames[bits.TrailingZeros64(uint64(f))]
		if long {
			b = append(b, n.long...)
		} else {
			b = append(b, n.short...)
		}
	}
	return b
}

// FlagByName returns the flag of a short name ("UH"), for access-log filters.
func FlagByName(short string) (Flag, bool) {
	for i, n := range flagNames {
		if n.short == short {
			return 1 << i, true
		}
	}
	return 0, false
}
