package admin

import (
	"strconv"
	"strings"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/upstream"
)

// hostView is what /clusters shows of one host, in its order.
type hostView struct {
	host  *upstream.Host
	stats []hostStat
	texts [][2]string
}

type hostStat struct {
	name  string
	value uint64
	gauge bool
}

var flagNames = []struct {
	flag upstream.HealthFlag
	text string // of the text form
	json string // of the JSON form's field
}{
	{upstream.FailedActiveHC, "/failed_active_hc", "failed_active_health_check"},
	{upstream.FailedOutlier, "/failed_outlier_check", "failed_outlier_check"},
	{upstream.FailedEDS, "/failed_eds_health", ""},
	{upstream.DegradedActiveHC, "/degraded_active_hc", "failed_active_degraded_check"},
	{upstream.DegradedEDS, "/degraded_eds_health", ""},
	{upstream.PendingRemoval, "/pending_dynamic_removal", "pending_dynamic_removal"},
	{upstream.PendingActiveHC, "/pending_active_hc", "pending_active_hc"},
	{upstream.ExcludedByHC, "/excluded_via_immediate_hc_fail", "excluded_via_immediate_hc_fail"},
	{upstream.ActiveHCTimeout, "/active_hc_timeout", "active_hc_timeout"},
	{upstream.EDSDraining, "/eds_status_draining", ""},
}

func newHostView(h *upstream.Host) *hostView {
	gauge := func(n int64) uint64 { return uint64(max(n, 0)) }
	v := &hostView{host: h, stats: []hostStat{
		{"cx_connect_fail", h.Total.ConnectFail.Load(), false},
		{"cx_total", h.Total.Connections.Load(), false},
		{"rq_error", h.Total.Errors.Load(), false},
		{"rq_success", h.Total.Success.Load(), false},
		{"rq_timeout", h.Total.Timeouts.Load(), false},
		{"rq_total", h.Total.Requests.Load(), false},
		{"cx_active", gauge(h.Active.Connections.Load()), true},
		{"rq_active", gauge(h.Active.Requests.Load()), true},
		{"rq_pending_active", gauge(h.Active.Pending.Load()), true},
	}}
	flags := ""
	for _, f := range flagNames {
		if h.Flags()&f.flag != 0 {
			flags += f.text
		}
	}
	if flags == "" {
		flags = "healthy"
	}
	canary := false
	if lb := h.Metadata()["envoy.lb"]; lb != nil {
		canary, _ = lb["canary"].(bool)
	}
	v.texts = [][2]string{
		{"hostname", h.Hostname}, {"health_flags", flags}, {"weight", strconv.Itoa(int(h.Weight()))},
		{"region", h.Locality.Region}, {"zone", h.Locality.Zone}, {"sub_zone", h.Locality.SubZone},
		{"canary", strconv.FormatBool(canary)}, {"priority", strconv.Itoa(int(h.Priority))},
		{"success_rate", "-1"}, {"local_origin_success_rate", "-1"},
	}
	return v
}

var edsNames = map[config.Health]string{
	config.HealthUnknown: "HEALTHY", config.HealthHealthy: "HEALTHY", config.HealthUnhealthy: "UNHEALTHY",
	config.HealthDraining: "DRAINING", config.HealthTimeout: "TIMEOUT", config.HealthDegraded: "DEGRADED",
}

func (v *hostView) json() map[string]any {
	h := v.host
	var list []any
	for _, s := range v.stats {
		e := map[string]any{"name": s.name}
		if s.gauge {
			e["type"] = "GAUGE"
		}
		if s.value > 0 {
			e["value"] = uint64JSON(s.value)
		}
		list = append(list, e)
	}
	health := map[string]any{"eds_health_status": edsNames[h.EDSHealth()]}
	for _, f := range flagNames {
		if f.json != "" && h.Flags()&f.flag != 0 {
			health[f.json] = true
		}
	}
	out := map[string]any{"address": addressJSON(h.Address), "stats": list, "health_status": health, "weight": h.Weight()}
	if h.Hostname != "" {
		out["hostname"] = h.Hostname
	}
	if h.Priority > 0 {
		out["priority"] = h.Priority
	}
	locality := map[string]any{}
	for k, s := range map[string]string{"region": h.Locality.Region, "zone": h.Locality.Zone, "sub_zone": h.Locality.SubZone} {
		if strings.TrimSpace(s) != "" {
			locality[k] = s
		}
	}
	out["locality"] = locality
	return out
}
