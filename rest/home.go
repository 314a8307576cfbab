package rest

import (
	"bytes"
	"net/http"
	"strings"
	"time"

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

// consoleFiles are what / shows to people.
var consoleFiles = console.Files()

// pageForBrowsers shows browsers the console. It is the same for everybody, and has a form for
// logins in it, so nobody is asked who they are.
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
		sendConsoleFile(w, r, console.Page)
		return nil
	}
}

// consoleFile answers with one of the console's files.
func consoleFile(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if _, there := consoleFiles[name]; !there {
		return &problem{Status: http.StatusNotFound, Detail: "the console has no such file"}
	}
	sendConsoleFile(w, r, name)
	return nil
}

// sendConsoleFile sends a file, or says that the browser has it. Browsers ask each time, so that
// the files that one has are all of one version.
func sendConsoleFile(w http.ResponseWriter, r *http.Request, name string) {
	file, h := consoleFiles[name], w.Header()
	h.Set("Content-Type", file.Type)
	h.Set("Content-Security-Policy", console.Policy)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", file.Tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.Body))
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
