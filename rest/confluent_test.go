package rest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// confluentPost sends a body and returns the answers, one after the other.
func (f *firn) confluentPost(t *testing.T, path, contentType string,
	body io.Reader) (status int, answers []map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var a map[string]any
		if err := dec.Decode(&a); err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			return resp.StatusCode, answers
		}
		answers = append(answers, a)
	}
}

// TestConfluentV2: bodies, answers and errors of REST Proxy v2.
func TestConfluentV2(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "t", 2)
	for _, c := range []struct {
		path, contentType, body string
		status                  int
		code                    any // of the whole
		offsets                 string
	}{
		{"t/partitions/1", typeV2JSON,
			`{"records":[{"key":"k","value":{"a": 1}},{"value":null,"partition":1}],"value_schema":null}`, 200, nil,
			"[1/0 1/1]"},
		{"t", typeV2Binary, `{"records":[{"key":"aw==","value":"dg==","partition":1}]}`, 200, nil, "[1/2]"},
		{"t", typeV2Binary, `{"records":[{"value":5}]}`, 422, 422.0, ""},
		{"t/partitions/1", typeV2JSON, `{"records":[{"value":1,"partition":0}]}`, 422, 422.0, ""},
		{"t", typeV2JSON, `{"recrods":[]}`, 422, 422.0, ""},
		{"t", typeV2JSON, `{"records":[`, 400, 400.0, ""},
		{"t", "application/vnd.kafka.avro.v2+json", `{}`, 415, 415.0, ""},
		{"u", typeV2JSON, `{"records":[]}`, 404, 40401.0, ""},
		{"t/partitions/2", typeV2JSON, `{"records":[]}`, 404, 40402.0, ""},
	} {
		status, answers := f.confluentPost(t, "/topics/"+c.path, c.contentType, strings.NewReader(c.body))
		var offsets string
		if list, _ := answers[0]["offsets"].([]any); list != nil {
			var said []string
			for _, o := range list {
				said = append(said, fmt.Sprintf("%v/%v", o.(map[string]any)["partition"], o.(map[string]any)["offset"]))
			}
			offsets = fmt.Sprint(said)
		}
		if status != c.status || answers[0]["error_code"] != c.code || offsets != c.offsets {
			t.Errorf("%s %s: %d %v", c.path, c.body, status, answers)
		}
	}
	if diff := cmp.Diff([]string{`"k"|{"a":1}|`, "<nil>|<nil>|", "k|v|"}, f.stored(t, "t", 1)); diff != "" {
		t.Error(diff)
	}
}

// TestConfluentV3: a single record, several, and errors.
func TestConfluentV3(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "t", 2)
	path := "/v3/clusters/" + f.node.View().ClusterID() + "/topics/"
	for _, c := range []struct {
		path, body string
		status     int
		codes      string
	}{
		{path + "t",
			`{"partition_id":1,"key":{"type":"BINARY","data":"aw=="},"value":{"type":"JSON","data":[1, 2]},` +
				`"headers":[{"name":"h","value":"dg=="}],"timestamp":"2026-01-01T00:00:00Z"}`, 200, "[200]"},
		{path + "t",
			`{"partition_id":1,"value":{"type":"STRING","data":"s"}} ` +
				`{"partition_id":1,"value":{"type":"AVRO","data":"s"}}{"partition_id":1}`, 200, "[200 422 200]"},
		{path + "t", `{"value":{"type":"BINARY","data":"!"}}`, 422, "[422]"},
		{path + "t", `{"partition_id":5}`, 422, "[422]"},
		{path + "t", `{"partition_id":`, 400, "[400]"},
		{path + "t", `{"value":{"type":"STRING","data":"s"}} 0`, 400, "[400]"},
		{path + "u", `{}`, 404, "[40403]"},
		{"/v3/clusters/other/topics/t", `{}`, 404, "[404]"},
	} {
		status, answers := f.confluentPost(t, c.path+"/records", typeJSON, strings.NewReader(c.body))
		var codes []any
		for _, a := range answers {
			codes = append(codes, a["error_code"])
		}
		if status != c.status || fmt.Sprint(codes) != c.codes {
			t.Errorf("%s %s: %d %v", c.path, c.body, status, answers)
		}
	}
	if diff := cmp.Diff([]string{`k|[1,2]|h=v,`, "<nil>|s|", "<nil>|<nil>|"}, f.stored(t, "t", 1)); diff != "" {
		t.Error(diff)
	}
}

// TestConfluentStream: each record of a stream is answered while the client may still send more, in
// order; a refused one does not end the stream, a malformed one does.
func TestConfluentStream(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "t", 1)
	body, send := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		f.url+"/v3/clusters/"+f.node.View().ClusterID()+"/topics/t/records", body)
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan *http.Response, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
		}
		arrived <- resp
	}()
	var answers *bufio.Scanner
	exchange := func(sent string, want ...string) {
		t.Helper()
		if _, err := io.WriteString(send, sent); err != nil {
			t.Fatal(err)
		}
		if answers == nil {
			resp := <-arrived
			t.Cleanup(func() { resp.Body.Close() })
			answers = bufio.NewScanner(resp.Body)
		}
		for _, w := range want {
			if !answers.Scan() || !strings.Contains(answers.Text(), w) {
				t.Fatalf("%s: %s, want %s", sent, answers.Text(), w)
			}
		}
	}
	exchange(`{"value":{"type":"STRING","data":"}{\"["}}`, `"offset":0,`)
	exchange(`{"value":{"type":"NONE","data":1}} {"value":null} {"partition_id":3}{"val`, "422", `"offset":1,`, "422")
	exchange(`ue":{"type":"JSON","data":{"long":"`+strings.Repeat("x", 100_000)+`"}}}`, `"offset":2,`)
	exchange("\n\n{} oops", `"offset":3,`, `"error_code":400`)
	if answers.Scan() {
		t.Errorf("more: %s", answers.Text())
	}
	send.Close()
	if got := f.stored(t, "t", 0); len(got) != 4 || got[0] != `<nil>|}{"[|` {
		t.Errorf("%.200q", got)
	}
}

// TestConfluentStreamDrains: while the server stops, a stream that is waited for ends, after what
// it had sent is answered.
func TestConfluentStreamDrains(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	f.makeTopic(t, "t", 1)
	body, send := io.Pipe()
	defer send.Close()
	answered := make(chan []map[string]any, 1)
	go func() {
		_, answers := f.confluentPost(t, "/v3/clusters/"+f.node.View().ClusterID()+"/topics/t/records", typeJSON, body)
		answered <- answers
	}()
	if _, err := io.WriteString(send, `{"value":{"type":"STRING","data":"s"}}`); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); len(f.stored(t, "t", 0)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the record is not written")
		}
	}
	f.Drain()
	if answers := <-answered; len(answers) != 2 || answers[0]["offset"] != 0.0 || answers[1]["error_code"] != 503.0 {
		t.Errorf("%v", answers)
	}
}
