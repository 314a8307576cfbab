package rest

import (
	_ "embed"
	"net/http"
)

// openAPIDocument describes all that is served. A test compares it with the list of routes, and
// sends its examples.
//
//go:embed openapi.json
var openAPIDocument []byte

func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(openAPIDocument) // an error means that the client has gone
	return nil
}
