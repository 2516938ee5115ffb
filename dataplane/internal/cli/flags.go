package cli

import (
	"strconv"
	"strings"
	"time"
)

// flags are all flags, in the order of the help.
func flags() []flag {
	return append(append(configFlags(), logFlags()...), append(processFlags(), compatibleFlags()...)...)
}

func configFlags() []flag {
	return []flag{
		{name: "config-path", short: "c", value: "string", help: "Path to configuration file (.yaml .yml .json .pb .pb_text)", set: text(func(o *Options) *string { return &o.ConfigPath })},
		{name: "config-yaml", value: "string", help: "Inline YAML configuration, merges with the contents of --config-path", set: text(func(o *Options) *string { return &o.ConfigYAML })},
		{name: "mode", value: "string", help: "One of 'serve' (default), 'validate' (validate configuration and exit) or 'init_only'", set: setMode},
		{name: "config-validate", help: "The same as --mode validate", set: func(o *Options, _ string) error { o.Mode = Validate; return nil }},
		{name: "allow-unknown-fields", help: "The same as --allow-unknown-static-fields (deprecated)", set: on(func(o *Options) *bool { return &o.AllowUnknownStatic })},
		{name: "allow-unknown-static-fields", help: "Allow unknown fields in static configuration", set: on(func(o *Options) *bool { return &o.AllowUnknownStatic })},
		{name: "reject-unknown-dynamic-fields", help: "Reject unknown fields in dynamic configuration", set: on(func(o *Options) *bool { return &o.RejectUnknownDynamic })},
		{name: "ignore-unknown-dynamic-fields", help: "Ignore unknown fields in dynamic configuration, without counting them", set: on(func(o *Options) *bool { return &o.IgnoreUnknownDynamic })},
		{name: "service-node", value: "string", help: "Node name", set: text(func(o *Options) *string { return &o.ServiceNode })},
		{name: "service-cluster", value: "string", help: "Cluster name", set: text(func(o *Options) *string { return &o.ServiceCluster })},
		{name: "service-zone", value: "string", help: "Zone name", set: text(func(o *Options) *string { return &o.ServiceZone })},
		{name: "admin-address-path", value: "string", help: "Path of a file that the admin address is written to", set: text(func(o *Options) *string { return &o.AdminAddressPath })},
		{name: "local-address-ip-version", value: "string", help: "The local IP address version (v4 or v6)", set: setIPVersion},
		{name: "stats-tag", value: "name:value", help: "A tag of every statistic; may be repeated", set: setStatsTag, repeats: true},
		{name: "disable-extensions", value: "string", help: "Comma-separated list of extensions to disable", set: func(o *Options, v string) error {
			o.DisableExtensions = strings.Split(v, ",")
			return nil
		}},
		{name: "strict", help: "Refuse what RFC 9112 and RFC 9113 refuse, where Envoy is lenient", set: on(func(o *Options) *bool { return &o.Strict })},
		{name: "cache-directory", value: "string", help: "Keep the last good configuration of control planes here, and start from it without them", set: text(func(o *Options) *string { return &o.CacheDirectory })},
	}
}

func logFlags() []flag {
	return []flag{
		{name: "log-level", short: "l", value: "string", help: "Log levels: " + levelNames + ", default is [info]", set: func(o *Options, v string) error {
			l, ok := levels[v]
			if !ok {
				return usage("error: invalid log level specified '%s'", v)
			}
			o.LogLevel = l
			return nil
		}},
		{name: "component-log-level", value: "string", help: "Comma-separated list of component log levels, for example upstream:debug,config:trace", set: func(o *Options, v string) (err error) {
			o.ComponentLevels, err = componentLevels(v)
			return err
		}},
		{name: "log-format", value: "string", help: "Log message format in spdlog syntax", set: text(func(o *Options) *string { return &o.LogFormat })},
		{name: "log-format-escaped", help: "Escape c-style escape sequences in the application logs", set: on(func(o *Options) *bool { return &o.LogEscaped })},
		{name: "log-path", value: "string", help: "Path to logfile", set: text(func(o *Options) *string { return &o.LogPath })},
		{name: "enable-fine-grain-logging", help: "Logger: enable file level log control (Fine-Grain Logger) or not", set: on(func(o *Options) *bool { return &o.FineGrainLog })},
		{name: "skip-deprecated-logs", help: "Skips the logging of deprecated field warnings during validation", set: on(func(o *Options) *bool { return &o.SkipDeprecatedLogs })},
		{name: "file-flush-interval-msec", value: "uint32_t", help: "Interval for log flushing in msec", set: span(time.Millisecond, func(o *Options) *time.Duration { return &o.FileFlush })},
		{name: "file-flush-min-size-kb", value: "uint32_t", help: "Minimum size in KiB for log flushing", set: func(o *Options, v string) error {
			var n uint32
			err := number(func(*Options) *uint32 { return &n })(o, v)
			o.FileFlushSize = int(n) << 10
			return err
		}},
	}
}

