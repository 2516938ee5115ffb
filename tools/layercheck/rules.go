package layercheck

import "strings"

// dataplane is where the data plane's packages live; the order of the list is
// the order in which they may import: each only what stands above it.
const dataplane = "github.com/hawser-mesh/hawser/dataplane/internal/"

// Level is one row of the data plane's layers. Packages of one row may import
// each other only in the order in which the row names them.
type Level struct {
	Purpose  string
	Packages []string // a package, or "x/..." for all below it
}

// Levels are the data plane's layers, lowest first.
var Levels = []Level{
	{"bytes, headers, metrics, errors, time, places: no package of ours below", []string{
		"buffer", "header", "stats", "fault", "clock", "address", "fieldpath", "logging"}},
	{"what fields are supported; the worker; plain configuration", []string{
		"support", "event", "event/...", "config"}},
	{"pure matching; connections, and the codec-neutral stream contract", []string{
		"matcher", "matcher/...", "network", "network/...", "transport", "transport/...", "stream", "stream/..."}},
	{"codecs implement stream; picking and formatting", []string{
		"codec/...", "upstream", "streaminfo", "formatter", "formatter/...", "route", "route/...", "lb", "lb/...", "accesslog/...", "accesslog", "tracing", "tracing/..."}},
	{"the HTTP filter contract; hosts, pools and clusters; callouts", []string{
		"filter", "filter/...", "dns", "upstream/...", "async", "async/..."}},
	{"connection to streams to filters", []string{"localreply", "hcm", "hcm/...", "filters/..."}},
	{"what feeds and shows configuration", []string{
		"listener", "listener/...", "runtime", "xds/client", "xds/client/...", "xds/decode/...", "xds/decode", "xds/...", "admin", "admin/...", "hotrestart"}},
	{"the composition root", []string{"cli", "server", "server/..."}},
}

// Rule forbids imports.
type Rule struct {
	// From and Import are prefixes of import paths.
	From, Import string
	// Except are packages under From that may.
	Except []string
	Reason string
}

const module = "github.com/hawser-mesh/hawser/"

// Rules hold for the whole repository.
var Rules = []Rule{
	{From: module + "dataplane", Import: "github.com/jackc/", Reason: "the data plane knows no database: the control plane may be down"},
	{From: module + "dataplane", Import: "github.com/nats-io/", Reason: "the data plane knows no message bus: xDS is its only source of configuration"},
	{From: module + "dataplane", Import: module + "services", Reason: "proto is all that the data plane and the services share"},
	{From: module + "services", Import: module + "dataplane", Reason: "proto is all that the data plane and the services share"},
	{From: module + "proto", Import: module + "services", Reason: "contracts know no implementation"},
	{From: module + "proto", Import: module + "dataplane", Reason: "contracts know no implementation"},
	{From: module, Import: "github.com/valyala/fasthttp", Reason: "our codecs are the request path"},
	{From: dataplane, Import: "net/http", Except: []string{"xds", "transport", "server"},
		Reason: "no net/http on the request path: it costs several times our codecs and loses Envoy's semantics"},
	{From: dataplane, Import: "github.com/envoyproxy/go-control-plane", Except: []string{"xds", "support", "server", "hcm", "localreply", "filters", "transport", "accesslog", "formatter", "matcher", "tracing", "filter"},
		Reason: "protobuf stops at the border: decoders turn messages into plain structs"},
}

// place returns the level and position of a data-plane package; ok is false
// for a package that no level names.
func place(pkg string) (level, pos int, ok bool) {
	best := -1
	for l, row := range Levels {
		for p, name := range row.Packages {
			prefix, tree := strings.CutSuffix(name, "/...")
			match := pkg == name || tree && strings.HasPrefix(pkg, prefix+"/")
			if match && len(prefix) > best {
				best, level, pos, ok = len(prefix), l, p, true
			}
		}
	}
	return level, pos, ok
}

// CheckImport returns why a package must not import another, or "".
func CheckImport(from, imported string) string {
	for _, r := range Rules {
		if strings.HasPrefix(from, r.From) && strings.HasPrefix(imported, r.Import) && !excepted(from, r) {
			return r.Reason
		}
	}
	a, inside := strings.CutPrefix(from, dataplane)
	b, ours := strings.CutPrefix(imported, dataplane)
	if !inside || !ours {
		return ""
	}
	la, pa, ok := place(a)
	if !ok {
		return "package " + a + " stands in no level: name it in tools/layercheck/rules.go, where its imports say"
	}
	lb, pb, ok := place(b)
	if !ok {
		return "package " + b + " stands in no level: name it in tools/layercheck/rules.go"
	}
	if lb > la || lb == la && pb > pa {
		return "imports go downward: " + a + " (level " + string(rune('0'+la)) + ") is below " + b + " (level " + string(rune('0'+lb)) + ", " + Levels[lb].Purpose + ")"
	}
	return ""
}

func excepted(from string, r Rule) bool {
	for _, e := range r.Except {
		if strings.HasPrefix(from, strings.TrimSuffix(r.From, "/")+"/"+e) {
			return true
		}
	}
	return false
}
