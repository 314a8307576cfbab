package rest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/health"
	"firn.dev/rest"
)

type timeline struct {
	PeriodSeconds float64               `json:"period_seconds"`
	Times         []int64               `json:"times"`
	Series        map[string][]*float64 `json:"series"`
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
	until(t, "no history of a topic that is gone", func() bool {
		f.call(t, "DELETE", "/v1/topics/orders", nil, nil)
		f.makeTopic(t, "orders", 1)
		var h timeline
		f.call(t, "GET", "/v1/topics/orders/history", nil, &h)
		records, known := h.last("records")
		return known && records == 0
	})
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
	f.makeTopic(t, "orders", 2)
	f.makeTopic(t, "audit", 1)
	f.call(t, "POST", "/v1/topics/orders/records",
		[]map[string]any{{"value": 1, "partition": 0}, {"value": 2, "partition": 1}}, nil)
	f.call(t, "POST", "/v1/groups/billing/reset", map[string]any{"topic": "orders", "to": "earliest"}, nil)
	f.call(t, "POST", "/v1/groups/other/reset", map[string]any{"topic": "audit", "to": "earliest"}, nil)
	var got struct {
		Groups []struct {
			Group      string
			Partitions int
			Lag        int64
		}
		Producers []map[string]any
	}
	if resp := f.call(t, "GET", "/v1/topics/orders/clients", nil, &got); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if g := got.Groups; len(g) != 1 || g[0].Group != "billing" || g[0].Partitions != 2 || g[0].Lag != 2 {
		t.Errorf("the groups are %+v", got.Groups)
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
