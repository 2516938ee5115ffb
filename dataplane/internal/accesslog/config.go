package accesslog

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog/file"
	"github.com/hawser-mesh/hawser/dataplane/internal/fault"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Files makes the loggers that write to files.
type Files struct {
	Manager *file.Manager
	Workers int
	Options formatter.Options
}

// Decode makes the logger of a FileAccessLog, StdoutAccessLog or
// StderrAccessLog at p.
func (f Files) Decode(a *anypb.Any, filter Filter, p fieldpath.Path) (streaminfo.Logger, error) {
	var path string
	var format formatter.Format
	var err error
	switch a.MessageName() {
	case "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog":
		m := new(streamv3.StdoutAccessLog)
		if err := support.Unpack(a, m, p); err != nil {
			return nil, err
		}
		path = "/dev/stdout"
		format, err = f.format(m.GetLogFormat(), p.Field("log_format"))
	case "envoy.extensions.access_loggers.stream.v3.StderrAccessLog":
		m := new(streamv3.StderrAccessLog)
		if err := support.Unpack(a, m, p); err != nil {
			return nil, err
		}
		path = "/dev/stderr"
		format, err = f.format(m.GetLogFormat(), p.Field("log_format"))
	default:
		m := new(filev3.FileAccessLog)
		if err := support.Unpack(a, m, p); err != nil {
			return nil, err
		}
		path = m.GetPath()
		format, err = f.fileFormat(m, p)
	}
	if err != nil {
		return nil, err
	}
	out, err := f.Manager.Open(path)
	if err != nil {
		return nil, p.Field("path").Wrap(err)
	}
	return NewFile(out, format, filter, f.Workers), nil
}

func (f Files) format(s *corev3.SubstitutionFormatString, p fieldpath.Path) (formatter.Format, error) {
	if s == nil {
		return formatter.CompileText(DefaultFormat, f.Options)
	}
	return formatter.Decode(s, p, f.Options)
}

// fileFormat knows the deprecated forms too.
func (f Files) fileFormat(m *filev3.FileAccessLog, p fieldpath.Path) (format formatter.Format, err error) {
	switch k := m.GetAccessLogFormat().(type) {
	case *filev3.FileAccessLog_Format:
		if k.Format == "" {
			return f.format(nil, p)
		}
		format, err = formatter.CompileText(k.Format, f.Options)
		return format, p.Field("format").Wrap(err)
	case *filev3.FileAccessLog_JsonFormat:
		format, err = formatter.CompileJSON(k.JsonFormat.AsMap(), f.Options)
		return format, p.Field("json_format").Wrap(err)
	case *filev3.FileAccessLog_TypedJsonFormat:
		format, err = formatter.CompileJSON(k.TypedJsonFormat.AsMap(), f.Options)
		return format, p.Field("typed_json_format").Wrap(err)
	case *filev3.FileAccessLog_LogFormat:
		return f.format(k.LogFormat, p.Field("log_format"))
	}
	return f.format(nil, p)
}

