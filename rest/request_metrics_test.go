package rest_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"firn.dev/rest"
)

// scraped is the metrics of a node by name and labels.
func (f *firn) scraped(t *testing.T) map[string]float64 {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndex(line, " ")
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		metrics[line[:at]] = v
	}
	return metrics
}

// TestRequestMetrics: requests are counted by route and class of status, with their bytes; and so
// are those that wait, and those that a limit refuses.
func TestRequestMetrics(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, func(o *rest.Options) { o.Limits.MaxTails = 1 })[0]
	f.makeTopic(t, "orders", 1)
	body := `[{"value": "twenty-six bytes"}]`
	f.call(t, "POST", "/v1/topics/orders/records", body, nil)
	f.call(t, "GET", "/v1/topics/nope", nil, nil)

	r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/topics/orders/tail?from=earliest", nil)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Body.Close()
	if _, err := io.ReadFull(tail.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if resp := f.call(t, "GET", "/v1/topics/orders/tail", nil, nil); resp.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("another tail: %s", resp.Status)
	}

	got := f.scraped(t)
	for name, want := range map[string]float64{
		`firn_http_request_seconds_count{route="POST /v1/topics/{topic}/records",status="2xx"}`: 1,
		`firn_http_request_seconds_count{route="GET /v1/topics/{topic}",status="4xx"}`:          1,
		`firn_http_request_seconds_count{route="GET /v1/topics/{topic}/tail",status="4xx"}`:     1,
		`firn_http_refusals_total{reason="MaxTails"}`:                                           1,
		`firn_http_bytes_in_total`:            float64(len(body)),
		`firn_http_tails`:                     1,
		`firn_http_long_polls`:                0,
		`firn_http_connections_refused_total`: 0,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (there: %t), and not %v", name, v, there, want)
		}
	}
	if got["firn_http_connections"] < 1 || got["firn_http_bytes_out_total"] < 100 {
		t.Errorf("%v connections, %v bytes", got["firn_http_connections"], got["firn_http_bytes_out_total"])
	}
}
