// Package openapi holds the description of the HTTP interface against a node: the description is an
// OpenAPI document, and its examples are what the node takes and answers.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validation "github.com/pb33f/libopenapi-validator/errors"

	"firn.dev/rest"
)

// description is what the test needs of the document.
type description struct {
	Paths map[string]map[string]operation `json:"paths"`
}

type operation struct {
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
		Example  any    `json:"example"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]media `json:"content"`
	} `json:"responses"`
}

type media struct {
	Example json.RawMessage `json:"example"`
}

// read returns the document that a node serves, and what checks requests and answers against it.
func read(t *testing.T, s *rest.Server) (d description, v validator.Validator) {
	t.Helper()
	document := ask(t, s, "GET", "/openapi.json", "")
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return d, v
}

func wantValid(t *testing.T, what string, ok bool, errs []*validation.ValidationError) {
	t.Helper()
	for _, e := range errs {
		t.Errorf("%s: %s: %s", what, e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			t.Errorf("   %s: %s", s.KeywordLocation, s.Reason)
		}
	}
	if !ok && len(errs) == 0 {
		t.Errorf("%s: not valid", what)
	}
}

func TestDescriptionIsOpenAPI(t *testing.T) {
	s, _ := exampleLog(t)
	_, v := read(t, s)
	ok, errs := v.ValidateDocument()
	wantValid(t, "the document", ok, errs)
}

// requests are what an operation's examples ask for: one for each kind of body, with all parameters
// that have an example.
func (o *operation) requests(t *testing.T, method, path string, real *strings.Replacer) (requests []*http.Request) {
	t.Helper()
	query, header := url.Values{}, http.Header{}
	for _, p := range o.Parameters {
		example := real.Replace(fmt.Sprint(p.Example))
		switch {
		case p.Example == nil && p.Required:
			t.Errorf("%s %s: parameter %s has no example", method, path, p.Name)
		case p.Example == nil:
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(example))
		case p.In == "query":
			query.Set(p.Name, example)
		default:
			header.Set(p.Name, example)
		}
	}
	build := func(kind string, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), strings.ToUpper(method), path+"?"+query.Encode(),
			bytes.NewReader(body))
		r.Header = header.Clone()
		r.RemoteAddr = "127.0.0.1:1" // from where passwords may come without TLS
		if path == "/v1/session" {   // claims and keys of the others are everybody's
			r.SetBasicAuth("alice", "pencil")
		}
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		requests = append(requests, r)
	}
	for kind, m := range o.RequestBody.Content {
		if m.Example == nil {
			continue
		}
		body := []byte(real.Replace(string(m.Example)))
		if text := ""; json.Unmarshal(m.Example, &text) == nil {
			body = []byte(text)
		}
		build(kind, body)
	}
	if len(o.RequestBody.Content) == 0 {
		build("", nil)
	}
	if len(requests) == 0 {
		t.Errorf("%s %s: no body has an example", method, path)
	}
	return requests
}

// TestExamples sends every example of a request to a node, and checks it and the answer against the
// document, and the examples of answers as well.
func TestExamples(t *testing.T) {
	s, _ := exampleLog(t)
	d, v := read(t, s)
	for path, operations := range d.Paths {
		for method, o := range operations {
			t.Run(strings.ToUpper(method)+" "+path, func(t *testing.T) {
				s, real := exampleLog(t)
				if strings.HasSuffix(path, "/tail") {
					s.Drain() // or it would not end
				}
				for _, r := range o.requests(t, method, path, real) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					if r.Header.Get("Content-Type") != "application/x-ndjson" { // of which the validator knows nothing
						ok, errs := v.ValidateHttpRequest(r)
						wantValid(t, "the request", ok, errs)
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					w := httptest.NewRecorder()
					s.ServeHTTP(w, r)
					if w.Code >= 300 {
						t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
					}
					ok, errs := v.ValidateHttpResponse(r, w.Result())
					wantValid(t, "the answer", ok, errs)
					o.checkAnswers(t, v, r)
				}
			})
		}
	}
}

// checkAnswers checks the examples of answers.
func (o *operation) checkAnswers(t *testing.T, v validator.Validator, r *http.Request) {
	t.Helper()
	for status, response := range o.Responses {
		for kind, m := range response.Content {
			code := 0
			if _, err := fmt.Sscan(status, &code); err != nil || m.Example == nil {
				continue
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			w.Write(m.Example)
			ok, errs := v.ValidateHttpResponse(r, w.Result())
			wantValid(t, "the example of "+status, ok, errs)
		}
	}
}

// TestProblemsAreDescribed: what a handler answers when something is wrong is a problem as the
// document has it, with nothing else in it.
func TestProblemsAreDescribed(t *testing.T) {
	s, _ := exampleLog(t)
	_, v := read(t, s)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/topics/nope", ""},
		{"GET", "/v1/topics/orders/partitions/0/records?offset=9", ""},
		{"POST", "/v1/topics", `{"name": "orders"}`},
		{"GET", "/v1/users/nobody", ""},
		{"POST", "/v1/acls", `{"acls": [{"resource_type": "Lake"}]}`},
		{"PATCH", "/v1/quotas", `{"entity": {}, "quotas": {"producer_byte_rate": 1}}`},
		{"POST", "/v1/groups/billing/claims/renew",
			`{"holder": "worker-2", "claims": [{"topic": "orders", "partition": 0, "epoch": "1"}]}`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code < 400 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%+v: %d, %s", c, w.Code, w.Body)
		}
		ok, errs := v.ValidateHttpResponse(r, w.Result())
		wantValid(t, c.path, ok, errs)
	}
}