func processFlags() []flag {
	return []flag{
		{name: "concurrency", value: "uint32_t", help: "# of worker threads to run", set: func(o *Options, v string) error {
			var n uint32
			if err := number(func(*Options) *uint32 { return &n })(o, v); err != nil {
				return err
			}
			o.Concurrency = max(1, int(n))
			return nil
		}},
		{name: "cpuset-threads", help: "Get the default # of worker threads from cpuset size", set: on(func(o *Options) *bool { return &o.CPUSetThreads })},
		{name: "drain-time-s", value: "uint32_t", help: "Hot restart and LDS removal drain time in seconds", set: span(time.Second, func(o *Options) *time.Duration { return &o.DrainTime })},
		{name: "drain-strategy", value: "string", help: "Drain strategy: 'gradual' (default) or 'immediate'", set: setDrain},
		{name: "parent-shutdown-time-s", value: "uint32_t", help: "Hot restart parent shutdown time in seconds", set: span(time.Second, func(o *Options) *time.Duration { return &o.ParentShutdownTime })},
		{name: "restart-epoch", value: "uint32_t", help: "Hot restart epoch #", set: number(func(o *Options) *uint32 { return &o.RestartEpoch })},
		{name: "base-id", value: "uint32_t", help: "Base ID so that multiple proxies can run on the same host if needed", set: number(func(o *Options) *uint32 { return &o.BaseID })},
		{name: "use-dynamic-base-id", help: "The server chooses a base ID dynamically", set: on(func(o *Options) *bool { return &o.UseDynamicBaseID })},
		{name: "base-id-path", value: "string", help: "Path to which the base ID is written", set: text(func(o *Options) *string { return &o.BaseIDPath })},
		{name: "disable-hot-restart", help: "Disable hot restart functionality", set: func(o *Options, _ string) error { o.HotRestart = false; return nil }},
		{name: "socket-path", value: "string", help: "Path to hot restart socket file", set: text(func(o *Options) *string { return &o.SocketPath })},
		{name: "socket-mode", value: "string", help: "Socket file permission (octal)", set: func(o *Options, v string) error {
			n, err := strconv.ParseUint(v, 8, 32)
			if err != nil || n > 0o777 {
				return usage("error: invalid socket-mode '%s'", v)
			}
			o.SocketMode = uint32(n)
			return nil
		}},
	}
}

// compatibleFlags are read so that Envoy's command lines work; what they tune
// is not there.
func compatibleFlags() []flag {
	return []flag{
		{name: "skip-hot-restart-on-no-parent", help: "Has no effect", set: ignored},
		{name: "skip-hot-restart-parent-stats", help: "Has no effect", set: ignored},
		{name: "log-stacktrace-single-entry", help: "Has no effect: stacks are always one entry", set: ignored},
		{name: "enable-core-dump", help: "Has no effect: the Go runtime reads GOTRACEBACK", set: ignored},
		{name: "enable-mutex-tracing", help: "Has no effect", set: ignored},
		{name: "enable-stats-element-scope", help: "Has no effect", set: ignored},
	}
}

func setMode(o *Options, v string) error {
	switch v {
	case "serve":
		o.Mode = Serve
	case "validate":
		o.Mode = Validate
	case "init_only":
		o.Mode = InitOnly
	default:
		return usage("error: unknown mode '%s'", v)
	}
	return nil
}

func setDrain(o *Options, v string) error {
	switch v {
	case "gradual":
		o.DrainImmediate = false
	case "immediate":
		o.DrainImmediate = true
	default:
		return usage("error: unknown mode '%s'", v)
	}
	return nil
}

func setIPVersion(o *Options, v string) error {
	if v != "v4" && v != "v6" {
		return usage("error: unknown IP address version '%s'", v)
	}
	o.IPv6 = v == "v6"
	return nil
}

func setStatsTag(o *Options, v string) error {
	name, value, ok := strings.Cut(v, ":")
	if !ok || name == "" {
		return usage("error: misformatted stats-tag '%s'", v)
	}
	o.StatsTags = append(o.StatsTags, StatsTag{name, value})
	return nil
}
