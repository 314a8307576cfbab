// Package tracingtest has a stand-in for an OpenTelemetry collector.
package tracingtest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"firn.dev/tracing"
)

// Span is what a test looks at of a span.
type Span struct {
	TraceID string `json:"traceId"`
	ID      string `json:"spanId"`
	Parent  string `json:"parentSpanId"`
	Name    string `json:"name"`
}

// Tracer returns a tracer that traces what clients want to have traced, and no more. check gets all
// that the collector was sent, once everything that is started after this call has been stopped.
func Tracer(t testing.TB, check func(spans []Span)) *tracing.Tracer {
	t.Helper()
	var mu sync.Mutex
	var taken []Span
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var export struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []Span `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		if err := json.NewDecoder(r.Body).Decode(&export); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range export.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				taken = append(taken, ss.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	tracer, err := tracing.New(tracing.Options{Endpoint: server.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tracer.Close(context.Background())
		mu.Lock()
		defer mu.Unlock()
		check(taken)
	})
	return tracer
}

// Names are the names of spans that are part of one span of a trace, in the order in which they
// ended.
func Names(spans []Span, traceID, parent string) (names []string, id string) {
	for _, s := range spans {
		if s.TraceID == traceID && s.Parent == parent {
			names, id = append(names, s.Name), s.ID
		}
	}
	return names, id
}
