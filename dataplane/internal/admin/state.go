package admin

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

func (h *Handler) stateEndpoints() []*endpoint {
	return []*endpoint{
		{path: "/clusters", help: "upstream cluster status", handle: h.clusters, params: []paramHelp{
			{"filter", "Regular expression (Google re2) for filtering clusters by name"},
		}},
		{path: "/listeners", help: "print listener info", handle: h.listeners, params: []paramHelp{
			{"format", "File format to use; One of (text, json)"},
		}},
		{path: "/runtime", help: "print runtime values", handle: h.runtime},
		{path: "/runtime_modify", mutates: true, help: "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...", handle: h.runtimeModify},
		{path: "/logging", mutates: true, help: "query/change logging levels", handle: h.logging, params: []paramHelp{
			{"paths", "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging is enabled, use __FILE__ or a glob experision as the logger name. For example, source/common*:warning"},
			{"group", "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. logger_group_name must be a logger name."},
			{"level", "desired logging level, this will change all loggers's level; One of (, trace, debug, info, warning, error, critical, off)"},
		}},
		{path: "/certs", help: "print certs on machine", handle: h.certs},
		{path: "/config_dump", help: "dump current Envoy configs", handle: h.configDump, params: []paramHelp{
			{"resource", "The resource to dump"},
			{"mask", "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask"},
			{"name_regex", "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters."},
			{"include_eds", "Dump currently loaded configuration including EDS. See the response definition for more information"},
		}},
	}
}

func (h *Handler) configDump(r *Request) Response {
	var o DumpOptions
	o.Resource, _ = r.Query.Get("resource")
	o.Mask, _ = r.Query.Get("mask")
	o.IncludeEDS = r.Query.Has("include_eds")
	if f, given := r.Query.Get("name_regex"); given && f != "" {
		re, err := regexp.Compile(f)
		if err != nil {
			return text(400, "Error while parsing name_regex from "+f+"\n")
		}
		o.NameRegex = re
	}
	body, err := h.src.Dump(o)
	if err != nil {
		status := 400
		if strings.Contains(err.Error(), "not found") {
			status = 404
		}
		return text(status, err.Error()+"\n")
	}
	return Response{Status: 200, ContentType: JSON, Body: body}
}

func (h *Handler) listeners(r *Request) Response {
	all := h.src.Listeners()
	if f, _ := r.Query.Get("format"); f == "json" {
		list := []any{}
		for _, l := range all {
			e := map[string]any{"name": l.Name}
			for i, a := range l.Addresses {
				if i == 0 {
					e["local_address"] = addressJSON(a)
					continue
				}
				more, _ := e["additional_local_addresses"].([]any)
				e["additional_local_addresses"] = append(more, addressJSON(a))
			}
			list = append(list, e)
		}
		return asJSON(map[string]any{"listener_statuses": list})
	}
	var b strings.Builder
	for _, l := range all {
		for _, a := range l.Addresses {
			b.WriteString(l.Name + "::" + a.String() + "\n")
		}
	}
	return text(200, b.String())
}

func addressJSON(a address.Address) any {
	if !a.IsIP() {
		return map[string]any{"pipe": map[string]any{"path": a.Path()}}
	}
	return map[string]any{"socket_address": map[string]any{"address": a.IP().String(), "port_value": a.Port()}}
}

func (h *Handler) runtime(*Request) Response {
	type entry struct {
		Layers []string `json:"layer_values"`
		Final  string   `json:"final_value"`
	}
	entries := map[string]entry{}
	for k, values := range h.src.Runtime.Entries() {
		e := entry{Layers: values}
		for _, v := range values {
			if v != "" {
				e.Final = v
			}
		}
		entries[k] = e
	}
	return asJSON(map[string]any{"layers": h.src.Runtime.Layers(), "entries": entries})
}

const runtimeUsage = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n" +
	"       or send the parameters as form values\n" +
	"use an empty value to remove a previously added override"

func (h *Handler) runtimeModify(r *Request) Response {
	q := r.Query
	if len(q) == 0 {
		q = ParseQuery(string(r.Body))
	}
	if len(q) == 0 {
		return text(400, runtimeUsage)
	}
	if !h.src.Runtime.HasAdminLayer() {
		return text(503, "No admin layer specified")
	}
	values := map[string]string{}
	for _, p := range q {
		values[p.Name] = p.Value
	}
	if err := h.src.Runtime.Modify(values); err != nil {
		return text(503, err.Error())
	}
	return ok
}

// Levels are the names of log levels, in rising order.
var levels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

const loggingUsage = "usage: /logging?<name>=<level> (change single level)\n" +
	"usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n" +
	"usage: /logging?level=<level> (change all levels)\n" +
	"usage: /logging?group=<group_name>:<level> (change group of loggers)\n" +
	"levels: trace debug info warning error critical off \n"

func (h *Handler) logging(r *Request) Response {
	if problem := h.setLevels(r.Query); problem != "" {
		return text(400, "error: "+problem+"\n\n"+loggingUsage)
	}
	var b strings.Builder
	b.WriteString("active loggers:\n")
	for _, n := range h.src.Logging.Names() {
		b.WriteString("  " + n + ": " + h.src.Logging.Level(n) + "\n")
	}
	b.WriteString("\n")
	return text(200, b.String())
}

