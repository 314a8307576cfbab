package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// route is something that is served. The OpenAPI document describes each but those that are Go's own profiles.
type route struct {
	method  string // one; GET is HEAD as well
	pattern string // of http.ServeMux, without a method
	handler handler
	summary string // what it does, in a few words
}

// handler answers a request, or returns why it does not: a *problem, or an error that problemOf knows. After it has written something it returns nil.
type handler func(w http.ResponseWriter, r *http.Request) error

// routeList is the whole of what is served, beside profiles.
func (s *Server) routeList() []route {
	return slices.Concat(s.observing(), s.producing(), s.consuming())
}

// observing is for those who look after the process.
func (s *Server) observing() []route {
	return []route{
		{http.MethodGet, "/healthz", plain(s.healthz), "whether the process is alive"},
		{http.MethodGet, "/readyz", plain(s.readyz), "whether it takes work, and if not, why"},
		{http.MethodGet, "/metrics", plain(s.metrics().ServeHTTP), "metrics for Prometheus"},
		{http.MethodGet, "/{$}", s.home, "what there is"},
	}
}

// plain is a handler that tells its problems itself.
func plain(h http.HandlerFunc) handler {
	return func(w http.ResponseWriter, r *http.Request) error { h(w, r); return nil }
}

// routes registers what is served. A pattern is registered once, for all methods, so that another method than those that it has is answered with them.
func (s *Server) routes() {
	byPattern := map[string][]route{}
	for _, r := range s.routeList() {
		byPattern[r.pattern] = append(byPattern[r.pattern], r)
	}
	for pattern, routes := range byPattern {
		s.mux.Handle(pattern, s.byMethod(routes))
	}
	if s.opts.Profiles {
		s.mux.Handle("/debug/pprof/", loopbackOnly(profiles()))
	}
	s.mux.HandleFunc("/", nowhere)
}

// adminRoutes is probes and metrics, for a listener of their own.
func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.observing() {
		if r.pattern != "/{$}" {
			mux.Handle(r.pattern, s.byMethod([]route{r}))
		}
	}
	mux.HandleFunc("/", nowhere)
	return mux
}

// nowhere answers for every path that is not there, whatever the method.
func nowhere(w http.ResponseWriter, _ *http.Request) {
	fail(w, problem{Status: http.StatusNotFound, Detail: "nothing is served here; /openapi.json lists what there is"})
}

// byMethod answers the requests for one pattern.
func (s *Server) byMethod(routes []route) http.Handler {
	methods := map[string]handler{}
	for _, r := range routes {
		methods[r.method] = r.handler
		if r.method == http.MethodGet {
			methods[http.MethodHead] = r.handler
		}
	}
	allow := allowed(methods)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, served := methods[r.Method]
		switch {
		case served:
			if err := h(w, r); err != nil {
				fail(w, s.problemOf(err))
			}
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			fail(w, problem{Status: http.StatusMethodNotAllowed, Detail: r.URL.Path + " takes " + allow})
		}
	})
}

// allowed lists methods as the header Allow has them.
func allowed(methods map[string]handler) string {
	list := []string{http.MethodOptions}
	for m := range methods {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(a, b) })
	return strings.Join(list, ", ")
}
