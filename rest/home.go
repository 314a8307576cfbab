package rest

import (
	"net/http"
	"strings"

	"firn.dev/access"
	"firn.dev/rest/console"
)

// home is what / says to programs.
type home struct {
	Service   string            `json:"service"`
	ClusterID string            `json:"cluster_id"`
	Paths     map[string]string `json:"paths"`
	Topics    []topic           `json:"topics"` // the first of them, by name
	Total     int               `json:"topics_total"`
}

// typeHTML is how the console is served.
const typeHTML = "text/html; charset=utf-8"

// consolePage is what / shows to people, and consolePolicy what browsers let it do.
var consolePage, consolePolicy = console.Page(), console.Policy()

// pageForBrowsers shows browsers the page. It is the same for everybody, and has a form for logins
// in it, so nobody is asked who they are.
func pageForBrowsers(others handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		kind, err := negotiate(r, typeJSON, "text/html")
		if err != nil {
			return err
		}
		w.Header().Set("Vary", "Accept")
		if kind == typeJSON {
			return others(w, r)
		}
		w.Header().Set("Content-Type", typeHTML)
		w.Header().Set("Content-Security-Policy", consolePolicy)
		_, _ = w.Write(consolePage) // an error means that the client has gone
		return nil
	}
}

// home says to programs what there is.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	topics := s.opts.View.Topics()
	h := home{Service: "firn", ClusterID: s.opts.View.ClusterID(), Topics: []topic{}, Paths: map[string]string{}}
	for _, route := range s.routeList() {
		h.Paths[route.method+" "+strings.TrimSuffix(route.pattern, "{$}")] = route.summary
	}
	for _, t := range topics {
		if !allows(r, access.Describe, access.Topic, t.Name) {
			continue
		}
		if h.Total++; h.Total <= maxListed {
			h.Topics = append(h.Topics, s.summary(t))
		}
	}
	answer(w, http.StatusOK, typeJSON, h)
	return nil
}
