package rest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"firn.dev/rest/console"
)

// TestConsoleFiles: each file comes with its type, a policy under which nothing of elsewhere runs,
// and a tag with which browsers ask whether theirs is still the one.
func TestConsoleFiles(t *testing.T) {
	t.Parallel()
	f := startFirn(t, 1, nil)[0]
	for name, file := range console.Files() {
		if file.Type == "" {
			t.Errorf("%s has no type", name)
		}
		resp := answerTo(t, f, "GET", "/console/"+name)
		h := resp.Header
		if resp.StatusCode != http.StatusOK || h.Get("Content-Type") != file.Type ||
			h.Get("Content-Security-Policy") != console.Policy || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, %v", name, resp.Status, h)
		}
		again := answerTo(t, f, "GET", "/console/"+name, field("If-None-Match", h.Get("ETag")))
		if again.StatusCode != http.StatusNotModified || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s again: %s, %v", name, again.Status, h)
		}
		other := answerTo(t, f, "GET", "/console/"+name, field("If-None-Match", `"of another version"`))
		if other.StatusCode != http.StatusOK {
			t.Errorf("%s of another version: %s", name, other.Status)
		}
	}
	if resp := answerTo(t, f, "GET", "/console/console.go"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not the console's: %s", resp.Status)
	}
	for _, forbidden := range []string{"unsafe-", "http:", "https:", "*"} {
		if strings.Contains(console.Policy, forbidden) {
			t.Errorf("the policy allows %s", forbidden)
		}
	}
}

var (
	imported = regexp.MustCompile(`from "\./([^"]+)"`)
	referred = regexp.MustCompile(`(?:src|href)="console/([^"]+)"`)
	called   = regexp.MustCompile(`\b(get|post|put|patch|del|url)\("(/[^"]*)"`)
	written  = regexp.MustCompile(`"(/v1/[^"]*)"`)
	asHTML   = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write\b|\beval\(|new Function|` +
		`setAttribute\("on`)
)

// TestConsoleIsWhole: modules import files that there are, call routes that the API has, and never
// read a text as HTML. Names of topics and bytes of records are anybody's.
func TestConsoleIsWhole(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	resp := startFirn(t, 1, nil)[0].call(t, "GET", "/openapi.json", nil, &document)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	files, calls := console.Files(), 0
	for name, file := range files {
		text := string(file.Body)
		for _, m := range append(imported.FindAllStringSubmatch(text, -1), referred.FindAllStringSubmatch(text, -1)...) {
			if _, there := files[m[1]]; !there {
				t.Errorf("%s needs %s, which is not there", name, m[1])
			}
		}
		for _, m := range called.FindAllStringSubmatch(text, -1) {
			method := strings.ToLower(strings.Replace(m[1], "del", "delete", 1))
			calls++
			operations, described := document.Paths[m[2]]
			if _, served := operations[method]; !described || !served && method != "url" {
				t.Errorf("%s asks for %s %s, which is no route", name, m[1], m[2])
			}
		}
		for _, m := range written.FindAllStringSubmatch(text, -1) {
			if _, described := document.Paths[m[1]]; !described {
				t.Errorf("%s names %s, which is no route", name, m[1])
			}
		}
		if found := asHTML.FindString(text); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
	if calls < 20 {
		t.Errorf("only %d calls were found: the modules are written in another way", calls)
	}
}
