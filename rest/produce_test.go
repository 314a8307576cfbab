package rest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/rest"
	"firn.dev/segments"
)

// posted is the answer of a produce request.
type posted struct {
	problem
	Topic   string `json:"topic"`
	Records []struct {
		Partition int32 `json:"partition"`
		Offset    int64 `json:"offset"`
		Timestamp int64 `json:"timestamp"`
	} `json:"records"`
	status int
	header http.Header
}

// post sends a body; header fields are name and value, in turn.
func (f *firn) post(t testing.TB, path, body string, fields ...string) posted {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	a := posted{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%d: %s: %v", w.Code, w.Body, err)
	}
	return a
}

// stored reads all of a partition back, each record as key|value|headers.
func (f *firn) stored(t testing.TB, topic string, partition int) (records []string) {
	t.Helper()
	status, body := serve(f.Server, httptest.NewRequestWithContext(t.Context(), "GET",
		fmt.Sprintf("/v1/topics/%s/partitions/%d/records", topic, partition), nil))
	var answer struct {
		Records []struct {
			Offset     int64
			Key, Value any
			Headers    []struct {
				Key   string
				Value any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 {
		t.Fatal(status, string(body), err)
	}
	for i, r := range answer.Records {
		if r.Offset != int64(i) {
			t.Fatalf("offset %d is the record at %d", r.Offset, i)
		}
		s := fmt.Sprintf("%v|%v|", r.Key, r.Value)
		for _, h := range r.Headers {
			s += fmt.Sprintf("%s=%v,", h.Key, h.Value)
		}
		records = append(records, s)
	}
	return records
}

func compressed(t testing.TB, coding, body string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "lz4":
		w = lz4.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, body); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestProduceBodies: what becomes of each kind of body.
func TestProduceBodies(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	const ct = "Content-Type"
	binary := base64.StdEncoding.EncodeToString([]byte{0xff, 0})
	for i, c := range []struct {
		name   string
		query  string
		fields []string
		body   string
		want   []string
	}{
		{"array", "", []string{ct, typeJSON}, `[{"value":"a"},{"value":1.50},{"value":null,"key":""}]`,
			[]string{"<nil>|a|", "<nil>|1.50|", "|<nil>|"}},
		{"one", "", []string{ct, typeJSON + "; charset=utf-8"}, ` {"key":{"b": [1, "x y"]}, "value":"é\u00e9"} `,
			[]string{`{"b":[1,"x y"]}|éé|`}},
		{"empty array", "", []string{ct, typeJSON}, `[]`, nil},
		{"lines", "", []string{ct, typeNDJSON}, "{\"value\":true}\n\n{\"value\":\"\"}\n", []string{"<nil>|true|", "<nil>||"}},
		{"base64", "", []string{ct, typeJSON}, `[{"value":{"base64":"` + binary +
			`"}},{"value": { "base64" : "YQ"}},{"value":{"base64":"YQ","x":1}}]`,
			[]string{"<nil>|map[base64:" + binary + "]|", "<nil>|a|", `<nil>|{"base64":"YQ","x":1}|`}},
		{"headers", "", []string{ct, typeJSON},
			`[{"value":"v","headers":{"b":"1","a":null}},
			{"value":"v","headers":[{"key":"h","value":"1"},{"value":2,"key":"h"}]},{"value":"v","headers":null}]`,
			[]string{"<nil>|v|b=1,a=<nil>,", "<nil>|v|h=1,h=2,", "<nil>|v|"}},
		{"escaped name", "", []string{ct, typeJSON}, `{"\u0076alue":"a\nb"}`, []string{"<nil>|a\nb|"}},
		{"names twice in a value", "", []string{ct, typeJSON}, `{"value":{"a":1,"a":2}}`, []string{`<nil>|{"a":1,"a":2}|`}},
		{"raw", "?key=k&partition=0&timestamp=5", []string{ct, typeBytes}, "a\nb", []string{"k|a\nb|"}},
		{"text", "", []string{ct, "text/csv", "Firn-Key", "k", "Firn-Header-Trace", "x", "Firn-Header-Trace", "y"}, "a,b",
			[]string{"k|a,b|trace=x,trace=y,"}},
		{"no type", "", nil, "", []string{"<nil>||"}},
		{"gzip", "", []string{ct, typeJSON, "Content-Encoding", "gzip"}, compressed(t, "gzip", `{"value":"z"}`),
			[]string{"<nil>|z|"}},
		{"zstd", "", []string{ct, typeJSON, "Content-Encoding", "zstd"}, compressed(t, "zstd", `{"value":"z"}`),
			[]string{"<nil>|z|"}},
		{"lz4", "", []string{ct, typeBytes, "Content-Encoding", "LZ4"}, compressed(t, "lz4", "z"), []string{"<nil>|z|"}},
		{"binary event", "", []string{ct, "application/json", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a%20b",
			"ce-type", "t", "ce-partitionkey", "k"}, `{"x": 1}`,
			[]string{`k|{"x": 1}|content-type=application/json,ce_id=1,ce_partitionkey=k,` +
				`ce_source=/a b,ce_specversion=1.0,ce_type=t,`}},
		{"structured event", "", []string{ct, typeEvent},
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","n":5,"none":null,"data":{"x": 1}}`,
			[]string{`<nil>|{"x":1}|content-type=application/json,ce_id=1,ce_n=5,ce_source=/s,ce_specversion=1.0,ce_type=t,`}},
		{"batched events", "", []string{ct, typeEvents},
			`[{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"hi"},
			{"specversion":"1.0","id":"2","source":"/s","type":"t","datacontenttype":"application/json","data":"hi"},
			{"specversion":"1.0","id":"3","source":"/s","type":"t","data_base64":"` + binary + `"},
			{"specversion":"1.0","id":"4","source":"/s","type":"t"}]`,
			[]string{`<nil>|hi|content-type=text/plain,ce_id=1,ce_source=/s,ce_specversion=1.0,ce_type=t,`,
				`<nil>|"hi"|content-type=application/json,ce_id=2,ce_source=/s,ce_specversion=1.0,ce_type=t,`,
				`<nil>|map[base64:` + binary + `]|ce_id=3,ce_source=/s,ce_specversion=1.0,ce_type=t,`,
				`<nil>|<nil>|ce_id=4,ce_source=/s,ce_specversion=1.0,ce_type=t,`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := fmt.Sprintf("t%d", i)
			f.makeTopic(t, topic, 1)
			a := f.post(t, "/v1/topics/"+topic+"/records"+c.query, c.body, c.fields...)
			if a.status != 200 || a.Topic != topic || len(a.Records) != len(c.want) {
				t.Fatalf("%+v", a)
			}
			for i, r := range a.Records {
				if r.Partition != 0 || r.Offset != int64(i) || r.Timestamp == 0 {
					t.Errorf("record %d: %+v", i, r)
				}
			}
			if diff := cmp.Diff(c.want, f.stored(t, topic, 0)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProduceRefuses: a refused request writes nothing, and its problem says which record, which
// field and which limit.
func TestProduceRefuses(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxBodyBytes, o.Limits.MaxRecords = 4000, 10 })[0]
	create := func(name string, configs map[string]string) {
		_, err := f.node.Change(t.Context(),
			coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: name, Partitions: 2,
				Configs: configs}})
		if err != nil {
			t.Fatal(err)
		}
	}
	create("t", map[string]string{"max.message.bytes": "1000"})
	create("compact", map[string]string{"cleanup.policy": "compact"})
	create("strict", map[string]string{"message.timestamp.before.max.ms": "1000"})
	event := func(s string) string { return `{"specversion":"1.0","id":"1","source":"/s","type":"t"` + s + `}` }
	for _, c := range []struct {
		topic, contentType, body string
		fields                   []string
		status                   int
		record                   int // -1: none
		field, limit             string
	}{
		{"t", typeJSON, ``, nil, 400, 0, "", ""},
		{"t", typeJSON, `[{"value":1},{"value":`, nil, 400, 1, "", ""},
		{"t", typeJSON, `[{"value":1}] x`, nil, 400, 1, "", ""},
		{"t", typeJSON, `{"value":1}{"value":2}`, nil, 400, -1, "", ""},
		{"t", typeJSON, "{\"value\":\"\xff\"}", nil, 400, 0, "", ""},
		{"t", typeJSON, `"x"`, nil, 422, 0, "", ""},
		{"t", typeNDJSON, `[{"value":1}]`, nil, 422, 0, "", ""},
		{"t", typeJSON, `[{"value":1},{"key":"k"}]`, nil, 422, 1, "value", ""},
		{"t", typeJSON, `{"value":1,"vale":2}`, nil, 422, 0, "vale", ""},
		{"t", typeJSON, `{"value":1,"value":2}`, nil, 422, 0, "value", ""},
		{"t", typeJSON, `{"value":1,"partition":2}`, nil, 422, 0, "partition", ""},
		{"t", typeJSON, `{"value":1,"partition":-1}`, nil, 422, 0, "partition", ""},
		{"t", typeJSON, `{"value":1,"partition":1e0}`, nil, 422, 0, "partition", ""},
		{"t", typeJSON, `{"value":1,"timestamp":"yesterday"}`, nil, 422, 0, "timestamp", ""},
		{"t", typeJSON, `{"value":1,"timestamp":-5}`, nil, 422, 0, "timestamp", ""},
		{"t", typeJSON, `{"value":1,"timestamp":"9999-01-01T00:00:00Z"}`, nil, 422, 0, "timestamp", ""},
		{"strict", typeJSON, `[{"value":1},{"value":1,"timestamp":1000}]`, nil, 422, 1, "timestamp", ""},
		{"compact", typeJSON, `[{"value":1,"key":"k"},{"value":1}]`, nil, 422, 1, "key", ""},
		{"t", typeJSON, `{"value":{"base64":"!"}}`, nil, 422, 0, "value", ""},
		{"t", typeJSON, `{"value":1,"headers":[{"value":"x"}]}`, nil, 422, 0, "headers", ""},
		{"t", typeJSON, `{"value":1,"headers":"x"}`, nil, 422, 0, "", ""},
		{"t", typeJSON, `[` + strings.Repeat(`{"value":1},`, 10) + `{"value":1}]`, nil, 413, -1, "", "MaxRecords"},
		{"t", typeJSON, `{"value":"` + strings.Repeat("x", 1000) + `"}`, nil, 413, -1, "", "max.message.bytes"},
		{"t", typeBytes, strings.Repeat("x", 4001), nil, 413, -1, "", "MaxBodyBytes"},
		{"t", typeBytes, compressed(t, "gzip", strings.Repeat("x", 4001)), []string{"Content-Encoding", "gzip"}, 413, -1, "",
			"MaxBodyBytes"},
		{"t", typeBytes, compressed(t, "zstd", strings.Repeat("x", 1<<20)), []string{"Content-Encoding", "zstd"}, 413, -1, "",
			"MaxBodyBytes"},
		{"t", typeBytes, "x", []string{"Content-Encoding", "zstd"}, 400, -1, "Content-Encoding", ""},
		{"t", typeBytes, "x", []string{"Content-Encoding", "br"}, 415, -1, "Content-Encoding", ""},
		{"t", "application/x-www-form-urlencoded", "x", nil, 415, -1, "Content-Type", ""},
		{"t?key=a", typeJSON, `{"value":1}`, nil, 400, -1, "key", ""},
		{"t?kee=a", typeBytes, `x`, nil, 400, -1, "kee", ""},
		{"t?partition=9", typeBytes, `x`, nil, 422, 0, "partition", ""},
		{"t?partition=x", typeBytes, `x`, nil, 422, -1, "partition", ""},
		{"t", typeBytes, `x`, []string{"Firn-Timestamp", "x"}, 422, -1, "Firn-Timestamp", ""},
		{"t", typeBytes, `x`, []string{idempotencyHeader, `"x`}, 400, -1, idempotencyHeader, ""},
		{"t", typeBytes, `x`, []string{idempotencyHeader, strings.Repeat("x", 256)}, 400, -1, idempotencyHeader, ""},
		{"nowhere", typeBytes, `x`, nil, 404, -1, "", ""},
		{"t", typeEvent, `{"specversion":"1.0","id":"1","source":"/s"}`, nil, 422, 0, "type", ""},
		{"t", typeEvent, `{"specversion":"0.3","id":"1","source":"/s","type":"t"}`, nil, 422, 0, "specversion", ""},
		{"t", typeEvent, event(`,"time":"noon"`), nil, 422, 0, "time", ""},
		{"t", typeEvent, event(`,"Upper":"x"`), nil, 422, 0, "Upper", ""},
		{"t", typeEvent, event(`,"x":{}`), nil, 422, 0, "x", ""},
		{"t", typeEvent, event(`,"id":"2"`), nil, 422, 0, "id", ""},
		{"t", typeEvent, event(`,"data":1,"data_base64":"YQ=="`), nil, 422, 0, "data", ""},
		{"t", typeEvents, `[` + event("") + `,` + event(`,"data_base64":1`) + `]`, nil, 422, 1, "data_base64", ""},
		{"t", typeJSON, `{}`, []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "%zz", "ce-type", "t"}, 422, -1,
			"Ce-Source", ""},
	} {
		topic, query, _ := strings.Cut(c.topic, "?")
		a := f.post(t, "/v1/topics/"+topic+"/records?"+query, c.body, append(c.fields, "Content-Type", c.contentType)...)
		record := -1
		if a.Record != nil {
			record = *a.Record
		}
		if a.status != c.status || a.Status != c.status || record != c.record || a.Field != c.field || a.Limit != c.limit ||
			a.Detail == "" {
			t.Errorf("%s %s %.60s %v:\n%d, record %d, field %q, limit %q: %s", c.topic, c.contentType, c.body, c.fields,
				a.status, record, a.Field, a.Limit, a.Detail)
		}
	}
	for _, topic := range f.node.View().Topics() {
		for i := range topic.Partitions {
			if info, _ := f.node.View().Partition(segments.Partition{Topic: topic.ID, Index: i}); info.HighWatermark != 0 {
				t.Errorf("a refused request wrote to %s", topic.Name)
			}
		}
	}
}

// TestProduceCreatesTopics: with AutoCreateTopics the first record creates its topic, unless no
// topic can be called so.
func TestProduceCreatesTopics(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Topics.AutoCreate, o.Topics.DefaultPartitions = true, 3 })[0]
	if a := f.post(t, "/v1/topics/new.topic/records", "x"); a.status != 200 ||
		f.node.View().Topic("new.topic").Partitions != 3 {
		t.Errorf("%+v", a)
	}
	for _, name := range []string{"new_topic", "a%20b"} {
		if a := f.post(t, "/v1/topics/"+name+"/records", "x"); a.status != 422 || a.Field != "topic" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestRefusedRequestsCreateNothing: a topic is created for records that it takes, by whatever path
// they come.
func TestRefusedRequestsCreateNothing(t *testing.T) {
	f := startFirn(t, 1, func(o *rest.Options) { o.Topics.AutoCreate, o.Topics.DefaultPartitions = true, 3 })[0]
	v1, v2, v3 := "/v1/topics/t/records", "/topics/t", "/v3/clusters/"+f.node.View().ClusterID()+"/topics/t/records"
	large := strings.Repeat("x", 2<<20)
	for _, c := range []struct {
		path, contentType, body string
		status                  int
		streams                 bool // refuses records in an answer of status 200
	}{
		{v1, typeJSON, `[{"value":`, 400, false},
		{v1, typeJSON, `[{"value":"a"},{"value":"b","partition":3}]`, 422, false},
		{v1, typeJSON, `[{"value":"a","timestamp":99999999999999}]`, 422, false},
		{v1, typeBytes, large, 413, false},
		{v2, typeV2JSON, `{"records":[{"value":`, 400, false},
		{v2, typeV2JSON, `{"recrods":[]}`, 422, false},
		{v2, typeV2JSON, `{"records":[{"value":1,"partition":3}]}`, 422, false},
		{v2 + "/partitions/3", typeV2JSON, `{"records":[{"value":1}]}`, 404, false},
		{v3, typeJSON, `{"value":`, 400, true},
		{v3, typeJSON, `{"partition_id":3}`, 422, true},
		{v3, typeJSON, `{"value":{"type":"AVRO","data":"s"}}{"value":{"type":"NONE","data":"s"}}`, 200, true},
	} {
		if status, answers := f.confluentPost(t, c.path, c.contentType, strings.NewReader(c.body)); status != c.status {
			t.Errorf("%s %.40s: %d %v", c.path, c.body, status, answers)
		}
		if c.streams { // a body of unknown length
			if status, answers := f.confluentPost(t, c.path, c.contentType,
				io.MultiReader(strings.NewReader(c.body))); status != 200 || answers[0]["error_code"] == 200.0 {
				t.Errorf("stream of %.40s: %d %v", c.body, status, answers)
			}
		}
		if f.node.View().Topic("t") != nil {
			t.Fatalf("%s %.40s created its topic", c.path, c.body)
		}
	}
	// The stream's topic is there with the first record that it takes.
	if status, answers := f.confluentPost(t, v3, typeJSON,
		io.MultiReader(strings.NewReader(`{"partition_id":3}{"partition_id":2}{}`))); status != 200 || len(answers) != 3 ||
		answers[1]["error_code"] != 200.0 || answers[2]["error_code"] != 200.0 || f.node.View().Topic("t").Partitions != 3 {
		t.Errorf("%d %v", status, answers)
	}
}

// TestLogAppendTime: the answer says the time that the log gave the records, also to a retry.
func TestLogAppendTime(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	_, err := f.node.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: "t", Partitions: 1,
		Configs: map[string]string{"message.timestamp.type": "LogAppendTime"}}})
	if err != nil {
		t.Fatal(err)
	}
	first := f.post(t, "/v1/topics/t/records?timestamp=5", "x", idempotencyHeader, "k")
	if first.status != 200 || first.Records[0].Timestamp < 1_000_000_000_000 {
		t.Fatalf("%+v", first)
	}
	if again := f.post(t, "/v1/topics/t/records?timestamp=5", "x", idempotencyHeader, "k"); !cmp.Equal(again.Records,
		first.Records) {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// TestBadRecordsAreNamed: a request is told of all records that its topic does not take, and may
// write the others.
func TestBadRecordsAreNamed(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	_, err := f.node.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: "compact", Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}}})
	if err != nil {
		t.Fatal(err)
	}
	var all, good []string
	for i := range 100 {
		record := fmt.Sprintf(`{"key":"k%d","value":1}`, i)
		if i%10 == 3 {
			record = `{"value":1}`
		} else {
			good = append(good, record)
		}
		all = append(all, record)
	}
	a := f.post(t, "/v1/topics/compact/records", strings.Join(all, "\n"), "Content-Type", typeNDJSON)
	if a.status != 422 || len(a.BadRecords) != 10 {
		t.Fatalf("%d: %d records are named: %s", a.status, len(a.BadRecords), a.Detail)
	}
	for i, bad := range a.BadRecords {
		if bad.Record != 10*i+3 || bad.Field != "key" || bad.Code != kerr.InvalidRecord.Message || bad.Detail == "" {
			t.Errorf("%+v", bad)
		}
	}
	if a := f.post(t, "/v1/topics/compact/records", strings.Join(good, "\n"), "Content-Type",
		typeNDJSON); a.status != 200 {
		t.Errorf("the others: %d %s", a.status, a.Detail)
	}
}
