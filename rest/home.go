package rest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"

	"firn.dev/access"
)

// home is what / says to programs.
type home struct {
	Service   string            `json:"service"`
	ClusterID string            `json:"cluster_id"`
	Paths     map[string]string `json:"paths"`
	Topics    []topic           `json:"topics"` // the first of them, by name
	Total     int               `json:"topics_total"`
}

// console is what / shows to people: it asks the other paths for what it shows, and needs nothing from elsewhere.
//
//go:embed console.html
var console []byte

// typeHTML is how the console is served.
const typeHTML = "text/html; charset=utf-8"

// consolePolicy lets the console run its own script and ask this server, and nothing else.
var consolePolicy = func() string {
	_, script, _ := strings.Cut(string(console), "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	sum := sha256.Sum256([]byte(script))
	return "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// home says what there is: to browsers as a page, to others as JSON.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	kind, err := negotiate(r, typeJSON, "text/html")
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	if kind != typeJSON {
		w.Header().Set("Content-Type", typeHTML)
		w.Header().Set("Content-Security-Policy", consolePolicy)
		_, _ = w.Write(console) // an error means that the client has gone
		return nil
	}
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
