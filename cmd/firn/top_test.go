package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Two looks at a cluster of two nodes, two seconds apart. The second node does not answer at the
// second look; the first was started anew since, as far as its bytes sent say.
const (
	firstLook = `# TYPE firn_kafka_bytes_in_total counter
firn_kafka_bytes_in_total 1000
# TYPE firn_kafka_bytes_out_total counter
firn_kafka_bytes_out_total 9000
# TYPE firn_kafka_request_seconds histogram
firn_kafka_request_seconds_bucket{api="Produce",le="0.1"} 10
firn_kafka_request_seconds_bucket{api="Produce",le="0.2"} 10
firn_kafka_request_seconds_bucket{api="Produce",le="+Inf"} 10
firn_kafka_request_seconds_sum{api="Produce"} 1
firn_kafka_request_seconds_count{api="Produce"} 10
# TYPE firn_store_requests_total counter
firn_store_requests_total{op="put",result="ok"} 0
# TYPE firn_partition_high_watermark gauge
firn_partition_high_watermark{partition="0",topic="lines"} 100
# TYPE firn_group_lag gauge
firn_group_lag{group="g",topic="lines"} 30
`
	secondLook = `# TYPE firn_kafka_bytes_in_total counter
firn_kafka_bytes_in_total 3048
# TYPE firn_kafka_bytes_out_total counter
firn_kafka_bytes_out_total 2048
# TYPE firn_kafka_requests_total counter
firn_kafka_requests_total{api="Produce",error="none"} 8
firn_kafka_requests_total{api="Fetch",error="NOT_LEADER_OR_FOLLOWER"} 2
# TYPE firn_kafka_connections gauge
firn_kafka_connections 3
# TYPE firn_kafka_request_seconds histogram
firn_kafka_request_seconds_bucket{api="Produce",le="0.1"} 12
firn_kafka_request_seconds_bucket{api="Produce",le="0.2"} 14
firn_kafka_request_seconds_bucket{api="Produce",le="+Inf"} 14
firn_kafka_request_seconds_sum{api="Produce"} 2
firn_kafka_request_seconds_count{api="Produce"} 14
# TYPE firn_store_requests_total counter
firn_store_requests_total{op="put",result="ok"} 2
firn_store_requests_total{op="delete",result="ok"} 2
# TYPE firn_dependency_failing_seconds gauge
firn_dependency_failing_seconds{dependency="bucket get"} 0
firn_dependency_failing_seconds{dependency="bucket put"} 12
# TYPE firn_partition_high_watermark gauge
firn_partition_high_watermark{partition="0",topic="lines"} 140
firn_partition_high_watermark{partition="0",topic="idle"} 5
# TYPE firn_partition_log_start_offset gauge
firn_partition_log_start_offset{partition="0",topic="lines"} 40
# TYPE firn_partition_bytes gauge
firn_partition_bytes{partition="0",topic="lines"} 2048
# TYPE firn_group_lag gauge
firn_group_lag{group="g",topic="lines"} 20
# TYPE go_goroutines gauge
go_goroutines 7
`
)

func TestTopShowsWhatChanged(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	look := func(at time.Time, text string, wrong error) *moment {
		s, err := parseScrape([]byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		if s.families["go_goroutines"] != nil {
			t.Error("metrics are kept that nobody looks at")
		}
		return &moment{at: at, ids: map[string]int32{"http://a": 1, "http://b": 2},
			scrapes: map[string]*scrape{"http://a": s}, errors: map[string]error{"http://b": wrong}}
	}
	before := look(began, firstLook, nil)
	view := look(began.Add(2*time.Second), secondLook, errors.New("connection refused")).view(before, 1)
	const want = `up                     1 of 2 nodes
records/s              20
in/s                   1.0 KiB
out/s                  1.0 KiB
requests/s             5.0
bucket requests/s      2.0
for requests, an hour  $0.0180
nodes                  2
topics                 1
groups                 1
costly producers       0

node  url          in/s    out/s  req/s  err/s  conns  p50 ms  p99 ms  bucket/s      $/h  state
   1  http://a  1.0 KiB  1.0 KiB    5.0    1.0      3   100.0   198.0       2.0  $0.0180  bucket put fails for 12s
   2  http://b      0 B      0 B      0      0      0       -       -         0  $0.0000  connection refused

topic  partitions  records/s  records    bytes
lines           1         20      100  2.0 KiB

group  topic  lag  lag/s
g      lines   20   -5.0
`
	if diff := cmp.Diff(want, printed(t, asTable, view)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTopSendsItsLoginWhereItIsMeantFor holds which nodes get the login that the first one gets.
func TestTopSendsItsLoginWhereItIsMeantFor(t *testing.T) {
	for _, test := range []struct {
		node, other string
		want        bool
	}{
		{"https://a.example.com", "https://b.example.com", true},
		{"https://127.0.0.1:8443", "https://b.example.com", true},
		{"http://a.example.com", "http://b.example.com", true},
		{"http://127.0.0.1:8080", "http://localhost:8081", true},
		{"http://[::1]:8080", "http://127.0.0.2:8081", true},
		{"http://127.0.0.1:8080", "http://b.example.com", false},
		{"http://localhost:8080", "http://127.0.0.1:1@b.example.com", false},
	} {
		if got := trusts(test.node, test.other); got != test.want {
			t.Errorf("%s gets the login of %s: %t", test.other, test.node, got)
		}
	}
}

// TestTopHasBounds: a node sends it neither elsewhere nor to more nodes than there can be.
func TestTopHasBounds(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	var answer func(w http.ResponseWriter, r *http.Request)
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer node.Close()
	n := nodesOfTop{urls: []string{node.URL}}
	if err := n.prepare(); err != nil {
		t.Fatal(err)
	}
	answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }
	if _, err := n.look(t.Context()); err == nil || asked.Load() > 0 {
		t.Errorf("a redirection is followed %d times: %v", asked.Load(), err)
	}
	answer = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"nodes":[%s{"id":1}]}`, strings.Repeat(`{"id":2},`, maxNodes))
	}
	if _, err := n.look(t.Context()); err == nil || !strings.Contains(err.Error(), "257 nodes") {
		t.Errorf("%v", err)
	}
	var none atomic.Int64
	_, err := n.scrape(t.Context(), node.URL, true, &none)
	if err == nil || !strings.Contains(err.Error(), "more than 0") {
		t.Errorf("when no byte may come any more: %v", err)
	}
}
