package rest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/coordinator"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// page is the answer of a request that reads.
type page struct {
	Topic         string     `json:"topic"`
	Partition     int32      `json:"partition"`
	Records       []consumed `json:"records"`
	NextOffset    int64      `json:"next_offset"`
	HighWatermark int64      `json:"high_watermark"`
	LogStart      int64      `json:"log_start_offset"`
}

func (p *page) values() (values []string) {
	for _, r := range p.Records {
		values = append(values, fmt.Sprint(r.Value))
	}
	return values
}

func TestReadRecords(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 2)
	f.writeValues(t, topic, 1, "a", "b", "c")
	f.writeValues(t, topic, 1, "d", "e")
	for _, c := range []struct {
		query  string
		values string
		next   int64
	}{
		{"", "a b c d e", 5},
		{"?from=earliest", "a b c d e", 5},
		{"?from=latest", "", 5},
		{"?from=3", "d e", 5},
		{"?offset=1", "b c d e", 5},
		{"?offset=5", "", 5},
		{"?offset=1&max_records=3", "b c d", 4},
		{"?offset=1&max_bytes=1", "b", 2}, // one is always given
		{"?offset=3&max_bytes=1", "d", 4},
		{"?from=1970-01-01T00:00:01.001Z", "b c d e", 5},
		{"?from=1970-01-01T00:00:01.002Z", "c d e", 5},
		{"?from=2026-01-01T00:00:00Z", "", 5},
		{"?offset=5&wait=1ms", "", 5},
	} {
		var p page
		resp := f.call(t, "GET", "/v1/topics/orders/partitions/1/records"+c.query, nil, &p)
		if resp.StatusCode != 200 || strings.Join(p.values(), " ") != c.values || p.NextOffset != c.next ||
			p.HighWatermark != 5 ||
			p.Topic != "orders" ||
			p.Partition != 1 {
			t.Errorf("%q: %s, %+v", c.query, resp.Status, p)
		}
		if got := resp.Header.Get("Firn-Next-Offset"); got != fmt.Sprint(c.next) {
			t.Errorf("%q: Firn-Next-Offset %s", c.query, got)
		}
	}
	for _, c := range []struct {
		path   string
		status int
		field  string
	}{
		{"/v1/topics/orders/partitions/1/records?offset=6", 416, "offset"},
		{"/v1/topics/orders/partitions/2/records", 404, ""},
		{"/v1/topics/orders/partitions/x/records", 404, ""},
		{"/v1/topics/nope/partitions/0/records", 404, ""},
		{"/v1/topics/orders/partitions/1/records?offset=-1", 400, "offset"},
		{"/v1/topics/orders/partitions/1/records?offset=1&from=latest", 400, "from"},
		{"/v1/topics/orders/partitions/1/records?from=yesterday", 400, "from"},
		{"/v1/topics/orders/partitions/1/records?max_bytes=8388609", 400, "max_bytes"},
		{"/v1/topics/orders/partitions/1/records?max_records=0", 400, "max_records"},
		{"/v1/topics/orders/partitions/1/records?wait=61s", 400, "wait"},
		{"/v1/topics/orders/partitions/1/records?offest=1", 400, "offest"},
		{"/v1/topics/orders/partitions/1/records?offset=1&offset=2", 400, "offset"},
	} {
		var p problem
		resp := f.call(t, "GET", c.path, nil, &p)
		if resp.StatusCode != c.status || p.Status != c.status || p.Field != c.field || p.Detail == "" {
			t.Errorf("%s: %s, %+v", c.path, resp.Status, p)
		}
		if c.status == 416 &&
			(p.HighWatermark == nil || *p.HighWatermark != 5 || p.LogStart == nil || *p.LogStart != 0) {
			t.Errorf("the range is missing: %+v", p)
		}
	}
}

