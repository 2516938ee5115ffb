package cli

import (
	"runtime"
	"strings"
	"time"
)

// Mode is --mode.
type Mode uint8

// The modes.
const (
	Serve Mode = iota
	Validate
	InitOnly
)

// LogLevel is one entry of --component-log-level.
type LogLevel struct{ Component, Level string }

// Options is the command line.
type Options struct {
	ConfigPath string
	ConfigYAML string
	Mode       Mode
	// Concurrency is the number of workers, at least 1.
	Concurrency int

	LogLevel        string // trace, debug, info, warning, error, critical, off
	ComponentLevels []LogLevel
	LogFormat       string // "": the default
	LogEscaped      bool   // --log-format-escaped
	LogPath         string // "": standard error
	FineGrainLog    bool

	BaseID           uint32
	UseDynamicBaseID bool
	BaseIDPath       string
	RestartEpoch     uint32
	HotRestart       bool // not --disable-hot-restart
	SocketPath       string
	SocketMode       uint32

	ServiceNode, ServiceCluster, ServiceZone string

	DrainTime          time.Duration
	DrainImmediate     bool // --drain-strategy immediate
	ParentShutdownTime time.Duration

	AdminAddressPath string
	IPv6             bool // --local-address-ip-version v6
	FileFlush        time.Duration
	FileFlushSize    int // bytes

	AllowUnknownStatic   bool
	RejectUnknownDynamic bool
	IgnoreUnknownDynamic bool
	SkipDeprecatedLogs   bool
	CPUSetThreads        bool
	DisableExtensions    []string
	// StatsTags are the fixed tags of --stats-tag.
	StatsTags []StatsTag
	// Strict is a switch of this proxy: RFC 9112 and 9113 where Envoy is
	// lenient.
	Strict bool
	// CacheDirectory is a switch of this proxy: where the last good
	// configuration of control planes is kept; "": nowhere.
	CacheDirectory string
}

// StatsTag is one --stats-tag name:value.
type StatsTag struct{ Name, Value string }

func defaults() *Options {
	return &Options{
		Concurrency: runtime.NumCPU(), LogLevel: "info", HotRestart: true, SocketPath: "@envoy_domain_socket", SocketMode: 0o600,
		DrainTime: 600 * time.Second, ParentShutdownTime: 900 * time.Second, FileFlush: 10 * time.Second, FileFlushSize: 64 << 10,
	}
}

// levels are the names of log levels with their spdlog name.
var levels = map[string]string{
	"trace": "trace", "debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error", "critical": "critical", "off": "off",
}

const levelNames = "[trace][debug][info][warning|warn][error][critical][off]"

// componentLevels reads "upstream:debug,connection:trace".
func componentLevels(s string) ([]LogLevel, error) {
	var out []LogLevel
	for part := range strings.SplitSeq(s, ",") {
		component, level, ok := strings.Cut(part, ":")
		if !ok || component == "" || strings.Contains(level, ":") {
			return nil, usage("error: component log level not correctly specified '%s'", part)
		}
		l, ok := levels[level]
		if !ok {
			return nil, usage("error: invalid log level specified '%s'", level)
		}
		out = append(out, LogLevel{component, l})
	}
	return out, nil
}
