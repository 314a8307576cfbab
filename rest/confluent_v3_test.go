package rest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
)

// v3 asks for a path of the cluster, and decodes the answer. It returns the status.
func (f *firn) v3(t *testing.T, method, path string, body any) (status int, answer object) {
	t.Helper()
	resp := f.call(t, method, "/v3/clusters/"+f.node.View().ClusterID()+path, body, &answer)
	return resp.StatusCode, answer
}

// readingGroup gives the node's cluster a group, which is this node's, with a member that reads
// both partitions of a topic, and is 2 and 1 records behind. It returns the member's id.
func (f *firn) readingGroup(t *testing.T, group string) (member string) {
	t.Helper()
	topic := f.makeTopic(t, "orders", 2)
	f.writeValues(t, topic, 0, "a", "b")
	f.writeValues(t, topic, 1, "c")
	heartbeat := groups.ConsumerHeartbeat{MemberID: "member 1/2", ClientID: "shop", RebalanceTimeout: time.Minute,
		Names: []string{"orders"}, Owned: []segments.Partition{}}
	answer := f.opts.Groups.ConsumerHeartbeat(t.Context(), group, heartbeat)
	if answer.Err != nil {
		t.Fatal(answer.Err)
	}
	var offsets []coordinator.GroupOffset
	for i := range topic.Partitions {
		offsets = append(offsets, coordinator.GroupOffset{LeaderEpoch: -1,
			Partition: segments.Partition{Topic: topic.ID, Index: i}})
	}
	by := groups.Committer{MemberID: heartbeat.MemberID, Generation: answer.Epoch, Epochs: true}
	if refused := f.opts.Groups.Commit(t.Context(), group, by, offsets); refused != nil {
		t.Fatal(refused)
	}
	return heartbeat.MemberID
}

// links are all that a JSON value has.
func links(v any) (found []string) {
	switch v := v.(type) {
	case object:
		return links(map[string]any(v))
	case map[string]any:
		for name, value := range v {
			link, is := value.(string)
			if is && slices.Contains([]string{"self", "related", "next"}, name) {
				found = append(found, link)
			}
			found = append(found, links(value)...)
		}
	case []any:
		for _, value := range v {
			found = append(found, links(value)...)
		}
	}
	return found
}

// TestConfluentLinks: whatever an answer of v3 links to is there, on whichever node it is asked
// for, and what says that it is at an address is what is there.
func TestConfluentLinks(t *testing.T) {
	nodes := startFirn(t, 2, nil)
	group, f := "a/../b c%ü?#", nodes[0]
	if owner, _ := f.opts.Groups.Owner(group); owner.ID != f.node.Info().ID {
		f = nodes[1]
	}
	f.readingGroup(t, group)
	other := nodes[2-f.node.Info().ID]
	for _, asked := range []*firn{f, other} {
		kinds, seen := map[any]int{}, map[string]bool{}
		next := []string{asked.url + "/v3/clusters"}
		for len(next) > 0 && len(seen) < 500 {
			link := next[0]
			if next = next[1:]; seen[link] {
				continue
			}
			seen[link] = true
			path, here := strings.CutPrefix(link, asked.url)
			if !here {
				t.Fatalf("a link to another host: %s", link)
			}
			var answer object
			if resp := asked.call(t, http.MethodGet, path, nil, &answer); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s: %v", link, resp.Status, answer)
			}
			if self := answer["metadata"].(map[string]any)["self"]; self != link {
				t.Errorf("%s says that it is %v", link, self)
			}
			kinds[answer["kind"]]++
			next = append(next, links(answer)...)
		}
		want := map[any]int{"KafkaClusterList": 1, "KafkaCluster": 1, "KafkaBrokerList": 1, "KafkaBroker": 2,
			"KafkaTopicList": 1, "KafkaTopic": 1, "KafkaTopicConfigList": 1, "KafkaPartitionList": 1, "KafkaPartition": 2,
			"KafkaConsumerGroupList": 1, "KafkaConsumerGroup": 1, "KafkaConsumerList": 1, "KafkaConsumer": 1,
			"KafkaConsumerLagList": 1, "KafkaConsumerLag": 2, "KafkaConsumerGroupLagSummary": 1}
		for kind, n := range want {
			if kinds[kind] != n {
				t.Errorf("%d of %v were found, want %d", kinds[kind], kind, n)
			}
		}
		if kinds["KafkaTopicConfig"] < 20 {
			t.Errorf("%d configs were found", kinds["KafkaTopicConfig"])
		}
	}
}

