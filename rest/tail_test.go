package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/rest"
	"firn.dev/segments"
)

// event is one that a tail has sent.
type sentEvent struct{ id, kind, data string }

// stream is a tail as a client has it.
type stream struct {
	t      *testing.T
	resp   *http.Response
	lines  *bufio.Scanner
	lastID string
	end    context.CancelFunc
}

func (f *firn) openTail(t *testing.T, path, lastID string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", f.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t, resp, bufio.NewScanner(resp.Body), lastID, cancel}
	t.Cleanup(s.close)
	return s
}

func (s *stream) close() {
	s.end()
	s.resp.Body.Close()
}

// next returns the next event with data; false at the end of the tail. As the standard has it, an
// id counts also without data.
func (s *stream) next() (sentEvent, bool) {
	e := sentEvent{}
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "id":
			s.lastID = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e.data != "" {
				e.id = s.lastID
				return e, true
			}
			e = sentEvent{}
		}
	}
	return e, false
}

// take returns partition:value of the next n records.
func (s *stream) take(n int) (got []string) {
	s.t.Helper()
	for range n {
		e, ok := s.next()
		var c consumed
		if err := json.Unmarshal([]byte(e.data), &c); !ok || err != nil || e.kind != "" {
			s.t.Fatalf("%+v, %v, %v", e, ok, err)
		}
		got = append(got, fmt.Sprintf("%d:%v", *c.Partition, c.Value))
	}
	return got
}

func wantValues(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTailResumes: a client that breaks off after any event and comes again with its id gets what
// follows, once, from whichever node, also of partitions that were added meanwhile, and also if it
// had got nothing yet.
func TestTailResumes(t *testing.T) {
	t.Parallel()
	nodes := startFirn(t, 2, nil)
	a, b := nodes[0], nodes[1]
	topic := a.makeTopic(t, "orders", 2)
	a.writeValues(t, topic, 0, "before")
	first := a.openTail(t, "/v1/topics/orders/tail", "")
	if got := first.resp.Header.Get("Content-Type"); first.resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatal(first.resp.Status, got)
	}
	first.lines.Scan() // retry
	first.lines.Scan()
	start := strings.TrimPrefix(first.lines.Text(), "id: ")
	if start != "0:1,1:0" {
		t.Errorf("the first id is %q", start)
	}
	a.writeValues(t, topic, 0, "a", "b", "c")
	a.writeValues(t, topic, 1, "x")
	all := first.take(4)
	wantValues(t, slices.Clone(all), "0:a", "0:b", "0:c", "1:x")
	first.close()
	if _, err := a.node.Change(t.Context(), coordinator.Change{Grow: &coordinator.Grow{Topic: topic.ID,
		Partitions: 3}}); err != nil {
		t.Fatal(err)
	}
	a.writeValues(t, a.node.View().Topic("orders"), 2, "new")
	id := start
	var got []string
	for range 5 { // one event at a time, from one node and the other in turn
		a, b = b, a
		s := a.openTail(t, "/v1/topics/orders/tail", id)
		got = append(got, s.take(1)...)
		id = s.lastID
		s.close()
	}
	wantValues(t, got, "0:a", "0:b", "0:c", "1:x", "2:new")
	if id != "0:4,1:1,2:1" {
		t.Errorf("the last id is %q", id)
	}
}

