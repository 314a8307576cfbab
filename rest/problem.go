package rest

import (
	"encoding/json"
	"net/http"
)

// problem is an error as clients get it (RFC 9457). Its type is about:blank, which is left out: the status says it all.
type problem struct {
	Title   string   `json:"title"` // the status in words
	Status  int      `json:"status"`
	Detail  string   `json:"detail,omitempty"`
	Reasons []string `json:"reasons,omitempty"` // why /readyz says no
}

// fail answers with a problem.
func fail(w http.ResponseWriter, p problem) {
	p.Title = http.StatusText(p.Status)
	answer(w, p.Status, "application/problem+json", p)
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // nothing that is answered here can fail to be JSON
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // an error means that the client has gone
}
