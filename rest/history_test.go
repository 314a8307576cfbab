package rest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/health"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

type timeline struct {
	PeriodSeconds float64               `json:"period_seconds"`
	Times         []int64               `json:"times"`
	Series        map[string][]*float64 `json:"series"`
	Missing       string                `json:"missing"`
}

// last is the newest number of a series, and whether it is known.
func (l timeline) last(name string) (v float64, known bool) {
	if values := l.Series[name]; len(values) > 0 && values[len(values)-1] != nil {
		return *values[len(values)-1], true
	}
	return 0, false
}

type clusterHistory struct {
	Nodes []struct {
		Node         int32 `json:"node"`
		Dependencies []struct{ Name string }
		timeline
	} `json:"nodes"`
	Unreachable []int32 `json:"unreachable"`
}

// until asks again until an answer is as it has to be.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came: %s", what)
		}
	}
}

// TestHistory: nodes remember what they did. Any node tells of all of them, of topics and groups.
func TestHistory(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, func(o *rest.Options) {
		o.HistoryPeriod = 10 * time.Millisecond
		o.Health = health.Node{{Name: "bucket put", Vital: true}}
	})
	f := nodes[0]
	orders := f.makeTopic(t, "orders", 2)
	f.writeValues(t, orders, 1, "a", "b", "c")
	f.call(t, "POST", "/v1/groups/billing/reset", map[string]any{"topic": "orders", "to": "earliest"}, nil)

	until(t, "samples of both nodes with all records", func() bool {
		var h clusterHistory
		f.call(t, "GET", "/v1/cluster/history", nil, &h)
		if len(h.Nodes) != 2 || len(h.Unreachable) != 0 || h.Nodes[0].Node != 1 || h.Nodes[1].Node != 2 {
			t.Fatalf("the nodes are %+v", h)
		}
		if d := h.Nodes[1].Dependencies; len(d) != 1 || d[0].Name != "bucket put" {
			t.Fatalf("node 2 depends on %v", d)
		}
		for _, n := range h.Nodes {
			for name, values := range n.Series {
				if len(values) != len(n.Times) {
					t.Fatalf("%s has %d numbers for %d times", name, len(values), len(n.Times))
				}
			}
			if records, known := n.last("records"); !known || records != 3 {
				return false
			}
			if _, known := n.last("dollars_per_hour"); !known {
				return false
			}
		}
		return true
	})
	for _, n := range nodes {
		until(t, "the topic's records and the group's lag", func() bool {
			var topic, group timeline
			n.call(t, "GET", "/v1/topics/orders/history", nil, &topic)
			n.call(t, "GET", "/v1/groups/billing/history", nil, &group)
			records, there := topic.last("records")
			lag, behind := group.last("lag")
			return there && behind && records == 3 && lag == 3
		})
	}
	if resp := f.call(t, "GET", "/v1/topics/nope/history", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the history of no topic: %s", resp.Status)
	}
	f.call(t, "DELETE", "/v1/topics/orders", nil, nil)
	if resp := f.call(t, "GET", "/v1/topics/orders/history", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the history of a topic that is gone: %s", resp.Status)
	}
	f.makeTopic(t, "orders", 1)
	var fresh timeline
	until(t, "the history of another topic of that name", func() bool {
		fresh = timeline{}
		f.call(t, "GET", "/v1/topics/orders/history", nil, &fresh)
		_, known := fresh.last("records")
		return known
	})
	for name, values := range fresh.Series {
		for i, v := range values {
			if v != nil && *v != 0 {
				t.Errorf("%s was %v at %d: that is the history of the topic before", name, *v, i)
			}
		}
	}
}

// TestNotRemembered: what has no history yet says so.
func TestNotRemembered(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, func(o *rest.Options) { o.HistoryPeriod = time.Hour })[0]
	f.makeTopic(t, "orders", 1)
	for _, path := range []string{"/v1/topics/orders/history", "/v1/groups/billing/history"} {
		var h timeline
		if f.call(t, "GET", path, nil, &h); len(h.Series) > 0 || !strings.Contains(h.Missing, "does not remember") {
			t.Errorf("%s: %+v", path, h)
		}
	}
}

