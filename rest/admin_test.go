package rest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func TestTopics(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	var d topicDetails
	resp := f.call(t, "POST", "/v1/topics", `{"name": "orders", "partitions": 2, "configs": {"retention.ms": "1000"}}`, &d)
	if resp.StatusCode != 201 || resp.Header.Get("Location") != "/v1/topics/orders" || d.Name != "orders" ||
		len(d.PartitionList) != 2 {
		t.Errorf("%s, %+v", resp.Status, d)
	}
	if resp := f.call(t, "POST", "/v1/topics", `{"name": "one"}`, &d); resp.StatusCode != 201 || d.Partitions != 1 {
		t.Errorf("%s, %+v", resp.Status, d)
	}
	topic := f.node.View().Topic("orders")
	f.writeValues(t, topic, 1, "a", "b", "c")
	change := `{"partitions": 3, "configs": {"retention.ms": null, "cleanup.policy": "delete"}}`
	if resp := f.call(t, "PATCH", "/v1/topics/orders", change, &d); resp.StatusCode != 200 || d.Partitions != 3 ||
		d.Records != 3 {
		t.Errorf("%s, %+v", resp.Status, d)
	}
	for _, c := range d.Configs {
		if c.Set != (c.Name == "cleanup.policy") || c.Name == "retention.ms" && c.Value != c.Default {
			t.Errorf("%+v", c)
		}
	}
	var p partitionDetails
	if resp := f.call(t, "DELETE", "/v1/topics/orders/partitions/1/records?before=2", nil, &p); resp.StatusCode != 200 ||
		p.LogStart != 2 || p.HighWatermark != 3 {
		t.Errorf("%s, %+v", resp.Status, p)
	}
	var list topicList
	if f.call(t, "GET", "/v1/topics?limit=1", nil, &list); len(list.Topics) != 1 || list.Total != 2 || list.Next != "one" {
		t.Errorf("%+v", list)
	}
	list = topicList{}
	if f.call(t, "GET", "/v1/topics?limit=1&after=one", nil, &list); len(list.Topics) != 1 || list.Next != "" ||
		list.Topics[0].Records != 1 {
		t.Errorf("%+v", list)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", "", `{"name": "orders"}`, 409, "TOPIC_ALREADY_EXISTS", ""},
		{"POST", "", `{"name": "a b"}`, 400, "INVALID_TOPIC_EXCEPTION", "name"},
		{"POST", "", `{"name": "x", "partitions": 0}`, 400, "INVALID_PARTITIONS", "partitions"},
		{"POST", "", `{"name": "x", "partitions": 10001}`, 400, "INVALID_PARTITIONS", "partitions"},
		{"POST", "", `{"name": "x", "configs": {"no.such": "1"}}`, 400, "INVALID_CONFIG", "configs"},
		{"POST", "", `{"name": "x", "partitions": "2"}`, 400, "", "partitions"},
		{"PATCH", "/orders", `{"partitions": 1}`, 409, "INVALID_PARTITIONS", "partitions"},
		{"PATCH", "/orders", `{"configs": {"retention.ms": "soon"}}`, 400, "INVALID_CONFIG", "configs"},
		{"PATCH", "/nope", `{}`, 404, "UNKNOWN_TOPIC_OR_PARTITION", ""},
		{"GET", "/nope", "", 404, "UNKNOWN_TOPIC_OR_PARTITION", ""},
		{"DELETE", "/nope", "", 404, "UNKNOWN_TOPIC_OR_PARTITION", ""},
		{"DELETE", "/orders/partitions/1/records", "", 400, "", "before"},
		{"DELETE", "/orders/partitions/1/records?before=4", "", 416, "OFFSET_OUT_OF_RANGE", "offset"},
	} {
		var p problem
		var body any
		if c.body != "" {
			body = c.body
		}
		resp := f.call(t, c.method, "/v1/topics"+c.path, body, &p)
		if resp.StatusCode != c.status || p.Code != c.code || p.Field != c.field {
			t.Errorf("%s %s %s: %s, %+v", c.method, c.path, c.body, resp.Status, p)
		}
	}
	if resp := f.call(t, "DELETE", "/v1/topics/orders", nil, nil); resp.StatusCode != 204 ||
		f.node.View().Topic("orders") != nil {
		t.Error(resp.Status)
	}
}

