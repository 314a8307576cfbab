package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStorm passes requests on as they were signed, or refuses them as S3 does.
func TestStorm(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
	}))
	defer server.Close()
	s, err := newStorm(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	put := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+s.addr+"/bucket/a%2Fkey?x=%20",
			strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "signed.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	if status, answer := put(); status != http.StatusOK || answer != "PUT signed.example /bucket/a%2Fkey?x=%20 body" {
		t.Errorf("without a storm: %d, %s", status, answer)
	}
	s.percent.Store(100)
	if status, answer := put(); status != http.StatusServiceUnavailable ||
		!strings.Contains(answer, "<Code>SlowDown</Code>") {
		t.Errorf("in a storm: %d, %s", status, answer)
	}
	if s.refused.Load() != 1 {
		t.Errorf("%d requests were refused", s.refused.Load())
	}
}
