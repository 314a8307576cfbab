package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
)

// guarded is a node with a topic, "secret", and a group of the same name, in which it has an
// offset.
func guarded(t *testing.T) (*firn, *accesstest.Guard) {
	t.Helper()
	g := accesstest.NewGuard()
	f := startFirn(t, 1, func(o *rest.Options) { o.Authorizer, o.Topics.AutoCreate, o.Profiles = g, true, true })[0]
	topic := f.makeTopic(t, "secret", 1)
	f.writeValues(t, topic, 0, "a", "b")
	offsets := []coordinator.GroupOffset{{Partition: segments.Partition{Topic: topic.ID}, LeaderEpoch: -1}}
	if err := f.opts.Groups.Commit(t.Context(), "secret", groups.Committer{Generation: -1}, offsets); err != nil {
		t.Fatal(err)
	}
	return f, g
}

// request makes a request for a route, with a body that its handler can read.
func (f *firn) request(t *testing.T, r *rest.Route) *http.Request {
	t.Helper()
	const v3 = "/v3/clusters/{cluster}"
	body := map[string]any{"topic_name": "other", "entries": []object{{"id": "1"}}, "name": "other",
		"topic": "secret", "to": "earliest", "holder": "h",
		"partitions": []object{{"topic": "secret", "partition": 0}},
		"claims":     []object{{"topic": "secret", "partition": 0, "epoch": "1", "offset": 1}}}
	body["topics"], body["claim"] = []string{"secret"}, "claim-"+strings.Repeat("0", 32)
	body["settled"] = []object{{"topic": "secret", "partition": 0, "offset": 0}}
	body["records"] = []object{{"topic": "secret", "value": "v"}}
	body["offsets"] = object{"group": "secret", "holder": "h", "claims": body["claims"]}
	known := map[string][]string{
		"POST /v1/topics":                              {"name"},
		"POST " + v3 + "/topics":                       {"topic_name"},
		"POST " + v3 + "/topics/{topic}/records:batch": {"entries"},
		"POST /v1/transactions":                        {"records", "offsets"},
		"POST /v1/groups/{group}/reset":                {"topic", "to"},
		"POST /v1/groups/{group}/claims":               {"holder", "partitions"},
		"POST /v1/groups/{group}/claims/renew":         {"holder", "claims"},
		"POST /v1/groups/{group}/claims/commit":        {"holder", "claims"},
		"POST /v1/groups/{group}/claims/release":       {"holder", "claims"},
		"POST /v1/groups/{group}/records/claim":        {"topics"},
		"POST /v1/groups/{group}/records/acknowledge":  {"claim", "settled"},
	}
	sent := object{}
	for _, name := range known[r.Method+" "+r.Pattern] {
		sent[name] = body[name]
	}
	if settled, is := sent["settled"]; is {
		sent["records"] = settled
		delete(sent, "settled")
	}
	if secret := f.node.View().Topic("secret"); r.Pattern == "/v1/groups/{group}/shares" {
		sent = object{"ask": "states", "partitions": []object{{"topic_id": fmt.Sprintf("%x", secret.ID[:]), "partition": 0}}}
	}
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	path := strings.NewReplacer("{$}", "", "{topic}", "secret", "{group}", "secret", "{user}", "secret",
		"{partition}", "0", "{broker}", "1", "{consumer}", "secret", "{name}", "retention.ms",
		"{cluster}", f.node.View().ClusterID()).Replace(r.Pattern)
	req := httptest.NewRequest(r.Method, path, bytes.NewReader(text))
	req.Header.Set("Content-Type", typeJSON)
	req.Header.Set(idempotencyHeader, "key")
	return req
}

