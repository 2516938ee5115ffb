package cli

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

var info = Info{Program: "hawser-proxy", Version: "abc/1.40.0/Clean/RELEASE", HotRestart: "disabled"}

func TestParse(t *testing.T) {
	d := func(change func(*Options)) *Options {
		o := defaults()
		o.ConfigPath = "x.yaml"
		change(o)
		return o
	}
	for line, want := range map[string]*Options{
		"-c x.yaml":                                      d(func(*Options) {}),
		"--config-path x.yaml --mode validate":           d(func(o *Options) { o.Mode = Validate }),
		"--config-path=x.yaml --config-validate":         d(func(o *Options) { o.Mode = Validate }),
		"-c x.yaml --mode init_only --concurrency 0":     d(func(o *Options) { o.Mode, o.Concurrency = InitOnly, 1 }),
		"-c x.yaml --concurrency 3 -l warn":              d(func(o *Options) { o.Concurrency, o.LogLevel = 3, "warning" }),
		"-c x.yaml --config-yaml {a:b} --base-id 7":      d(func(o *Options) { o.ConfigYAML, o.BaseID = "{a:b}", 7 }),
		"-c x.yaml --drain-time-s 60":                    d(func(o *Options) { o.DrainTime = time.Minute }),
		"-c x.yaml --drain-strategy immediate":           d(func(o *Options) { o.DrainImmediate = true }),
		"-c x.yaml --file-flush-interval-msec 5":         d(func(o *Options) { o.FileFlush = 5 * time.Millisecond }),
		"-c x.yaml --disable-hot-restart":                d(func(o *Options) { o.HotRestart = false }),
		"-c x.yaml --allow-unknown-static-fields":        d(func(o *Options) { o.AllowUnknownStatic = true }),
		"-c x.yaml --local-address-ip-version v6":        d(func(o *Options) { o.IPv6 = true }),
		"-c x.yaml --socket-mode 644":                    d(func(o *Options) { o.SocketMode = 0o644 }),
		"-c x.yaml --stats-tag a:b --stats-tag c:d:e":    d(func(o *Options) { o.StatsTags = []StatsTag{{"a", "b"}, {"c", "d:e"}} }),
		"-c x.yaml --component-log-level up:debug,c:off": d(func(o *Options) { o.ComponentLevels = []LogLevel{{"up", "debug"}, {"c", "off"}} }),
		"-c x.yaml --service-node n --service-cluster c --service-zone z": d(func(o *Options) {
			o.ServiceNode, o.ServiceCluster, o.ServiceZone = "n", "c", "z"
		}),
	} {
		got, code, out := Parse(strings.Fields(line), info)
		if code != 0 || out != "" || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %d %q\nwant %+v", line, got, code, out, want)
		}
	}
	if o := defaults(); o.Concurrency != runtime.NumCPU() {
		t.Error(o.Concurrency)
	}
}

func TestErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "At least one of --config-path or --config-yaml",
		"--no-such-flag":                         "Couldn't find match for argument: --no-such-flag",
		"-c x serve":                             "Couldn't find match for argument: serve",
		"-c":                                     "Missing a value for this argument: --config-path",
		"-c x -c y":                              "Argument already set: --config-path",
		"-c x --concurrency many":                "Couldn't read argument value from string 'many'",
		"-c x --concurrency -1":                  "Couldn't read argument value from string '-1'",
		"-c x --mode run":                        "error: unknown mode 'run'",
		"-c x -l loud":                           "error: invalid log level specified 'loud'",
		"-c x --component-log-level a:b":         "error: invalid log level specified 'b'",
		"-c x --component-log-level a":           "error: component log level not correctly specified 'a'",
		"-c x --cpuset-threads=1":                "--cpuset-threads takes no value",
		"-c x --base-id 1 --use-dynamic-base-id": "cannot use --base-id and --use-dynamic-base-id together",
		"-c x --restart-epoch 1 --use-dynamic-base-id": "cannot use --restart-epoch=1 with --use-dynamic-base-id",
		"-c x --socket-mode 888":                       "error: invalid socket-mode '888'",
		"-c x --stats-tag a":                           "error: misformatted stats-tag 'a'",
		"-c x --local-address-ip-version 4":            "error: unknown IP address version '4'",
	} {
		o, code, out := Parse(strings.Fields(line), info)
		if o != nil || code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: %v %d %q, want %q", line, o, code, out, want)
		}
	}
}

func TestPrints(t *testing.T) {
	for arg, want := range map[string]string{
		"--version": "hawser-proxy  version: abc/1.40.0", "--hot-restart-version": "disabled\n", "--help": "-c <string>,  --config-path <string>",
	} {
		if o, code, out := Parse([]string{arg}, info); o != nil || code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %v %d %q", arg, o, code, out)
		}
	}
}
