package configapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func (h *harness) rest(method, path, kind, body string, header ...string) (int, string, http.Header) {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://"+h.server.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer.StatusCode, string(data), answer.Header
}

func TestREST(t *testing.T) {
	h := start(t, Config{})
	code, body, _ := h.rest("POST", "/v1/changesets?managedBy=me", "application/yaml", shop)
	if code != 200 || !strings.Contains(body, `"revision":"1"`) {
		t.Fatalf("%d %s", code, body)
	}
	code, body, header := h.rest("GET", "/v1/namespaces/default/HTTPRoute/shop", "", "")
	var doc struct {
		APIVersion string
		Spec       struct{ Rules []any }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || code != 200 || doc.APIVersion == "" || len(doc.Spec.Rules) != 1 {
		t.Errorf("%d %s %v", code, body, err)
	}
	// What was got can be applied.
	if code, body, _ := h.rest("POST", "/v1/changesets", "application/yaml", body); code != 200 {
		t.Errorf("applying what was got: %d %s", code, body)
	}
	for name, tc := range map[string]struct {
		code   int
		method string
		path   string
		kind   string
		body   string
		header []string
	}{
		"stale":        {412, "POST", "/v1/changesets", "application/yaml", shop[strings.Index(shop, "---\napiVersion: hawser"):], []string{"If-Match", `"x"`}},
		"stale delete": {412, "DELETE", "/v1/namespaces/default/HTTPRoute/shop", "", "", []string{"If-Match", `"x"`}},
		"invalid":      {400, "POST", "/v1/changesets", "application/yaml", "a: [", nil},
		"json":         {400, "POST", "/v1/changesets", "application/json", `{"nothing": 1}`, nil},
		"parameter":    {400, "POST", "/v1/changesets?dry=1", "application/yaml", shop, nil},
		"too large":    {413, "POST", "/v1/changesets", "application/yaml", strings.Repeat("#", 10<<20), nil},
		"too large 2":  {413, "POST", "/v1/changesets", "application/json", strings.Repeat(" ", 15<<20), nil},
		"no token":     {401, "GET", "/v1/resources", "", "", []string{"Authorization", ""}},
		"no path":      {404, "GET", "/v1/nothing", "", "", nil},
		"list":         {200, "GET", "/v1/resources?labelSelector=app%3Dshop&pageSize=5", "", "", nil},
		"openapi":      {200, "GET", "/openapi.json", "", "", nil},
		"livez":        {200, "GET", "/livez", "", "", nil},
		"readyz":       {200, "GET", "/readyz", "", "", nil},
		"metrics":      {200, "GET", "/metrics", "", "", nil},
		"rollout":      {200, "GET", "/v1/rollout", "", "", nil},
		"revert":       {200, "POST", "/v1/revisions/1:revert", "application/json", `{"dryRun": true}`, nil},
	} {
		if code, body, _ := h.rest(tc.method, tc.path, tc.kind, tc.body, tc.header...); code != tc.code {
			t.Errorf("%s: %d %.300s, want %d", name, code, body, tc.code)
		}
	}
	if code, body, _ := h.rest("DELETE", "/v1/namespaces/default/HTTPRoute/shop", "", "", "If-Match", header.Get("ETag")); code != 200 {
		t.Errorf("delete: %d %s", code, body)
	}
}

func TestRESTHeartbeatAndWatch(t *testing.T) {
	h := start(t, Config{})
	body := `{"workload": {"apiVersion": "hawser.dev/v1", "kind": "Workload", "metadata": {"name": "w"}, "spec": {"address": "10.0.0.1", "ttl": "60s"}}}`
	path := "/v1/namespaces/default/Workload/w:heartbeat"
	if code, body, _ := h.rest("POST", path, "application/json", body); code != 200 || !strings.Contains(body, `"revision":"1"`) {
		t.Fatalf("%d %s", code, body)
	}
	if code, body, _ := h.rest("POST", path, "application/json", `{}`); code != 200 || !strings.Contains(body, "expireTime") {
		t.Fatalf("%d %s", code, body)
	}
	h.apply(workload(1) + "---\n" + strings.Replace(workload(2), "name: w", "name: x", 1))
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+h.server.HTTPAddr()+"/v1/watch?fromRevision=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var event struct {
		Result struct{ Revision struct{ Number string } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&event); err != nil || event.Result.Revision.Number != "2" {
		t.Errorf("%v, %v", event, err)
	}
}