// TestTailGrows: partitions that are added while a tail runs are in it from their first record on.
func TestTailGrows(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	s := f.openTail(t, "/v1/topics/orders/tail", "")
	f.writeValues(t, topic, 0, "a")
	wantValues(t, s.take(1), "0:a")
	if _, err := f.node.Change(t.Context(), coordinator.Change{Grow: &coordinator.Grow{Topic: topic.ID,
		Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	f.writeValues(t, f.node.View().Topic("orders"), 1, "b")
	wantValues(t, s.take(1), "1:b")
	if s.lastID != "0:1,1:1" {
		t.Error(s.lastID)
	}
}

// TestTailChooses: a tail has the partitions that were asked for, from where it was asked for.
func TestTailChooses(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxTails = 2 })[0]
	topic := f.makeTopic(t, "orders", 3)
	for p := range int32(3) {
		f.writeValues(t, topic, p, "a", "b")
	}
	wantValues(t, f.openTail(t, "/v1/topics/orders/tail?partitions=0,2&from=earliest", "").take(4), "0:a", "0:b", "2:a",
		"2:b")
	wantValues(t, f.openTail(t, "/v1/topics/orders/tail?partitions=1&from=1970-01-01T00:00:01.001Z", "").take(1), "1:b")
	for _, c := range []struct {
		query, id string
		status    int
		field     string
	}{
		{"", "", 429, ""},
		{"?partitions=3", "", 400, "partitions"}, {"?partitions=", "", 400, "partitions"},
		{"?partitions=1,0", "", 400, "partitions"}, {"?from=x", "", 400, "from"},
		{"", "x", 400, "Last-Event-ID"}, {"", "0:1,0:2", 400, "Last-Event-ID"}, {"", "0:-1", 400, "Last-Event-ID"},
		{"", "0:3", 416, "offset"}, {"?from=3", "", 416, "offset"},
	} {
		var p problem
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "/v1/topics/orders/tail"+c.query, nil)
		r.Header.Set("Last-Event-ID", c.id)
		status, body := serve(f.Server, r)
		if err := json.Unmarshal(body, &p); err != nil || status != c.status || p.Field != c.field ||
			status == 429 && p.Limit != "MaxTails" {
			t.Errorf("%+v: %d, %+v, %v", c, status, p, err)
		}
	}
}

// TestTailEnds: a tail tells of records that were deleted before it came to them, and ends when its
// topic is deleted or the server stops.
func TestTailEnds(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic, other := f.makeTopic(t, "orders", 1), f.makeTopic(t, "other", 1)
	f.writeValues(t, topic, 0, "a", "b", "c")
	starts := map[segments.Partition]int64{{Topic: topic.ID}: 2}
	change := coordinator.Change{LogStart: &coordinator.LogStart{Offsets: starts}}
	if _, err := f.node.Change(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	s := f.openTail(t, "/v1/topics/orders/tail", "0:1")
	if e, _ := s.next(); e != (sentEvent{"0:2", "gap", `{"partition":0,"from":1,"to":2}`}) {
		t.Errorf("%+v", e)
	}
	wantValues(t, s.take(1), "0:c")
	if _, err := f.node.Change(t.Context(), coordinator.Change{DeleteTopic: &topic.ID}); err != nil {
		t.Fatal(err)
	}
	if e, ok := s.next(); !ok || e.kind != "end" || !strings.Contains(e.data, "UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("%+v", e)
	}
	if e, ok := s.next(); ok {
		t.Errorf("goes on: %+v", e)
	}
	s = f.openTail(t, "/v1/topics/other/tail", "")
	f.writeValues(t, other, 0, "a")
	wantValues(t, s.take(1), "0:a")
	f.Drain()
	if e, ok := s.next(); ok {
		t.Errorf("goes on: %+v", e)
	}
	if s.lastID != "0:1" {
		t.Errorf("the last id is %q", s.lastID)
	}
}

// TestTailOfMuch: what does not fit into one piece comes in several, in order and whole.
func TestTailOfMuch(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	filler := strings.Repeat("x", 10_000)
	var values []string
	for i := range 300 {
		values = append(values, fmt.Sprintf("%d %s", i, filler))
	}
	f.writeValues(t, topic, 0, values...)
	s := f.openTail(t, "/v1/topics/orders/tail?from=earliest", "")
	for i := range values {
		if got := s.take(1)[0]; !strings.HasPrefix(got, fmt.Sprintf("0:%d x", i)) {
			t.Fatalf("event %d: %.20s", i, got)
		}
	}
}