// TestLegible: bytes that are no text come as base64, null as null, headers in their order.
func TestLegible(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "mixed", 1)
	f.writeRecords(t, topic, []ingest.Record{
		{
			Key:       []byte("k"),
			Value:     []byte("<é>\n"),
			Timestamp: 7,
			Headers:   []batch.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}},
		},
		{Key: nil, Value: nil, Timestamp: 8},
		{Key: []byte{}, Value: []byte{0xff, 0}, Timestamp: 9},
	})
	resp, err := http.Get(f.url + "/v1/topics/mixed/partitions/0/records")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	want := `{"topic":"mixed","partition":0,"records":[
{"offset":0,"timestamp":7,"key":"k","value":"<é>\n","headers":[{"key":"h","value":"1"},{"key":"h","value":null}]},
{"offset":1,"timestamp":8,"key":null,"value":null},
{"offset":2,"timestamp":9,"key":"","value":{"base64":"/wA="}}],
"next_offset":3,"high_watermark":3,"log_start_offset":0}
`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestRepresentations(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	f.writeValues(t, topic, 0, "a", "b")
	f.writeValues(t, topic, 0, strings.Repeat("c", 4000))
	stored, err := f.opts.Index.Read(t.Context(), segments.Partition{Topic: topic.ID}, 0, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ accept, kind string }{
		{"", typeJSON}, {"*/*", typeJSON}, {"application/*", typeJSON}, {typeNDJSON, typeNDJSON}, {typeBatches, typeBatches},
		{"application/json;q=0.5, application/x-ndjson", typeNDJSON}, {"text/html, */*;q=0.1", typeJSON}, {"text/html", ""},
		{"application/json;q=0", ""}, {"nonsense;;", ""},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/topics/orders/partitions/0/records", nil)
		r.Header.Set("Accept", c.accept)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if c.kind == "" {
			if resp.StatusCode != 406 {
				t.Errorf("Accept %q: %s", c.accept, resp.Status)
			}
			continue
		}
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != c.kind ||
			resp.Header.Get("Firn-Next-Offset") != "3" {
			t.Errorf("Accept %q: %s, %v", c.accept, resp.Status, resp.Header)
		}
		switch c.kind {
		case typeNDJSON:
			if lines := bytes.Count(body, []byte("\n")); lines != 3 {
				t.Errorf("%d lines", lines)
			}
		case typeBatches:
			if !bytes.Equal(body, bytes.Join(stored.Batches, nil)) {
				t.Error("the batches are not what is stored")
			}
		}
	}
}

// TestLongPoll: a request that waits is woken by a record, by the deletion of its topic, and by the
// end of the server; and there is a bound on them.
func TestLongPoll(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxLongPolls = 1 })[0]
	topic := f.makeTopic(t, "orders", 1)
	const path = "/v1/topics/orders/partitions/0/records?from=latest&wait=50s"
	wait := func() chan int {
		status := make(chan int, 1)
		go func() {
			var p page
			resp := f.call(t, "GET", path, nil, &p)
			status <- resp.StatusCode*10 + len(p.Records)
		}()
		for f.Polls() == 0 {
			time.Sleep(time.Millisecond)
		}
		return status
	}
	answered := wait()
	var p problem
	if resp := f.call(t, "GET", path, nil, &p); resp.StatusCode != 429 || p.Limit != "MaxLongPolls" ||
		resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %s, %+v", resp.Status, p)
	}
	f.writeValues(t, topic, 0, "a")
	if got := <-answered; got != 2001 {
		t.Errorf("after a record: %d", got)
	}
	answered = wait()
	f.Drain()
	if got := <-answered; got != 2000 {
		t.Errorf("when draining: %d", got)
	}
	if _, err := f.node.Change(t.Context(), coordinator.Change{DeleteTopic: &topic.ID}); err != nil {
		t.Fatal(err)
	}
	if resp := f.call(t, "GET", path, nil, nil); resp.StatusCode != 404 {
		t.Errorf("when deleted: %s", resp.Status)
	}
}

// TestDeletedWhileWaiting: who waits for a partition hears that it is gone.
func TestDeletedWhileWaiting(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	status := make(chan int, 1)
	go func() {
		status <- f.call(t, "GET", "/v1/topics/orders/partitions/0/records?from=latest&wait=50s", nil, nil).StatusCode
	}()
	for f.Polls() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := f.node.Change(t.Context(), coordinator.Change{DeleteTopic: &topic.ID}); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != 404 {
		t.Errorf("%d", got)
	}
}

// TestReadMemoryIsBounded: answers that find no memory are refused, and give back what they had.
func TestReadMemoryIsBounded(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Limits.ReadMemoryBytes, o.Limits.BusyWait = 1<<20, time.Millisecond
	})[0]
	f.writeValues(t, f.makeTopic(t, "orders", 1), 0, "a")
	var held []func() // by two addresses
	for i := range 2 {
		held = append(held, f.TakeReadMemory(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})))
	}
	var p problem
	if resp := f.call(t, "GET", "/v1/topics/orders/partitions/0/records", nil, &p); resp.StatusCode != 429 ||
		p.Limit != "ReadMemoryBytes" {
		t.Errorf("%s, %+v", resp.Status, p)
	}
	for _, giveBack := range held {
		giveBack()
	}
	for range 3 {
		if resp := f.call(t, "GET", "/v1/topics/orders/partitions/0/records?max_bytes=8388608", nil,
			nil); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
	}
	if used := f.ReadMemory().Used() + f.ReadMemory().Own(); used != 0 {
		t.Errorf("%d bytes were not given back", used)
	}
}

