package upstream

import (
	"sync/atomic"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
)

// HealthFlag is a set of reasons why a host is not healthy.
type HealthFlag uint32

// The flags, with the names that /clusters shows.
const (
	FailedActiveHC   HealthFlag = 1 << iota // /failed_active_hc
	FailedOutlier                           // /failed_outlier_check
	FailedEDS                               // /failed_eds_health
	DegradedActiveHC                        // /degraded_active_hc
	DegradedEDS                             // /degraded_eds_health
	PendingRemoval                          // /pending_dynamic_removal
	PendingActiveHC                         // /pending_active_hc
	ExcludedByHC                            // /excluded_via_immediate_hc_fail
	ActiveHCTimeout                         // /active_hc_timeout
	EDSDraining                             // /eds_status_draining
)

// Host is one upstream host of one cluster, shared by all workers.
type Host struct {
	// Set at construction; a change of these makes a new Host.
	Address     address.Address
	More        []address.Address
	Hostname    string
	Locality    config.Locality
	Priority    uint32
	HealthCheck config.EndpointHealthCheck
	Added       time.Time

	// Replaced as a whole by updates in place.
	meta atomic.Pointer[config.Metadata]

	// Shared, atomic.
	flags      atomic.Uint32
	weight     atomic.Uint32
	edsHealth  atomic.Uint32
	Active     HostGauges
	Total      HostCounters
	LastStatus atomic.Int64 // unix nanoseconds of the last change of health; 0: never
	// Outlier is the host's outlier monitor; nil without outlier detection.
	Outlier OutlierMonitor
	// OnImmediateFail is called, by any worker, when a response of the host says
	// that it is unhealthy; nil without active checks.
	OnImmediateFail func()
}

// HostGauges are the host's current numbers.
type HostGauges struct {
	Connections, Requests, Pending atomic.Int64
}

// HostCounters are the host's totals, for /clusters.
type HostCounters struct {
	Connections, ConnectFail, Requests, Errors, Success, Timeouts atomic.Uint64
}

// OutlierMonitor hears of the result of every request to a host.
type OutlierMonitor interface {
	PutStatus(status int)
	PutLocalFailure(f PoolFailure)
}

// SetWeight sets the load-balancing weight (at least 1).
func (h *Host) SetWeight(w uint32) { h.weight.Store(max(w, 1)) }

// Weight is the load-balancing weight, at least 1.
func (h *Host) Weight() uint32 { return max(h.weight.Load(), 1) }

// SetMetadata replaces the metadata, which is immutable.
func (h *Host) SetMetadata(m config.Metadata) { h.meta.Store(&m) }

// Metadata is the endpoint's metadata; do not change it.
func (h *Host) Metadata() config.Metadata {
	if p := h.meta.Load(); p != nil {
		return *p
	}
	return nil
}

// Flags returns all health flags.
func (h *Host) Flags() HealthFlag { return HealthFlag(h.flags.Load()) }

// SetFlag sets a flag and says whether it was clear.
func (h *Host) SetFlag(f HealthFlag) bool { return HealthFlag(h.flags.Or(uint32(f)))&f != f }

// ClearFlag clears a flag and says whether it was set.
func (h *Host) ClearFlag(f HealthFlag) bool { return HealthFlag(h.flags.And(^uint32(f)))&f != 0 }

// SetEDSHealth keeps the status that the configuration gave.
func (h *Host) SetEDSHealth(s config.Health) { h.edsHealth.Store(uint32(s)) }

// EDSHealth is the status that the configuration gave.
func (h *Host) EDSHealth() config.Health { return config.Health(h.edsHealth.Load()) }

// Healthy says whether the host takes traffic in the first place.
func (h *Host) Healthy() bool {
	return h.Flags()&(FailedActiveHC|FailedOutlier|FailedEDS|DegradedActiveHC|DegradedEDS|EDSDraining) == 0
}

// Degraded says whether the host takes traffic when healthy ones are too few.
func (h *Host) Degraded() bool {
	f := h.Flags()
	return f&(FailedActiveHC|FailedOutlier|FailedEDS|EDSDraining) == 0 && f&(DegradedActiveHC|DegradedEDS) != 0
}