// TestConfluentGroup: a group with a member, from the node that owns it and from another.
func TestConfluentGroup(t *testing.T) {
	nodes := startFirn(t, 2, nil)
	owner, _ := nodes[0].opts.Groups.Owner("shop")
	member := nodes[owner.ID-1].readingGroup(t, "shop")
	for _, f := range nodes {
		for _, c := range []struct {
			path string
			want object
		}{
			{"", object{"consumer_group_id": "shop", "state": "STABLE", "is_simple": false}},
			{"/consumers/" + url.PathEscape(member), object{"consumer_id": member, "client_id": "shop", "instance_id": nil}},
			{"/lags/orders/partitions/1", object{"current_offset": 0.0, "log_end_offset": 1.0, "lag": 1.0}},
			{"/lag-summary", object{"max_lag_topic_name": "orders", "max_lag_partition_id": 0.0, "max_lag": 2.0,
				"total_lag": 3.0}},
		} {
			status, got := f.v3(t, "GET", "/consumer-groups/shop"+c.path, nil)
			if status != http.StatusOK {
				t.Errorf("%s: %d: %v", c.path, status, got)
			}
			for field, want := range c.want {
				if got[field] != want {
					t.Errorf("%s: %s is %v, want %v", c.path, field, got[field], want)
				}
			}
		}
		for path, code := range map[string]float64{"/nobody": 404, "/shop/consumers/nobody": 404,
			"/shop/lags/orders/partitions/2": 404} {
			if status, got := f.v3(t, "GET", "/consumer-groups"+path, nil); status != 404 || got["error_code"] != code {
				t.Errorf("%s: %d: %v", path, status, got)
			}
		}
	}
}

