package decode

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/formatter"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
)

// mutable is what every level of a route configuration has.
type mutable interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

func (d *Decoder) mutation(m mutable, p fieldpath.Path) (route.Mutation, error) {
	var out route.Mutation
	var err error
	if out.RequestAdd, err = HeaderOps(m.GetRequestHeadersToAdd(), d.deps.Formats, p.Field("request_headers_to_add")); err != nil {
		return out, err
	}
	if out.ResponseAdd, err = HeaderOps(m.GetResponseHeadersToAdd(), d.deps.Formats, p.Field("response_headers_to_add")); err != nil {
		return out, err
	}
	if out.RequestRemove, err = removals(m.GetRequestHeadersToRemove(), p.Field("request_headers_to_remove")); err != nil {
		return out, err
	}
	out.ResponseRemove, err = removals(m.GetResponseHeadersToRemove(), p.Field("response_headers_to_remove"))
	return out, err
}

func removals(names []string, p fieldpath.Path) ([]string, error) {
	var out []string
	for i, n := range names {
		n = strings.ToLower(n)
		if strings.HasPrefix(n, ":") || n == "host" {
			return nil, p.Index(i).Errorf(":-prefixed or host headers may not be removed: %s", n)
		}
		out = append(out, n)
	}
	return out, nil
}

// HeaderOps compiles a list of HeaderValueOption at p.
func HeaderOps(list []*corev3.HeaderValueOption, o formatter.Options, p fieldpath.Path) ([]route.HeaderOp, error) {
	var out []route.HeaderOp
	for i, m := range list {
		at := p.Index(i).Field("header")
		op := route.HeaderOp{Name: strings.ToLower(m.GetHeader().GetKey()), Action: appendAction(m), KeepEmpty: m.GetKeepEmptyValue()}
		text := headerText(m.GetHeader())
		if m.GetAppend() != nil && m.GetAppendAction() != corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD { //nolint:staticcheck // still in use
			return nil, p.Index(i).Errorf("both append and append_action are set")
		}
		if strings.HasPrefix(op.Name, ":") || op.Name == "host" {
			if op.Action != config.OverwriteIfExistsOrAdd && op.Action != config.OverwriteIfExists {
				return nil, at.Field("key").Errorf(":-prefixed or host headers may not be appended: %s", op.Name)
			}
		}
		if strings.Contains(text, "%") {
			v, err := formatter.CompileHeader(text, o)
			if err != nil {
				return nil, at.Field("value").Wrap(err)
			}
			if v.HasOperators() {
				op.Value = v
			} else {
				text = string(v.Append(nil, nil))
			}
		}
		op.Text = text
		out = append(out, op)
	}
	return out, nil
}

func headerText(h *corev3.HeaderValue) string {
	if len(h.GetRawValue()) > 0 {
		return string(h.GetRawValue())
	}
	return h.GetValue()
}

func appendAction(m *corev3.HeaderValueOption) config.AppendAction {
	if a := m.GetAppend(); a != nil { //nolint:staticcheck // still in use
		if a.GetValue() {
			return config.AppendIfExistsOrAdd
		}
		return config.OverwriteIfExistsOrAdd
	}
	switch m.GetAppendAction() {
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		return config.AddIfAbsent
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		return config.OverwriteIfExistsOrAdd
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		return config.OverwriteIfExists
	}
	return config.AppendIfExistsOrAdd
}

// rewrite compiles a regular expression with its substitution, whose \1 become
// Go's ${1}.
func rewrite(m *matcherv3.RegexMatchAndSubstitute, p fieldpath.Path) (*route.Rewrite, error) {
	if m == nil {
		return nil, nil
	}
	r, err := compile(m.GetPattern().GetRegex())
	if err != nil {
		return nil, p.Field("pattern.regex").Errorf("%q: %w", m.GetPattern().GetRegex(), err)
	}
	var b strings.Builder
	s := m.GetSubstitution()
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$':
			b.WriteString("$$")
		case s[i] != '\\':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			if int(s[i+1]-'0') > r.NumSubexp() {
				return nil, p.Field("substitution").Errorf("%q names group %c, the expression has %d", s, s[i+1], r.NumSubexp())
			}
			b.WriteString("${" + s[i+1:i+2] + "}")
			i++
		case i+1 < len(s) && s[i+1] == '\\':
			b.WriteByte('\\')
			i++
		default:
			return nil, p.Field("substitution").Errorf("%q has a backslash without a digit", s)
		}
	}
	return &route.Rewrite{Regex: r, Substitution: b.String()}, nil
}
