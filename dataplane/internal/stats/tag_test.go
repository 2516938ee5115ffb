package stats

import (
	"fmt"
	"testing"
)

func TestDefaultTags(t *testing.T) {
	tg := Tagger{Extractors: DefaultExtractors(), Fixed: []Tag{{"site", "x"}}}
	for name, want := range map[string]string{
		"cluster.a.upstream_rq_200":                         "cluster.upstream_rq [{envoy.response_code 200} {envoy.cluster_name a} {site x}]",
		"cluster.b.c-d.upstream_rq_total":                   "cluster.c-d.upstream_rq_total [{envoy.cluster_name b} {site x}]",
		"cluster.a.upstream_rq_2xx":                         "cluster.upstream_rq_xx [{envoy.response_code_class 2} {envoy.cluster_name a} {site x}]",
		"http.main.downstream_cx_total":                     "http.downstream_cx_total [{envoy.http_conn_manager_prefix main} {site x}]",
		"listener.127.0.0.1_80.downstream_cx_total":         "listener.downstream_cx_total [{envoy.listener_address 127.0.0.1_80} {site x}]",
		"listener.127.0.0.1_80.http.main.downstream_rq_5xx": "listener.http.downstream_rq_xx [{envoy.response_code_class 5} {envoy.http_conn_manager_prefix main} {envoy.listener_address 127.0.0.1_80} {site x}]",
		"listener.main.worker_0.downstream_cx_active":       "listener.worker_downstream_cx_active [{envoy.worker_id 0} {envoy.listener_address main} {site x}]",
		"vhost.v.vcluster.c.upstream_rq_total":              "vhost.vcluster.upstream_rq_total [{envoy.virtual_cluster c} {envoy.virtual_host v} {site x}]",
		"listener.admin.http.admin.downstream_rq_2xx":       "listener.admin.http.downstream_rq_xx [{envoy.response_code_class 2} {envoy.http_conn_manager_prefix admin} {site x}]",
		"server.live": "server.live [{site x}]",
	} {
		n, tags := tg.Split(name)
		got := fmt.Sprint(n, " ", tags)
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}
