package segments_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

func TestMeasure(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s, err := segments.Measure(memory.New(), registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	s.Put(t.Context(), "a", make([]byte, 100))
	s.Put(t.Context(), "a", make([]byte, 100))
	s.Put(cancelled, "b", nil)
	s.Put(t.Context(), "//", nil)
	s.Get(t.Context(), "a", 90, -1)
	s.Get(t.Context(), "a", 90, 20)
	s.Get(t.Context(), "b", 0, -1)
	for range s.List(t.Context(), "", "") {
		break
	}
	s.Delete(t.Context(), "a", "b")
	for range 2 { // the second finds the first there
		u, _ := s.Create(t.Context(), "u")
		u.Write(make([]byte, 7))
		u.Commit()
		u.Abort()
	}
	u, _ := s.Create(t.Context(), "given-up")
	u.Abort()
	s.Create(t.Context(), "//")
	segments.Clean(t.Context(), s, time.Now())
	want := []string{
		"firn_store_bytes_total get 10",
		"firn_store_bytes_total put 100",
		"firn_store_bytes_total upload 7",
		"firn_store_request_seconds clean 1 times",
		"firn_store_request_seconds delete 1 times",
		"firn_store_request_seconds get 3 times",
		"firn_store_request_seconds list 1 times",
		"firn_store_request_seconds put 4 times",
		"firn_store_request_seconds upload 4 times",
		"firn_store_requests_total clean ok 1",
		"firn_store_requests_total delete ok 1",
		"firn_store_requests_total get not_found 1",
		"firn_store_requests_total get ok 1",
		"firn_store_requests_total get range 1",
		"firn_store_requests_total list ok 1",
		"firn_store_requests_total put cancelled 1",
		"firn_store_requests_total put error 1",
		"firn_store_requests_total put exists 1",
		"firn_store_requests_total put ok 1",
		"firn_store_requests_total upload cancelled 1",
		"firn_store_requests_total upload error 1",
		"firn_store_requests_total upload exists 1",
		"firn_store_requests_total upload ok 1",
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Error(diff)
	}
	if _, err := segments.Measure(memory.New(), registry, nil); err == nil {
		t.Error("measured twice under one name")
	}
}

// gather returns a line for each metric: its name, its labels' values, and its value or how often
// it was observed.
func gather(t *testing.T, registry prometheus.Gatherer) []string {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			line := family.GetName()
			for _, label := range metric.GetLabel() {
				line += " " + label.GetValue()
			}
			if histogram := metric.GetHistogram(); histogram != nil {
				line += fmt.Sprintf(" %d times", histogram.GetSampleCount())
			} else {
				line += fmt.Sprintf(" %v", metric.GetCounter().GetValue())
			}
			lines = append(lines, line)
		}
	}
	return lines
}
