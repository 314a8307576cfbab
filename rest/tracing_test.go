package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"firn.dev/rest"
	"firn.dev/tracing"
	"firn.dev/tracing/tracingtest"
)

// TestTraced: a request is part of the trace that its header names, with the stages that it was
// waited for.
func TestTraced(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	tracer := tracingtest.Tracer(t, func(sent []tracingtest.Span) {
		request, id := tracingtest.Names(sent, traceID, parent)
		stages, _ := tracingtest.Names(sent, traceID, id)
		if !slices.Equal(request, []string{"POST /v1/topics/{topic}/records"}) ||
			!slices.Equal(stages, []string{"collect", "put", "commit", "journal"}) || len(sent) != 5 {
			t.Errorf("%v, stages %v, of %+v", request, stages, sent)
		}
	})
	f := startFirn(t, 1, func(o *rest.Options) { o.Tracer = tracer })[0]
	f.makeTopic(t, "t", 1)
	for _, traceparent := range []string{"", "00-" + traceID + "-" + parent + "-01"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/topics/t/records",
			strings.NewReader(`{"value": "x"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(tracing.Parent, traceparent)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
	}
}