// TestListsAreSearched: lists hold what has a text in its name, and say how much that is.
func TestListsAreSearched(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	f := nodes[0]
	for _, name := range []string{"orders.eu", "orders.us", "audit", "re-orders"} {
		f.makeTopic(t, name, 1)
		f.call(t, "POST", "/v1/groups/of-"+name+"/reset", map[string]any{"topic": name, "to": "earliest"}, nil)
	}
	var topics struct {
		Topics []struct{ Name string }
		Total  int
		Next   string
	}
	f.call(t, "GET", "/v1/topics?contains=orders&limit=2", nil, &topics)
	if len(topics.Topics) != 2 || topics.Total != 3 || topics.Next != "orders.us" {
		t.Errorf("topics: %+v", topics)
	}
	var groups struct {
		Groups []struct{ Group string }
		Total  int
		Next   string
	}
	f.call(t, "GET", "/v1/groups?contains=orders&limit=2", nil, &groups)
	if len(groups.Groups) != 2 || groups.Total != 3 || groups.Next != "of-orders.us" {
		t.Errorf("groups: %+v", groups)
	}
	groups.Groups, groups.Next = nil, ""
	f.call(t, "GET", "/v1/groups?contains=orders&limit=2&after=of-orders.us", nil, &groups)
	if len(groups.Groups) != 1 || groups.Groups[0].Group != "of-re-orders" || groups.Total != 3 || groups.Next != "" {
		t.Errorf("the rest of the groups: %+v", groups)
	}
}

// TestTopicClients: a topic tells which groups read it, and which producers it remembers.
func TestTopicClients(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 2)
	f.makeTopic(t, "audit", 1)
	for i := range topic.Partitions {
		f.writeAs(t, segments.Partition{Topic: topic.ID, Index: i}, 7)
	}
	f.writeAs(t, segments.Partition{Topic: topic.ID}, 8)
	f.call(t, "POST", "/v1/groups/billing/reset", map[string]any{"topic": "orders", "to": "earliest"}, nil)
	f.call(t, "POST", "/v1/groups/other/reset", map[string]any{"topic": "audit", "to": "earliest"}, nil)
	var got struct {
		Groups []struct {
			Group      string
			Partitions int
			Lag        int64
		}
		Producers []struct {
			ID         int64 `json:"producer_id"`
			Partitions int
		}
	}
	if resp := f.call(t, "GET", "/v1/topics/orders/clients", nil, &got); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if g := got.Groups; len(g) != 1 || g[0].Group != "billing" || g[0].Partitions != 2 || g[0].Lag != 3 {
		t.Errorf("the groups are %+v", got.Groups)
	}
	partitions := map[int64]int{}
	for _, p := range got.Producers {
		partitions[p.ID] = p.Partitions
	}
	if diff := cmp.Diff(map[int64]int{7: 2, 8: 1}, partitions); diff != "" || len(got.Producers) != 2 {
		t.Errorf("the producers are %+v\n%s", got.Producers, diff)
	}
}

// writeAs writes a record as an idempotent producer.
func (f *firn) writeAs(t *testing.T, at segments.Partition, producer int64) {
	t.Helper()
	b, err := batch.Build([]batch.Record{{Value: []byte("v"), Timestamp: 1000}}, batch.Options{ProducerID: producer})
	if err != nil {
		t.Fatal(err)
	}
	h, err := batch.Check(b)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := f.writer.Append(t.Context(), []ingest.Batch{{Partition: at, Header: h, Bytes: b}})
	if err != nil {
		t.Fatal(err)
	}
	if answers, err := pending.Wait(t.Context()); err != nil || answers[0].Err != nil {
		t.Fatalf("%+v, %v", answers, err)
	}
}