// writeUnreadable writes a batch whose sums are right and whose records are none, as it comes in
// when nobody looks inside.
func (f *firn) writeUnreadable(t testing.TB, topic *coordinator.Topic, records int) {
	t.Helper()
	b, err := batch.Build(make([]batch.Record, records), batch.NoProducer(batch.Zstd))
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:batch.HeaderLen], "neither a frame nor records"...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	h, err := batch.Check(b)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := f.writer.Append(
		t.Context(),
		[]ingest.Batch{{Partition: segments.Partition{Topic: topic.ID}, Header: h, Bytes: b}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if answers, err := pending.Wait(t.Context()); err != nil || answers[0].Err != nil {
		t.Fatal(answers, err)
	}
}

// TestUnreadable: records that cannot be read are skipped and named, by every way to read, and
// their batch can be had as it is.
func TestUnreadable(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	f.writeValues(t, topic, 0, "a")
	f.writeUnreadable(t, topic, 3)
	f.writeUnreadable(t, topic, 2)
	f.writeValues(t, topic, 0, "b")
	f.writeUnreadable(t, topic, 1)

	var read struct {
		Records []struct{ Offset int64 }
		Skipped []unreadable
		Next    int64 `json:"next_offset"`
	}
	resp := f.call(t, "GET", "/v1/topics/orders/partitions/0/records", nil, &read)
	if resp.StatusCode != 200 || len(read.Records) != 2 || read.Records[1].Offset != 6 || read.Next != 8 {
		t.Errorf("%s: %+v", resp.Status, read)
	}
	if s := read.Skipped; len(s) != 2 || s[0].From != 1 || s[0].To != 6 || s[1].From != 7 || s[1].To != 8 ||
		!strings.Contains(s[0].Detail, "zstd") {
		t.Errorf("%+v", s)
	}
	if got := resp.Header.Values("Firn-Skipped-Offsets"); !slices.Equal(got, []string{"1-5", "7-7"}) {
		t.Error(got)
	}
	if resp := f.call(t, "GET", "/v1/topics/orders/partitions/0/records?offset=7", nil, &read); resp.StatusCode != 200 ||
		len(read.Records) != 0 ||
		read.Next != 8 {
		t.Errorf("at the end: %s: %+v", resp.Status, read)
	}

	tail := f.openTail(t, "/v1/topics/orders/tail?from=earliest", "")
	wantValues(t, tail.take(1), "0:a")
	for _, want := range []string{`{"partition":0,"from":1,"to":4,`, `{"partition":0,"from":4,"to":6,`} {
		if e, _ := tail.next(); e.kind != "skipped" || !strings.HasPrefix(e.data, want) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	wantValues(t, tail.take(1), "0:b")

	var claims struct {
		Claims []struct {
			Problem *problem
			Read    struct {
				Skipped []unreadable
				Next    int64 `json:"next_offset"`
			}
		}
	}
	f.call(
		t,
		"POST",
		"/v1/groups/g/claims?read=1000",
		map[string]any{"holder": "h", "topics": []string{"orders"}},
		&claims,
	)
	if len(claims.Claims) != 1 || claims.Claims[0].Problem != nil || len(claims.Claims[0].Read.Skipped) != 2 ||
		claims.Claims[0].Read.Next != 8 {
		t.Errorf("%+v", claims)
	}
}

// TestManyUnreadable: an answer tells of so many ranges and no more, and the next one goes on
// there.
func TestManyUnreadable(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 1)
	const maxSkipped = 20
	const ranges = 2*maxSkipped + 5
	for range ranges {
		f.writeUnreadable(t, topic, 1)
		f.writeValues(t, topic, 0, "a")
	}
	told, offset := 0, int64(0)
	for offset < 2*ranges {
		var read struct {
			Skipped []unreadable
			Next    int64 `json:"next_offset"`
		}
		f.call(t, "GET", fmt.Sprintf("/v1/topics/orders/partitions/0/records?offset=%d", offset), nil, &read)
		if len(read.Skipped) > maxSkipped || read.Next <= offset {
			t.Fatalf("%+v", read)
		}
		told, offset = told+len(read.Skipped), read.Next
	}
	if told != ranges {
		t.Errorf("told of %d ranges of %d", told, ranges)
	}
}

// FuzzQuery: whatever a query says, the answer is an answer: records, or a problem that says what
// is wrong with the request.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"", "offset=1", "from=latest&wait=1ms", "from=2026-01-31T12:00:00Z",
		"max_bytes=1&max_records=1", "offset=%zz", "wait=-1", "from=0;x", "&&=&"} {
		f.Add(q)
	}
	n := startFirn(f, 1, nil)[0]
	n.writeValues(f, n.makeTopic(f, "orders", 1), 0, "a", "b", "c")
	f.Fuzz(func(t *testing.T, q string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/v1/topics/orders/partitions/0/records", nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(q, "wait") {
			q = "offset=0&" + q // so that nothing is waited for
		}
		r.URL.RawQuery = q
		status, body := serve(n.Server, r)
		if status != 200 && status != 400 && status != 416 || !json.Valid(body) {
			t.Errorf("%q: %d, %s", q, status, body)
		}
	})
}