// DecodeFilter compiles an AccessLogFilter at p; nil is nil.
func DecodeFilter(m *accesslogv3.AccessLogFilter, p fieldpath.Path, rt Runtime) (Filter, error) {
	if m == nil {
		return nil, nil
	}
	switch k := m.GetFilterSpecifier().(type) {
	case *accesslogv3.AccessLogFilter_StatusCodeFilter:
		return &Status{comparison(k.StatusCodeFilter.GetComparison(), rt)}, nil
	case *accesslogv3.AccessLogFilter_DurationFilter:
		return &Duration{comparison(k.DurationFilter.GetComparison(), rt)}, nil
	case *accesslogv3.AccessLogFilter_NotHealthCheckFilter:
		return NotHealthCheck{}, nil
	case *accesslogv3.AccessLogFilter_RuntimeFilter:
		return share(k.RuntimeFilter, rt), nil
	case *accesslogv3.AccessLogFilter_AndFilter:
		list, err := decodeFilters(k.AndFilter.GetFilters(), p.Field("and_filter.filters"), rt)
		return And(list), err
	case *accesslogv3.AccessLogFilter_OrFilter:
		list, err := decodeFilters(k.OrFilter.GetFilters(), p.Field("or_filter.filters"), rt)
		return Or(list), err
	case *accesslogv3.AccessLogFilter_HeaderFilter:
		h, err := matcher.DecodeHeader(k.HeaderFilter.GetHeader(), p.Field("header_filter.header"))
		return &Header{h}, err
	case *accesslogv3.AccessLogFilter_ResponseFlagFilter:
		return flags(k.ResponseFlagFilter, p.Field("response_flag_filter.flags"))
	case *accesslogv3.AccessLogFilter_GrpcStatusFilter:
		g := &GRPCStatus{Exclude: k.GrpcStatusFilter.GetExclude()}
		for _, s := range k.GrpcStatusFilter.GetStatuses() {
			g.Codes = append(g.Codes, int(s))
		}
		return g, nil
	case *accesslogv3.AccessLogFilter_MetadataFilter:
		return metadata(k.MetadataFilter, p.Field("metadata_filter"))
	case *accesslogv3.AccessLogFilter_LogTypeFilter:
		l := &LogType{Exclude: k.LogTypeFilter.GetExclude()}
		for _, t := range k.LogTypeFilter.GetTypes() {
			l.Types = append(l.Types, t.String())
		}
		return l, nil
	}
	return nil, p.Errorf("a filter is required")
}

func decodeFilters(list []*accesslogv3.AccessLogFilter, p fieldpath.Path, rt Runtime) ([]Filter, error) {
	var out []Filter
	for i, m := range list {
		f, err := DecodeFilter(m, p.Index(i), rt)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func comparison(m *accesslogv3.ComparisonFilter, rt Runtime) Comparison {
	op := map[accesslogv3.ComparisonFilter_Op]Op{
		accesslogv3.ComparisonFilter_EQ: Equal, accesslogv3.ComparisonFilter_GE: GreaterOrEqual,
		accesslogv3.ComparisonFilter_LE: LessOrEqual, accesslogv3.ComparisonFilter_NE: NotEqual,
	}[m.GetOp()]
	return Comparison{Op: op, Value: uint64(m.GetValue().GetDefaultValue()), Key: m.GetValue().GetRuntimeKey(), Runtime: rt}
}

func share(m *accesslogv3.RuntimeFilter, rt Runtime) *Share {
	s := &Share{Key: m.GetRuntimeKey(), Denominator: 100, Independent: m.GetUseIndependentRandomness(), Runtime: rt}
	if f := m.GetPercentSampled(); f != nil {
		s.Numerator = f.GetNumerator()
		switch f.GetDenominator() {
		case typev3.FractionalPercent_TEN_THOUSAND:
			s.Denominator = 10_000
		case typev3.FractionalPercent_MILLION:
			s.Denominator = 1_000_000
		}
	}
	return s
}

func flags(m *accesslogv3.ResponseFlagFilter, p fieldpath.Path) (Filter, error) {
	f := &Flags{}
	for i, name := range m.GetFlags() {
		flag, ok := fault.FlagByName(name)
		if !ok {
			return nil, p.Index(i).Errorf("unknown response flag %q", name)
		}
		f.Want |= flag
	}
	return f, nil
}

func metadata(m *accesslogv3.MetadataFilter, p fieldpath.Path) (Filter, error) {
	f := &Metadata{Namespace: m.GetMatcher().GetFilter(), Missing: true}
	if m.GetMatchIfKeyNotFound() != nil {
		f.Missing = m.GetMatchIfKeyNotFound().GetValue()
	}
	if m.GetMatcher() == nil {
		f.Value = func(any) bool { return true }
		return f, nil
	}
	for _, s := range m.GetMatcher().GetPath() {
		f.Path = append(f.Path, s.GetKey())
	}
	match, err := matcher.DecodeValue(m.GetMatcher().GetValue(), p.Field("matcher.value"))
	if err != nil {
		return nil, err
	}
	invert := m.GetMatcher().GetInvert()
	f.Value = func(v any) bool { return match(v) != invert }
	return f, nil
}

// MessageNames are the messages that Files.Decode takes.
func MessageNames() []string {
	return []string{
		"envoy.extensions.access_loggers.file.v3.FileAccessLog",
		"envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
		"envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
	}
}