func TestGroups(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 2)
	f.writeValues(t, topic, 0, "a", "b", "c")
	var reset resetAnswer
	if resp := f.call(t, "POST", "/v1/groups/billing/reset", `{"topic": "orders", "to": "1", "dry_run": true}`,
		&reset); resp.StatusCode != 200 || len(reset.Offsets) != 2 {
		t.Errorf("%s, %+v", resp.Status, reset)
	}
	var p problem
	if resp := f.call(t, "GET", "/v1/groups/billing", nil, &p); resp.StatusCode != 404 || p.Code != "GROUP_ID_NOT_FOUND" {
		t.Errorf("a dry run made a group: %s, %+v", resp.Status, p)
	}
	f.call(t, "POST", "/v1/groups/billing/reset", `{"topic": "orders", "to": "1"}`, &reset)
	// the second partition ends before 1
	if o := reset.Offsets; o[0].Before != nil || o[0].Offset != 1 || o[1].Offset != 0 {
		t.Errorf("%+v", reset)
	}
	f.call(t, "POST", "/v1/groups/billing/reset", `{"topic": "orders", "to": "latest", "partitions": [0, 0]}`, &reset)
	if o := reset.Offsets; len(o) != 1 || o[0].Before == nil || *o[0].Before != 1 || o[0].Offset != 3 {
		t.Errorf("%+v", reset)
	}
	var list groupList
	if f.call(t, "GET", "/v1/groups", nil, &list); len(list.Groups) != 1 ||
		list.Groups[0] != (groupSummary{"billing", "Empty", "classic", 1, 0}) {
		t.Errorf("%+v", list)
	}
	for _, c := range []struct {
		body   string
		status int
		field  string
	}{{`{"topic": "orders", "to": "soon"}`, 400, "to"}, {`{"topic": "nope", "to": "latest"}`, 404, ""},
		{`{"topic": "orders", "to": "latest", "partitions": [2]}`, 404, ""}} {
		p = problem{}
		if resp := f.call(t, "POST", "/v1/groups/billing/reset", c.body, &p); resp.StatusCode != c.status ||
			p.Field != c.field {
			t.Errorf("%s: %s, %+v", c.body, resp.Status, p)
		}
	}
	if resp := f.call(t, "DELETE", "/v1/groups/billing", nil, nil); resp.StatusCode != 204 {
		t.Error(resp.Status)
	}
	if resp := f.call(t, "DELETE", "/v1/groups/billing", nil, nil); resp.StatusCode != 404 {
		t.Error(resp.Status)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	nodes[0].writeValues(t, nodes[0].makeTopic(t, "orders", 3), 0, "a")
	var c clusterInfo
	if nodes[0].call(t, "GET", "/v1/cluster", nil, &c); c.Nodes != 2 || c.Node != 1 || c.Topics != 1 ||
		c.Partitions != 3 || c.Records != 1 || c.ClusterID == "" {
		t.Errorf("%+v", c)
	}
	var n nodeList
	if nodes[1].call(t, "GET", "/v1/nodes", nil, &n); len(n.Nodes) != 2 || n.Nodes[0].Self || !n.Nodes[1].Self ||
		"http://"+n.Nodes[1].HTTP != nodes[1].url || n.Nodes[1].Kafka != "127.0.0.1:9092" {
		t.Errorf("%+v", n)
	}
}

// TestGuards: what holds for every path.
func TestGuards(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "orders", 1)
	do := func(method, path string, header ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	if resp := do("OPTIONS", "/v1/topics/orders"); resp.StatusCode != 204 ||
		resp.Header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH" {
		t.Error(resp.Status, resp.Header)
	}
	if resp := do("PUT", "/v1/topics/orders"); resp.StatusCode != 405 ||
		resp.Header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH" {
		t.Error(resp.Status, resp.Header)
	}
	for _, path := range []string{"/v1/topics/orders", "/v1/topics/orders/partitions/0/records", "/v1/topics/orders/tail",
		"/openapi.json", "/"} {
		resp := do("HEAD", path)
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || len(body) > 0 ||
			resp.Header.Get("Content-Type") == "" {
			t.Errorf("HEAD %s: %s, %v, %q", path, resp.Status, resp.Header, body)
		}
	}
	if resp := do("DELETE", "/v1/topics/orders", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("from another origin: %s", resp.Status)
	}
	if resp := do("GET", "/v1/topics/orders", "Origin",
		"https://elsewhere.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS is on")
	}
	if resp := do("POST", "/v1/topics", "Content-Type", "text/plain"); resp.StatusCode != 415 {
		t.Errorf("a body that is no JSON: %s", resp.Status)
	}
	resp := do("GET", "/v1/topics/orders", "Accept-Encoding", "gzip")
	unzipped, err := gzip.NewReader(resp.Body)
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" ||
		!strings.Contains(resp.Header.Get("Vary"), "Accept-Encoding") {
		t.Fatal(err, resp.Header)
	}
	if body, err := io.ReadAll(unzipped); err != nil || !strings.Contains(string(body), `"orders"`) {
		t.Errorf("%s, %v", body, err)
	}
	page := do("GET", "/", "Accept", "text/html,*/*;q=0.8")
	if body, _ := io.ReadAll(page.Body); !strings.Contains(string(body), "<title>Firn</title>") ||
		!strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%v, %.100s", page.Header, body)
	}
}
