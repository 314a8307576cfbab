package tracing

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// took is what a stand-in for a collector was sent.
func took(t *testing.T, ratio float64, requests ...*Request) (spans []span, resource map[string]string) {
	t.Helper()
	return sent(t, ratio, func(tracer *Tracer) {
		for _, r := range requests {
			tracer.Record(r)
		}
	})
}

// sent is what a stand-in for a collector was sent of what is recorded.
func sent(t *testing.T, ratio float64, record func(*Tracer)) (spans []span, resource map[string]string) {
	t.Helper()
	resource = map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e export
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.URL.Path != "/v1/traces" ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		for _, rs := range e.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				resource[a.Key] = a.Value.Text
			}
			for _, ss := range rs.ScopeSpans {
				spans = append(spans, ss.Spans...)
			}
		}
	}))
	defer server.Close()
	tracer, err := New(Options{Endpoint: server.URL, Ratio: ratio, Node: 3, Version: "v1",
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	record(tracer)
	tracer.Close(t.Context())
	return spans, resource
}

// TestSpans: a request and its steps are spans of the trace that its client names.
func TestSpans(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	from := time.Unix(1700000000, 5)
	spans, resource := took(t, 0, &Request{
		Name: "Produce", Parent: "00-" + traceID + "-" + parent + "-01", From: from, To: from.Add(time.Second),
		Failed: "REQUEST_TIMED_OUT", Attributes: map[string]string{"messaging.client.id": "app", "empty": ""},
		Steps: []Step{{"put", from.Add(time.Millisecond), from.Add(time.Second)}},
	})
	if len(spans) != 2 || resource["service.name"] != "firn" || resource["service.instance.id"] != "3" {
		t.Fatalf("%+v of %v", spans, resource)
	}
	step, request := spans[0], spans[1]
	if request.TraceID != traceID || request.Parent != parent || request.Kind != 2 || request.Status.Code != statusError ||
		request.Start != "1700000000000000005" || request.End != "1700000001000000005" ||
		len(request.Attributes) != 1 || request.Attributes[0] != (keyValue{"messaging.client.id", value{"app"}}) {
		t.Errorf("the request is %+v", request)
	}
	if step.TraceID != traceID || step.Parent != request.SpanID || step.Name != "put" || step.Start == request.Start {
		t.Errorf("the step is %+v", step)
	}
}

// TestSampling: a client's word counts, and else the ratio.
func TestSampling(t *testing.T) {
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	not := &Request{Name: "r", Parent: "00-" + traceID + "-00f067aa0ba902b7-00"}
	if spans, _ := took(t, 1, not); len(spans) != 0 {
		t.Errorf("a client that wants no trace gets %+v", spans)
	}
	for _, parent := range []string{"", "hostile\n", "00-short-00f067aa0ba902b7-01", strings.Repeat("x", 1000)} {
		if spans, _ := took(t, 1, &Request{Name: "r", Parent: parent}); len(spans) != 1 || spans[0].Parent != "" {
			t.Errorf("traceparent %q: %+v", parent, spans)
		}
		if spans, _ := took(t, 0, &Request{Name: "r", Parent: parent}); len(spans) != 0 {
			t.Errorf("traceparent %q is traced at ratio 0", parent)
		}
	}
}

// TestClientsAreBounded: clients have no more requests traced than they may, those that the ratio
// chooses count apart, and no client makes an attribute as long as it likes.
func TestClientsAreBounded(t *testing.T) {
	wanted := &Request{Name: "wanted", Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Attributes: map[string]string{"messaging.client.id": strings.Repeat("x", 32<<10)}}
	spans, _ := sent(t, 1, func(tracer *Tracer) {
		tracer.asked.SetLimit(0) // no second passes
		for range 2 * maxAsked {
			tracer.Record(wanted)
			tracer.Record(&Request{Name: "chosen"})
		}
	})
	names := map[string]int{}
	for i := range spans {
		names[spans[i].Name]++
		for _, a := range spans[i].Attributes {
			if len(a.Value.Text) != maxAttribute {
				t.Errorf("%s has %d bytes", a.Key, len(a.Value.Text))
			}
		}
	}
	if names["wanted"] != maxAsked || names["chosen"] != 2*maxAsked {
		t.Errorf("traced are %v", names)
	}
}

// TestWithout: without a tracer nothing is traced, and bad options are refused.
func TestWithout(t *testing.T) {
	var none *Tracer
	none.Record(&Request{})
	none.Close(t.Context())
	FromContext(context.Background()).Add(Step{})
	bad := []Options{{Endpoint: "127.0.0.1:4318"}, {Endpoint: "grpc://host"}, {Endpoint: "http://host", Ratio: 2}}
	for _, o := range bad {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
