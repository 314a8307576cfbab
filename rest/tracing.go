package rest

import (
	"fmt"
	"net/http"
	"time"

	"firn.dev/ingest"
	"firn.dev/tracing"
)

// traced runs a handler as a request of a trace: the one that its client names, or a new one.
func (s *Server) traced(name string, w *watchedAnswer, r *http.Request, h http.HandlerFunc) {
	if s.opts.Tracer == nil {
		h(w, r)
		return
	}
	t := &tracing.Request{Name: name, Parent: r.Header.Get(tracing.Parent), From: time.Now()}
	h(w, r.WithContext(tracing.With(r.Context(), t)))
	t.To = time.Now()
	t.Attributes = map[string]string{"http.request.method": r.Method, "http.response.status_code": fmt.Sprint(w.status)}
	if w.status >= http.StatusInternalServerError {
		t.Failed = http.StatusText(w.status)
	}
	s.opts.Tracer.Record(t)
}

// addStages adds to a request what its records were waited for.
func addStages(t *tracing.Request, pending *ingest.Pending) {
	for _, stage := range pending.Stages() {
		t.Add(tracing.Step(stage))
	}
}
