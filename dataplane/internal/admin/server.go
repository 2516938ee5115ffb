package admin

import (
	"encoding/json"
	"html"
	"runtime"
	"strings"
)

func (h *Handler) serverEndpoints() []*endpoint {
	s := h.src.Server
	return []*endpoint{
		{path: "/", help: "Admin home page", handle: h.home},
		{path: "/help", help: "print out list of admin commands", handle: func(*Request) Response { return text(200, h.help()) }},
		{path: "/ready", help: "print server state, return 200 if LIVE, otherwise return 503", handle: func(*Request) Response {
			state := s.State()
			if state == Live {
				return text(200, state.String()+"\n")
			}
			return text(503, state.String()+"\n")
		}},
		{path: "/server_info", help: "print server version/status information", handle: func(*Request) Response { return asJSON(s.Info()) }},
		{path: "/hot_restart_version", help: "print the hot restart compatibility version", handle: func(*Request) Response { return text(200, s.HotRestartVersion()) }},
		{path: "/healthcheck/fail", mutates: true, help: "cause the server to fail health checks", handle: func(*Request) Response { s.FailHealthChecks(true); return ok }},
		{path: "/healthcheck/ok", mutates: true, help: "cause the server to pass health checks", handle: func(*Request) Response { s.FailHealthChecks(false); return ok }},
		{path: "/quitquitquit", mutates: true, help: "exit the server", handle: func(*Request) Response {
			r := ok
			r.After = s.Quit
			return r
		}},
		{path: "/reopen_logs", mutates: true, help: "reopen access logs", handle: func(*Request) Response { s.ReopenLogs(); return ok }},
		{path: "/drain_listeners", mutates: true, help: "drain listeners", params: []paramHelp{
			{"graceful", "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and duration is configurable via server options or CLI"},
			{"skip_exit", "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no effect when this is set, since the drain period only delays stopping the listeners"},
			{"inboundonly", "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is inbound or outbound."},
		}, handle: func(r *Request) Response {
			s.DrainListeners(DrainOptions{Graceful: r.Query.Has("graceful"), SkipExit: r.Query.Has("skip_exit"), InboundOnly: r.Query.Has("inboundonly")})
			return ok
		}},
		{path: "/init_dump", help: "dump current Envoy init manager information (experimental)", params: []paramHelp{
			{"mask", "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the unready targets of all listeners with /init_dump?mask=listener`"},
		}, handle: h.initDump},
		{path: "/memory", help: "print current allocation/heap usage", handle: memory},
		{path: "/memory/tcmalloc", help: "print TCMalloc stats", handle: func(*Request) Response {
			return text(200, "this process is written in Go and has no TCMalloc: see /memory and /heap_dump\n")
		}},
	}
}

func (h *Handler) home(*Request) Response {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><html lang=\"en\"><head><title>Hawser admin</title><style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1em;vertical-align:top}</style></head><body><h1>Hawser admin</h1><table>\n")
	for _, e := range h.endpoints {
		name := html.EscapeString(e.path)
		if e.mutates {
			b.WriteString("<tr><td><form action=\"" + name[1:] + "\" method=\"post\"><button>" + name[1:] + "</button></form></td>")
		} else {
			b.WriteString("<tr><td><a href=\"" + name + "\">" + name + "</a></td>")
		}
		b.WriteString("<td>" + html.EscapeString(e.help) + "</td></tr>\n")
	}
	b.WriteString("</table></body></html>\n")
	return Response{Status: 200, ContentType: TextHTML, Body: []byte(b.String())}
}

func (h *Handler) initDump(*Request) Response {
	type manager struct {
		Name    string   `json:"name"`
		Targets []string `json:"target_names"`
	}
	if names := h.src.Server.Unready(); len(names) > 0 {
		return asJSON(map[string]any{"unready_targets_dumps": []manager{{"server", names}}})
	}
	return asJSON(map[string]any{})
}

func memory(*Request) Response {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := func(n uint64) json.Number { b, _ := json.Marshal(n); return json.Number(b) }
	return asJSON(map[string]any{
		"allocated": u(m.HeapAlloc).String(), "heap_size": u(m.HeapSys).String(), "pageheap_unmapped": u(m.HeapReleased).String(),
		"pageheap_free": u(m.HeapIdle - m.HeapReleased).String(), "total_thread_cache": "0", "total_physical_bytes": u(m.Sys - m.HeapReleased).String(),
	})
}

// asJSON marshals v as Envoy prints messages: one space of indentation.
func asJSON(v any) Response {
	body, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return text(500, err.Error())
	}
	return Response{Status: 200, ContentType: JSON, Body: append(body, '\n')}
}
