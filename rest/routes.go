package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"firn.dev/access"
)

// route is something that is served. The OpenAPI document describes each but those that are Go's
// own profiles.
type route struct {
	method  string // one; GET is HEAD as well
	pattern string // of http.ServeMux, without a method
	handler handler
	summary string // what it does, in a few words
	rules
	around func(handler) handler // what the handler runs in; nil: nothing
}

// handler answers a request, or returns why it does not: a *problem, or an error that problemOf
// knows. After it has written something it returns nil.
type handler func(w http.ResponseWriter, r *http.Request) error

// routeList is the whole of what is served, beside profiles.
func (s *Server) routeList() []route {
	return slices.Concat(s.observing(), s.sessionRoutes(), s.producing(), s.consuming())
}

// observing is for those who look after the process.
func (s *Server) observing() []route {
	return []route{
		{method: http.MethodGet, pattern: "/healthz", handler: plain(s.healthz), summary: "whether the process is alive",
			rules: rules{open: true, quota: access.Unthrottled}},
		{method: http.MethodGet, pattern: "/readyz", handler: plain(s.readyz),
			summary: "whether it takes work, and if not, why",
			rules:   rules{open: true, quota: access.Unthrottled}},
		{method: http.MethodGet, pattern: "/metrics", handler: plain(s.metrics().ServeHTTP),
			summary: "metrics for Prometheus",
			rules:   needs(access.Unthrottled, access.Describe.On(access.Cluster))},
		{method: http.MethodGet, pattern: "/{$}", handler: s.home, summary: "what there is",
			rules: needs(access.Requests).asking(access.Describe.On(access.Topic)), around: pageForBrowsers},
		{method: http.MethodGet, pattern: "/console/{file}", handler: consoleFile, around: s.compressed,
			summary: "the files of the page for people", rules: rules{open: true, quota: access.Unthrottled}},
	}
}

// within has the handlers of routes run in something.
func within(around func(handler) handler, routes []route) []route {
	for i := range routes {
		routes[i].around = around
	}
	return routes
}

// plain is a handler that tells its problems itself.
func plain(h http.HandlerFunc) handler {
	return func(w http.ResponseWriter, r *http.Request) error { h(w, r); return nil }
}

// routes registers what is served. A pattern is registered once, for all methods, so that another
// method than those that it has is answered with them.
func (s *Server) routes() {
	byPattern := map[string][]route{}
	for _, r := range s.routeList() {
		byPattern[r.pattern] = append(byPattern[r.pattern], r)
	}
	for pattern, routes := range byPattern {
		s.mux.Handle(pattern, s.byMethod(routes))
	}
	if s.opts.Profiles {
		s.mux.Handle("/debug/pprof/", s.answers(s.asking(&route{handler: plain(loopbackOnly(profiles()).ServeHTTP),
			rules: needs(access.Unthrottled, access.ClusterAction.On(access.Cluster))})))
	}
	s.mux.HandleFunc("/", nowhere)
}

// adminRoutes is probes and metrics, for a listener of their own. Scrapers do not log in there.
func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.observing() {
		if r.pattern != "/{$}" && r.pattern != "/console/{file}" {
			r.rules = rules{open: true, quota: access.Unthrottled}
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
	methods := map[string]http.HandlerFunc{}
	for i := range routes {
		r := s.withinQuota(&routes[i])
		h := s.asking(r)
		if r.around != nil {
			h = r.around(h)
		}
		methods[r.method] = s.measured(r, s.answers(h))
		if r.method == http.MethodGet {
			methods[http.MethodHead] = methods[r.method]
		}
	}
	allow := allowed(methods)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, served := methods[r.Method]
		switch {
		case served:
			h(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			fail(w, problem{Status: http.StatusMethodNotAllowed, Detail: r.URL.Path + " takes " + allow})
		}
	})
}

// answers has a handler's problems told.
func (s *Server) answers(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			fail(w, s.refused(err))
		}
	}
}

// allowed lists methods as the header Allow has them.
func allowed(methods map[string]http.HandlerFunc) string {
	list := []string{http.MethodOptions}
	for m := range methods {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(a, b) })
	return strings.Join(list, ", ")
}