// Every route asks for something that its row declares, unless it is open or about
// whoever asks. When all is refused, the answer is 403 with an authorization error of Kafka's, or
// names nothing.
func TestEveryRouteAsks(t *testing.T) {
	f, g := guarded(t)
	for _, r := range f.Routes() {
		t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
			g.Set(accesstest.Nothing)
			status, body := serve(f.Server, f.request(t, &r))
			asked := g.Asked()
			if free := r.Open || r.Itself; free != (len(asked) == 0) {
				t.Errorf("it is free: %v, and it asked for %v", free, asked)
			}
			for _, need := range asked {
				if !slices.Contains(r.Needs, need) && !slices.Contains(r.Asks, need) {
					t.Errorf("it asked for %v, which its row does not declare", need)
				}
			}
			switch {
			case r.Open, r.Itself:
			case status == http.StatusOK && !bytes.Contains(body, []byte("secret")):
			case status == http.StatusForbidden && bytes.Contains(body, []byte("no permission")):
			default:
				t.Errorf("answer %d: %s", status, body)
			}
		})
	}
	if f.node.View().Topic("other") != nil || f.node.View().Topic("secret") == nil {
		t.Error("a topic was created or deleted")
	}
	req := httptest.NewRequest("GET", "/debug/pprof/cmdline", nil)
	req.Host, req.RemoteAddr = "localhost", "127.0.0.1:1"
	if status, _ := serve(f.Server, req); status != http.StatusForbidden {
		t.Errorf("profiles: answer %d", status)
	}
}

// A path may be allowed, and the topic that the body names refused, and the other way round.
func TestBodiesAreAskedFor(t *testing.T) {
	f, g := guarded(t)
	for _, r := range f.Routes() {
		if len(r.Asks) == 0 || strings.Contains(r.Pattern, "{topic}") || r.Method == http.MethodGet {
			continue
		}
		g.Set(func(_ access.Operation, on access.Resource) bool { return on.Type == access.Group })
		status, body := serve(f.Server, f.request(t, &r))
		refused := kerr.TopicAuthorizationFailed.Message
		if strings.HasPrefix(r.Pattern, "/v3/") {
			refused = `no permission: Create on Topic \"other\"`
		}
		if status != http.StatusForbidden || !bytes.Contains(body, []byte(refused)) {
			t.Errorf("%s %s: answer %d: %s", r.Method, r.Pattern, status, body)
		}
	}
	onlyDescribe := func(op access.Operation, _ access.Resource) bool { return op == access.Describe }
	for _, change := range []object{{"partitions": 2}, {"configs": object{"retention.ms": "1"}}} {
		g.Set(onlyDescribe)
		var refused problem
		if resp := f.call(t, "PATCH", "/v1/topics/secret", change, &refused); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: answer %d: %+v", change, resp.StatusCode, refused)
		}
	}
	g.Set(onlyDescribe)
	var details topicDetails
	if f.call(t, "GET", "/v1/topics/secret", nil, &details); len(details.Configs) > 0 || len(details.PartitionList) != 1 {
		t.Errorf("a topic without permission to describe its configs: %+v", details)
	}
}

// A producer that may write to a topic that is not there, and not create it, does not create it.
func TestProducersAskBeforeTopicsAreCreated(t *testing.T) {
	f, g := guarded(t)
	for _, c := range []struct {
		operation access.Operation
		want      int
	}{{access.Write, http.StatusForbidden}, {access.Create, http.StatusForbidden}} {
		g.Set(func(op access.Operation, _ access.Resource) bool { return op == c.operation })
		got := f.post(t, "/v1/topics/fresh/records", `{"value":"a"}`)
		if got.status != c.want || f.node.View().Topic("fresh") != nil {
			t.Errorf("with %s alone: answer %d", c.operation, got.status)
		}
	}
	g.Set(func(op access.Operation, _ access.Resource) bool { return op == access.Create || op == access.Write })
	if got := f.post(t, "/v1/topics/fresh/records", `{"value":"a"}`); got.status != http.StatusOK {
		t.Errorf("with both: answer %d", got.status)
	}
}

// Changes over HTTP leave a line in the audit log, and so do refusals.
func TestAuditLog(t *testing.T) {
	var log bytes.Buffer
	g := accesstest.NewGuard()
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Authorizer, o.Logger = g, slog.New(slog.NewTextHandler(&log, nil))
	})[0]
	f.makeTopic(t, "log", 1)
	for _, status := range []int{http.StatusNoContent, http.StatusNotFound, http.StatusForbidden} {
		if status == http.StatusForbidden {
			g.Set(accesstest.Nothing)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/topics/log", nil)
		f.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
	for _, want := range []string{
		`action=DELETE subject=/v1/topics/log result=done principal=User:ANONYMOUS host=192.0.2.1`,
		`action=DELETE subject=/v1/topics/log result="Not Found: there is no topic`,
		`action=Delete subject="Topic \"log\"" result=refused principal=User:ANONYMOUS host=192.0.2.1`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line has %s; logged was\n%s", want, &log)
		}
	}
}
