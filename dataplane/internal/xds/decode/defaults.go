package decode

import "time"

// Envoy's defaults.
const (
	defaultFetchTimeout   = 15 * time.Second
	defaultConnectTimeout = 5 * time.Second
	defaultBufferLimit    = 1 << 20 // bytes
	defaultIdleTimeout    = time.Hour
	defaultMergeWindow    = time.Second
	defaultDNSRefresh     = 5 * time.Second
	defaultPanic          = 50 // percent
	defaultBreaker        = 1024
	defaultRetryBreaker   = 3
	defaultBudget         = 20 // percent
	defaultBudgetMin      = 3
	defaultOverprovision  = 140 // percent
	defaultNoTraffic      = 60 * time.Second
	defaultRouteTimeout   = 15 * time.Second
	defaultBackOff        = 25 * time.Millisecond
	defaultResetLimit     = 300 * time.Second
	defaultDirectBody     = 4096 // bytes
	defaultInspectTimeout = 15 * time.Second
	defaultMaxHeaders     = 100
	defaultMaxHeadersKiB  = 60
)
