// Package logging is the proxy's application log: one logger for each of
// Envoy's components, with a level of its own that can be changed at any time,
// and lines in Envoy's format. It is for people and never on the request path
// at its default levels: a line that is not wanted costs one atomic load.
package logging

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Level is how important a line is.
type Level int32

// The levels, in rising order.
const (
	Trace Level = iota
	Debug
	Info
	Warning
	Error
	Critical
	Off
)

var levelNames = [...]string{"trace", "debug", "info", "warning", "error", "critical", "off"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel returns the level of a name; "warn" is "warning".
func ParseLevel(s string) (Level, bool) {
	if s == "warn" {
		s = "warning"
	}
	for i, n := range levelNames {
		if n == s {
			return Level(i), true
		}
	}
	return 0, false
}

// components are Envoy's loggers, in the order in which /logging shows them.
var components = []string{
	"a2a", "admin", "ai_protocol_manager", "alternate_protocols_cache", "aws", "assert", "backtrace",
	"basic_auth", "cache_filter", "client", "config", "connection", "conn_handler", "compression",
	"credential_injector", "decompression", "dns", "dubbo", "envoy_bug", "ext_authz", "ext_proc",
	"rocketmq", "file", "filter", "forward_proxy", "geolocation", "grpc", "happy_eyeballs", "hc",
	"health_checker", "http", "http2", "hystrix", "init", "io", "jwt", "json_rpc", "kafka",
	"key_value_store", "lua", "local_rate_limit", "main", "matcher", "mcp", "misc", "mongo",
	"multi_connection", "notification", "oauth2", "quic", "quic_stream", "pool", "rate_limit_quota",
	"rbac", "rds", "redis", "router", "runtime", "stats", "secret", "sse", "tap", "testing", "thrift",
	"tracing", "upstream", "udp", "wasm", "websocket", "golang", "stats_sinks", "dynamic_modules",
	"ip_tagging",
}

// DefaultFormat is Envoy's --log-format.
const DefaultFormat = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"

// Loggers are the loggers of a process. It may be used by any goroutine.
type Loggers struct {
	byName map[string]*Logger
	mu     sync.Mutex
	out    io.Writer
	path   string // of a log file, for Reopen
	format string
}

// New returns loggers of one level that write to out in Envoy's default format.
func New(out io.Writer, level Level) *Loggers {
	l := &Loggers{byName: map[string]*Logger{}, out: out, format: DefaultFormat}
	for _, n := range components {
		g := &Logger{name: n, set: l}
		g.level.Store(int32(level))
		l.byName[n] = g
	}
	return l
}

// SetFormat sets the pattern of lines (--log-format).
func (l *Loggers) SetFormat(format string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.format = format
}

// OpenFile makes the loggers write to the end of a file (--log-path).
func (l *Loggers) OpenFile(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.out.(io.Closer); ok && l.path != "" {
		_ = c.Close()
	}
	l.out, l.path = f, path
	return nil
}

// Reopen opens the log file again, after it was moved away.
func (l *Loggers) Reopen() error {
	l.mu.Lock()
	path := l.path
	l.mu.Unlock()
	if path == "" {
		return nil
	}
	return l.OpenFile(path)
}

// Get returns a component's logger; an unknown name gives "misc".
func (l *Loggers) Get(name string) *Logger {
	if g := l.byName[name]; g != nil {
		return g
	}
	return l.byName["misc"]
}

// Names returns the components in the order of /logging.
func (l *Loggers) Names() []string { return components }

// Level returns the name of a component's level.
func (l *Loggers) Level(name string) string { return Level(l.Get(name).level.Load()).String() }

// SetLevel changes one component's level; false means an unknown component or
// level.
func (l *Loggers) SetLevel(name, level string) bool {
	v, ok := ParseLevel(level)
	g := l.byName[name]
	if !ok || g == nil {
		return false
	}
	g.level.Store(int32(v))
	return true
}

// SetAll changes the level of all components; an unknown level changes nothing.
func (l *Loggers) SetAll(level string) {
	if v, ok := ParseLevel(level); ok {
		for _, g := range l.byName {
			g.level.Store(int32(v))
		}
	}
}

// Logger writes the lines of one component. A nil Logger drops them.
type Logger struct {
	name  string
	set   *Loggers
	level atomic.Int32
}

// Enabled says whether lines of a level are written.
func (g *Logger) Enabled(l Level) bool { return g != nil && int32(l) >= g.level.Load() }

// Tracef and its siblings write one line.
func (g *Logger) Tracef(format string, args ...any) { g.logf(Trace, format, args...) }

// Debugf writes a line of level debug.
func (g *Logger) Debugf(format string, args ...any) { g.logf(Debug, format, args...) }

// Infof writes a line of level info.
func (g *Logger) Infof(format string, args ...any) { g.logf(Info, format, args...) }

// Warnf writes a line of level warning.
func (g *Logger) Warnf(format string, args ...any) { g.logf(Warning, format, args...) }

// Errorf writes a line of level error.
func (g *Logger) Errorf(format string, args ...any) { g.logf(Error, format, args...) }

// Criticalf writes a line of level critical.
func (g *Logger) Criticalf(format string, args ...any) { g.logf(Critical, format, args...) }

func (g *Logger) logf(l Level, format string, args ...any) {
	if !g.Enabled(l) {
		return
	}
	msg := fmt.Sprintf(format, args...)
	s := g.set
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, render(s.format, time.Now(), l, g.name, msg))
}

// render expands an spdlog pattern, as far as Envoy documents it.
func render(format string, now time.Time, l Level, name, msg string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'Y':
			b.WriteString(now.Format("2006"))
		case 'm':
			b.WriteString(now.Format("01"))
		case 'd':
			b.WriteString(now.Format("02"))
		case 'T':
			b.WriteString(now.Format("15:04:05"))
		case 'H':
			b.WriteString(now.Format("15"))
		case 'M':
			b.WriteString(now.Format("04"))
		case 'S':
			b.WriteString(now.Format("05"))
		case 'e':
			b.WriteString(now.Format(".000")[1:])
		case 'f':
			b.WriteString(now.Format(".000000")[1:])
		case 'F':
			b.WriteString(now.Format(".000000000")[1:])
		case 'z':
			b.WriteString(now.Format("-07:00"))
		case 't', 'P':
			b.WriteString(strconv.Itoa(os.Getpid()))
		case 'l':
			b.WriteString(l.String())
		case 'L':
			b.WriteString(strings.ToUpper(l.String()[:1]))
		case 'n':
			b.WriteString(name)
		case 'g':
			b.WriteString("hawser")
		case '#':
			b.WriteString("0")
		case 'v', '_':
			b.WriteString(msg)
		case 'j':
			q := strconv.Quote(msg)
			b.WriteString(q[1 : len(q)-1])
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
	b.WriteByte('\n')
	return b.String()
}
