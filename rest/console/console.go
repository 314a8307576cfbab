// Package console is the page that / shows to people: it asks the API for what it shows, and needs
// nothing from elsewhere.
package console

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

var (
	//go:embed page.html
	page string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// Page returns the page, as one document.
func Page() []byte {
	whole := strings.NewReplacer("<style>\n", "<style>\n"+style, "<script>\n", "<script>\n"+script).Replace(page)
	return []byte(whole)
}

// Policy is the page's Content-Security-Policy: it lets the page run its own script and ask the
// server that it came from, and nothing else.
func Policy() string {
	sum := sha256.Sum256([]byte("\n" + script))
	return "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; " +
		"form-action 'none'; frame-ancestors 'none'; " +
		"script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