// setLevels changes what the parameters say, all or nothing, and returns what
// is wrong with them.
func (h *Handler) setLevels(q Query) string {
	if len(q) == 0 {
		return ""
	}
	if len(q) > 1 {
		return "invalid number of parameters"
	}
	name, value := q[0].Name, q[0].Value
	level := func(l string) (string, bool) {
		if l == "warn" {
			l = "warning"
		}
		return l, slices.Contains(levels, l)
	}
	type change struct{ name, level string }
	var changes []change
	switch name {
	case "level":
		l, known := level(value)
		if !known {
			return "unknown logger level"
		}
		h.src.Logging.SetAll(l)
		return ""
	case "paths", "group":
		for pair := range strings.SplitSeq(value, ",") {
			n, l, _ := strings.Cut(pair, ":")
			if n == "" || l == "" {
				return "empty logger name or empty logger level"
			}
			changes = append(changes, change{n, l})
		}
	default:
		changes = append(changes, change{name, value})
	}
	for i, c := range changes {
		l, known := level(c.level)
		if !known {
			return "unknown logger level"
		}
		if !slices.Contains(h.src.Logging.Names(), c.name) {
			return "unknown logger name"
		}
		changes[i].level = l
	}
	for _, c := range changes {
		h.src.Logging.SetLevel(c.name, c.level)
	}
	return ""
}

func (h *Handler) certs(*Request) Response {
	list := []any{}
	for _, c := range h.src.Certs() {
		list = append(list, map[string]any{"ca_cert": certDetails(c.CA), "cert_chain": certDetails(c.Chain)})
	}
	return asJSON(map[string]any{"certificates": list})
}

func certDetails(certs []CertificateDetails) []any {
	out := []any{}
	for _, c := range certs {
		sans := []any{}
		for _, s := range c.SANs {
			sans = append(sans, map[string]string{s.Kind: s.Value})
		}
		days := max(0, math.Floor(time.Until(c.NotAfter).Hours()/24))
		out = append(out, map[string]any{
			"path": c.Path, "serial_number": c.Serial, "subject_alt_names": sans,
			"days_until_expiration": strconv.FormatFloat(days, 'f', 0, 64),
			"valid_from":            c.NotBefore.UTC().Format(time.RFC3339),
			"expiration_time":       c.NotAfter.UTC().Format(time.RFC3339),
		})
	}
	return out
}

func (h *Handler) clusters(r *Request) Response {
	all := h.src.Clusters()
	if f, given := r.Query.Get("filter"); given {
		re, err := regexp.Compile(f)
		if err != nil {
			return text(400, "Invalid re2 regex: "+regexProblem(err)+"\n")
		}
		all = slices.DeleteFunc(slices.Clone(all), func(c ClusterStatus) bool { return !re.MatchString(c.Name) })
	}
	if f, _ := r.Query.Get("format"); f == "json" {
		list := []any{}
		for i := range all {
			list = append(list, clusterJSON(&all[i]))
		}
		return asJSON(map[string]any{"cluster_statuses": list})
	}
	var b strings.Builder
	for i := range all {
		clusterText(&b, &all[i])
	}
	return text(200, b.String())
}

func clusterText(b *strings.Builder, c *ClusterStatus) {
	line := func(format string, args ...any) {
		b.WriteString(c.Name + "::")
		fmt.Fprintf(b, format, args...)
		b.WriteByte('\n')
	}
	line("observability_name::%s", c.ObservabilityName)
	for i, p := range []string{"default_priority", "high_priority"} {
		l := &c.Breakers[i]
		line("%s::max_connections::%d", p, l.MaxConnections)
		line("%s::max_pending_requests::%d", p, l.MaxPending)
		line("%s::max_requests::%d", p, l.MaxRequests)
		line("%s::max_retries::%d", p, l.MaxRetries)
	}
	line("added_via_api::%v", c.AddedViaAPI)
	if c.EDSName != "" {
		line("eds_service_name::%s", c.EDSName)
	}
	for _, h := range c.Hosts {
		v := newHostView(h)
		for _, s := range v.stats {
			line("%s::%s::%d", h.Address, s.name, s.value)
		}
		for _, s := range v.texts {
			line("%s::%s::%s", h.Address, s[0], s[1])
		}
	}
}

func clusterJSON(c *ClusterStatus) any {
	limits := func(i int) map[string]any {
		l := &c.Breakers[i]
		m := map[string]any{
			"max_connections": l.MaxConnections, "max_pending_requests": l.MaxPending,
			"max_requests": l.MaxRequests, "max_retries": l.MaxRetries,
		}
		if i == 1 {
			m["priority"] = "HIGH"
		}
		return m
	}
	out := map[string]any{
		"name": c.Name, "observability_name": c.ObservabilityName,
		"circuit_breakers": map[string]any{"thresholds": []any{limits(0), limits(1)}},
	}
	if c.AddedViaAPI {
		out["added_via_api"] = true
	}
	if c.EDSName != "" {
		out["eds_service_name"] = c.EDSName
	}
	var hosts []any
	for _, h := range c.Hosts {
		hosts = append(hosts, newHostView(h).json())
	}
	if hosts != nil {
		out["host_statuses"] = hosts
	}
	return out
}

// uint64JSON marshals as protobuf's JSON does: 64-bit numbers are strings.
func uint64JSON(v uint64) json.RawMessage {
	return json.RawMessage(`"` + strconv.FormatUint(v, 10) + `"`)
}
