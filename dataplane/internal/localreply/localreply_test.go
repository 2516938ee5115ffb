package localreply

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/header"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

func decode(t *testing.T, text string) (*Config, error) {
	t.Helper()
	m := new(hcmv3.LocalReplyConfig)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	return Decode(m, Deps{Headers: func(list []*corev3.HeaderValueOption, _ fieldpath.Path) ([]route.HeaderOp, error) {
		var out []route.HeaderOp
		for _, h := range list {
			out = append(out, route.HeaderOp{Name: h.GetHeader().GetKey(), Text: h.GetHeader().GetValue(), Action: config.OverwriteIfExistsOrAdd})
		}
		return out, nil
	}}, fieldpath.New("r"))
}

const status = `"filter":{"status_code_filter":{"comparison":{"value":{"default_value":%,"runtime_key":"k"}}}}`

func TestRewrite(t *testing.T) {
	mapper := func(code, rest string) string { return `{` + strings.Replace(status, "%", code, 1) + rest + `}` }
	text := `{"body_format":{"json_format":{"text":"%LOCAL_REPLY_BODY%","code":"%RESPONSE_CODE%"}},"mappers":[` +
		mapper("404", `,"status_code":410,"body":{"inline_string":"gone"},"headers_to_add":[{"header":{"key":"x-a","value":"b"}}]`) + `,` +
		mapper("404", `,"status_code":411`) + `,` +
		mapper("500", `,"body_format_override":{"text_format":"<%LOCAL_REPLY_BODY%>","content_type":"text/html"}`) + `]}`
	c, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		code                  int
		status, body, content string
		added                 bool
	}{
		{404, "410", `{"code":410,"text":"gone"}` + "\n", "application/json", true},
		{500, "500", "<old>", "text/html", false},
		{503, "503", `{"code":503,"text":"old"}` + "\n", "application/json", false},
	} {
		i, h := &streaminfo.Info{Code: x.code}, new(header.Map)
		h.AddID(header.Status, strings.Split(x.status, " ")[0])
		body := c.Rewrite(nil, i, h, "old")
		if body != x.body || h.GetID(header.Status) != x.status || h.GetID(header.ContentType) != x.content || h.Has("x-a") != x.added {
			t.Errorf("%d: %q %s %s", x.code, body, h.GetID(header.Status), h.GetID(header.ContentType))
		}
	}
}

func TestWithoutFormatTheBodyStays(t *testing.T) {
	c, err := decode(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	h := new(header.Map)
	if body := c.Rewrite(nil, &streaminfo.Info{Code: 503}, h, "old"); body != "old" || h.HasID(header.ContentType) {
		t.Errorf("%q", body)
	}
}

func TestErrorsHavePaths(t *testing.T) {
	_, err := decode(t, `{"mappers":[{`+strings.Replace(status, "%", "1", 1)+`,"body_format_override":{"text_format":"%NO%"}}]}`)
	if err == nil || !strings.HasPrefix(err.Error(), "r.mappers[0].body_format_override.text_format: ") {
		t.Error(err)
	}
}
