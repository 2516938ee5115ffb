package listener

import (
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/stats"
)

// listenerSchema is the statistics under "listener.<address or prefix>.".
var listenerSchema = stats.NewSchema(
	stats.C("downstream_cx_total"), stats.C("downstream_cx_destroy"),
	stats.C("downstream_cx_transport_socket_connect_timeout"), stats.C("downstream_cx_overflow"),
	stats.C("downstream_cx_overload_reject"), stats.C("downstream_global_cx_overflow"),
	stats.C("downstream_pre_cx_timeout"), stats.C("downstream_listener_filter_remote_close"),
	stats.C("downstream_listener_filter_error"), stats.C("no_filter_chain_match"),
	stats.C("extension_config_missing"), stats.C("network_extension_config_missing"),
	stats.G("downstream_cx_active"), stats.G("downstream_pre_cx_active"),
	stats.H("downstream_cx_length_ms", stats.UnitMilliseconds),
	stats.H("connections_accepted_per_socket_event", stats.UnitNone),
)

const (
	cxTotal = iota
	cxDestroy
	cxHandshakeTimeout
	cxOverflow
	cxOverloadReject
	cxGlobalOverflow
	preCxTimeout
	filterRemoteClose
	filterError
	noChainMatch
	extensionMissing
	networkExtensionMissing
	cxActive
	preCxActive
	cxLength
	acceptedPerEvent
)

// workerSchema is the statistics under "listener.<…>.worker_<n>.".
var workerSchema = stats.NewSchema(stats.C("downstream_cx_total"), stats.G("downstream_cx_active"))

const (
	workerTotal = iota
	workerActive
)

// managerSchema is the statistics under "listener_manager.".
var managerSchema = stats.NewSchema(
	stats.C("listener_added"), stats.C("listener_create_failure"), stats.C("listener_create_success"),
	stats.C("listener_in_place_updated"), stats.C("listener_modified"), stats.C("listener_removed"),
	stats.C("listener_stopped"), stats.G("total_filter_chains_draining"), stats.G("total_listeners_active"),
	stats.G("total_listeners_draining"), stats.G("total_listeners_warming"), stats.G("workers_started"),
)

const (
	listenerAdded = iota
	createFailure
	createSuccess
	inPlaceUpdated
	listenerModified
	listenerRemoved
	listenerStopped
	chainsDraining
	listenersActive
	listenersDraining
	listenersWarming
	workersStarted
)

// StatPrefix is the middle of a listener's statistics names: its stat_prefix,
// or its first address with colons turned into underscores.
func StatPrefix(c *config.Listener) string {
	if c.StatPrefix != "" {
		return c.StatPrefix
	}
	return strings.ReplaceAll(c.Address.String(), ":", "_")
}