// TestLagOfHiddenTopics: a client that may describe a group, and not the topic that it reads, does
// not learn how far behind it is, now or in the last hour; nor does one that may describe the topic
// learn of a group that it may not, or of producers if it may not read it.
func TestLagOfHiddenTopics(t *testing.T) {
	t.Parallel()
	g := accesstest.NewGuard()
	f := startFirn(t, 1, func(o *rest.Options) { o.Authorizer, o.HistoryPeriod = g, 10*time.Millisecond })[0]
	orders := f.makeTopic(t, "orders", 1)
	f.writeAs(t, segments.Partition{Topic: orders.ID}, 7)
	f.call(t, "POST", "/v1/groups/billing/reset", map[string]any{"topic": "orders", "to": "earliest"}, nil)
	until(t, "a history of the group", func() bool {
		var h timeline
		f.call(t, "GET", "/v1/groups/billing/history", nil, &h)
		lag, known := h.last("lag")
		return known && lag == 1
	})
	lags := func() [3]int64 {
		t.Helper()
		var list struct{ Groups []struct{ Lag int64 } }
		var group struct {
			Lag     int64
			Offsets []struct{ Lag int64 }
		}
		if f.call(t, "GET", "/v1/groups", nil, &list); len(list.Groups) != 1 {
			t.Fatalf("the groups are %+v", list)
		}
		f.call(t, "GET", "/v1/groups/billing", nil, &group)
		return [3]int64{list.Groups[0].Lag, group.Lag, int64(len(group.Offsets))}
	}
	if got := lags(); got != [3]int64{1, 1, 1} {
		t.Errorf("who may all sees %v", got)
	}
	g.Set(func(_ access.Operation, on access.Resource) bool { return on.Type == access.Group })
	var h timeline
	f.call(t, "GET", "/v1/groups/billing/history", nil, &h)
	if got := lags(); got != [3]int64{} || len(h.Series) != 0 || !strings.Contains(h.Missing, "may not describe") {
		t.Errorf("the topic is hidden: %v, history %+v", got, h)
	}
	g.Set(func(op access.Operation, on access.Resource) bool {
		return on.Type == access.Topic && op == access.Describe
	})
	var clients struct {
		Groups, Producers []any
	}
	resp := f.call(t, "GET", "/v1/topics/orders/clients", nil, &clients)
	if len(clients.Groups)+len(clients.Producers) > 0 || resp.StatusCode != http.StatusOK {
		t.Errorf("Describe on the topic alone: %s, %+v", resp.Status, clients)
	}
	if resp := f.call(t, "GET", "/v1/groups/billing/history", nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("the history of a hidden group: %s", resp.Status)
	}
	g.Set(func(op access.Operation, _ access.Resource) bool { return op == access.Describe })
	f.call(t, "GET", "/v1/topics/orders/clients", nil, &clients)
	if len(clients.Groups) != 1 || len(clients.Producers) != 0 {
		t.Errorf("Describe without Read: %+v", clients)
	}
}

// TestAssigned: a group tells what its members may read.
func TestAssigned(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "orders", 3)
	f.makeTopic(t, "audit", 1)
	f.call(t, "POST", "/v1/groups/billing/claims", map[string]any{"holder": "w", "partitions": []map[string]any{
		{"topic": "orders", "partition": 2}, {"topic": "orders", "partition": 0}, {"topic": "audit", "partition": 0}},
		"max": 3}, nil)
	var got struct {
		Members []struct{ Assigned []partitionName }
	}
	f.call(t, "GET", "/v1/groups/billing", nil, &got)
	if len(got.Members) != 1 || len(got.Members[0].Assigned) != 3 {
		t.Fatalf("the members are %+v", got.Members)
	}
	all := map[partitionName]bool{}
	for _, p := range got.Members[0].Assigned {
		all[p] = true
	}
	want := map[partitionName]bool{{"orders", 0}: true, {"orders", 2}: true, {"audit", 0}: true}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

// TestReadSome: a reader gets the records that it asks for, and reads on behind those that it does
// not.
func TestReadSome(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "orders", 1)
	f.call(t, "POST", "/v1/topics/orders/records", []map[string]any{
		{"key": "a", "value": "first"}, {"key": "b", "value": "second", "headers": map[string]string{"trace": "x1"}},
		{"key": "ab", "value": "third", "headers": map[string]string{"trace": "y2", "span": "x1"}}, {"value": nil},
	}, nil)
	for query, want := range map[string][]int64{
		"":                       {0, 1, 2, 3},
		"key=a":                  {0},
		"key=":                   nil,
		"contains=b":             {1, 2},
		"contains=ir":            {0, 2},
		"header=trace":           {1, 2},
		"header=trace%3Dx":       {1},
		"key=ab&header=span":     {2},
		"contains=nowhere":       nil,
		"key=b&max_records=1":    {1},
		"contains=ir&offset=1":   {2},
		"key=a&contains=another": nil,
	} {
		var got struct {
			Records []struct{ Offset int64 }
			Next    int64 `json:"next_offset"`
		}
		resp := f.call(t, "GET", "/v1/topics/orders/partitions/0/records?"+query, nil, &got)
		var offsets []int64
		for _, r := range got.Records {
			offsets = append(offsets, r.Offset)
		}
		if diff := cmp.Diff(want, offsets); diff != "" || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s\n%s", query, resp.Status, diff)
		}
		if got.Next != 4 && query != "key=b&max_records=1" {
			t.Errorf("%s: reads on at %d", query, got.Next)
		}
	}
	resp := answerTo(t, f, "GET", "/v1/topics/orders/partitions/0/records?key=a", field("Accept", typeBatches))
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("batches with a filter: %s", resp.Status)
	}
}