// TestConfluentTopics: topics are created, listed page by page, shown and deleted; an error names
// the field as v3 does, and the limit.
func TestConfluentTopics(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	for _, name := range []string{"a", "b", "c"} {
		status, got := f.v3(t, "POST", "/topics", object{"topic_name": name, "partitions_count": 2, "replication_factor": 3,
			"configs": []object{{"name": "retention.ms", "value": "1000"}, {"name": "cleanup.policy", "value": nil}}})
		if status != http.StatusCreated || got["topic_name"] != name || got["partitions_count"] != 2.0 ||
			got["replication_factor"] != 3.0 {
			t.Errorf("%d: %v", status, got)
		}
	}
	status, page := f.v3(t, "GET", "/topics?limit=2", nil)
	next, _ := page["metadata"].(map[string]any)["next"].(string)
	if status != http.StatusOK || len(page["data"].([]any)) != 2 || !strings.HasSuffix(next, "/topics?after=b&limit=2") {
		t.Errorf("%d: %v", status, page)
	}
	if _, page = f.v3(t, "GET", "/topics?after=b", nil); len(page["data"].([]any)) != 1 {
		t.Errorf("the second page: %v", page)
	}
	for name, want := range map[string]object{
		"retention.ms":   {"value": "1000", "is_default": false, "source": "DYNAMIC_TOPIC_CONFIG"},
		"cleanup.policy": {"value": "delete", "is_default": true, "source": "DEFAULT_CONFIG"},
	} {
		_, got := f.v3(t, "GET", "/topics/a/configs/"+name, nil)
		for field, value := range want {
			if got[field] != value {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		code               float64
		message            string
	}{
		{"POST", "/topics", `{"topic_name": "a"}`, 400, 40002, "already exists"},
		{"POST", "/topics", `{"topic_name": "a b"}`, 400, 40002, "topic_name"},
		{"POST", "/topics", `{"topic_name": "d", "partitions_count": 0}`, 400, 40002, "partitions_count"},
		{"POST", "/topics", `{"topic_name": "d", "partitions_count": 10001}`, 400, 40002, "MaxPartitions"},
		{"POST", "/topics", `{"topic_name": "d", "replication_factor": 17}`, 400, 400, "replication_factor"},
		{"POST", "/topics", `{"topic_name": "d", "configs": [{"name": "nope", "value": "1"}]}`, 400, 40002, "nope"},
		{"POST", "/topics", `{"topic_name": "d", "validate_only": true}`, 400, 400, "validate_only"},
		{"POST", "/topics", `{"topic_name": "` + strings.Repeat("x", 1<<20) + `"}`, 413, 413, "MaxAdminBody"},
		{"GET", "/topics?max=1", "", 400, 400, "max"},
		{"GET", "/topics/d", "", 404, 40403, `"d"`},
		{"GET", "/topics/a/partitions/2", "", 404, 40403, `"2"`},
		{"GET", "/topics/a/configs/nope", "", 404, 404, "nope"},
		{"GET", "/brokers/7", "", 404, 404, "broker"},
		{"DELETE", "/topics/d", "", 404, 40403, `"d"`},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		status, got := f.v3(t, c.method, c.path, body)
		message, _ := got["message"].(string)
		if status != c.status || got["error_code"] != c.code || !strings.Contains(message, c.message) {
			t.Errorf("%s %s %.200s: %d: %v", c.method, c.path, c.body, status, got)
		}
	}
	resp := f.call(t, "DELETE", "/v3/clusters/"+f.node.View().ClusterID()+"/topics/a", nil, nil)
	if resp.StatusCode != http.StatusNoContent || f.node.View().Topic("a") != nil {
		t.Error(resp.Status)
	}
}

// TestConfluentBatch: each entry has its result, and one that is refused does not keep the others
// from being written; a body whose entries cannot be told apart is refused as a whole.
func TestConfluentBatch(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "t", 2)
	status, got := f.v3(t, "POST", "/topics/t/records:batch", `{"entries": [
		{"id": "1", "partition_id": 1, "value": {"type": "STRING", "data": "a"}},
		{"partition_id": 1, "value": {"type": "AVRO", "data": "b"}, "id": "2"},
		{"id": "3", "partition_id": 7},
		{"id": "4", "partition_id": 1, "key": {"type": "BINARY", "data": "aw=="}}]}`)
	if status != http.StatusMultiStatus {
		t.Fatalf("%d: %v", status, got)
	}
	var results []string
	for _, s := range got["successes"].([]any) {
		s := s.(map[string]any)
		results = append(results, fmt.Sprint(s["id"], " at ", s["partition_id"], "/", s["offset"]))
	}
	for _, s := range got["failures"].([]any) {
		s := s.(map[string]any)
		results = append(results, fmt.Sprint(s["id"], " failed: ", s["error_code"]))
	}
	if want := []string{"1 at 1/0", "4 at 1/1", "2 failed: 422", "3 failed: 422"}; !slices.Equal(results, want) {
		t.Errorf("%v, want %v", results, want)
	}
	if stored := f.stored(t, "t", 1); !slices.Equal(stored, []string{"<nil>|a|", "k|<nil>|"}) {
		t.Errorf("stored is %v", stored)
	}
	for body, named := range map[string]string{
		`{"entries": []}`:                                          "entries",
		`{"entrys": []}`:                                           "entries",
		`{"entries": [{"partition_id": 1}]}`:                       "id",
		`{"entries": [{"id": 1}]}`:                                 "id",
		`{"entries": [{"id": "a b"}]}`:                             "id",
		`{"entries": [{"id": "1"}, {"id": "1"}]}`:                  `"1"`,
		`{"entries": [{"id": "` + strings.Repeat("x", 81) + `"}]}`: "80",
	} {
		status, got := f.v3(t, "POST", "/topics/t/records:batch", body)
		if status != 422 || got["error_code"] != 422.0 || !strings.Contains(got["message"].(string), named) {
			t.Errorf("%s: %d: %v", body, status, got)
		}
	}
	if status, got := f.v3(t, "POST", "/topics/u/records:batch", `{"entries": [{"id": "1"}]}`); status != 404 ||
		got["error_code"] != 40403.0 {
		t.Errorf("a topic that is not there: %d: %v", status, got)
	}
}

// TestConfluentBatchIsBounded: entries that are refused count as those that are not.
func TestConfluentBatchIsBounded(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxRecords = 3 })[0]
	f.makeTopic(t, "t", 1)
	for _, entry := range []string{`{"id": "%d"}`, `{"id": "%d", "value": {"type": "AVRO", "data": 1}}`} {
		for n, want := range map[int]int{3: 207, 4: 413} {
			entries := make([]string, n)
			for i := range entries {
				entries[i] = fmt.Sprintf(entry, i)
			}
			status, got := f.v3(t, "POST", "/topics/t/records:batch", `{"entries": [`+strings.Join(entries, ",")+`]}`)
			message, _ := got["message"].(string)
			if status != want || want == 413 && !strings.Contains(message, "MaxRecords") {
				t.Errorf("%d entries: %d: %v", n, status, got)
			}
		}
	}
}
