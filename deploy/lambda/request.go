package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// gatewayRequest is a request as Function URLs and API Gateway hand it over: format 1.0 and 2.0 in
// one.
type gatewayRequest struct {
	Body            string `json:"body"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`

	Headers           map[string]string   `json:"headers"` // in 2.0 several of one name are joined by commas
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`

	HTTPMethod                      string              `json:"httpMethod"` // 1.0
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`

	RawQueryString string `json:"rawQueryString"` // 2.0
	RequestContext struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// gatewayResponse answers either.
type gatewayResponse struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// request answers a request. The function has one topic, whatever the path: paths are for the
// gateway to map.
func (h *handler) request(ctx context.Context, event json.RawMessage) (any, error) {
	var g gatewayRequest
	if err := json.Unmarshal(event, &g); err != nil {
		return nil, fmt.Errorf("request event: %w", err)
	}
	r, err := g.request(ctx, h.topic)
	if err != nil {
		return gatewayResponse{StatusCode: http.StatusBadRequest, Body: err.Error()}, nil
	}
	answer := answer{header: http.Header{}, status: http.StatusOK}
	h.http.ServeHTTP(&answer, r)
	headers := map[string]string{}
	for name, values := range answer.header {
		headers[name] = strings.Join(values, ", ")
	}
	return gatewayResponse{StatusCode: answer.status, Headers: headers, Body: answer.body.String()}, nil
}

// answer takes an HTTP answer.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// request makes a request to the topic of it.
func (g *gatewayRequest) request(ctx context.Context, topic string) (*http.Request, error) {
	body := []byte(g.Body)
	if g.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(g.Body); err != nil {
			return nil, fmt.Errorf("the body is not base64: %w", err)
		}
	}
	method := g.RequestContext.HTTP.Method
	if method == "" {
		method = g.HTTPMethod
	}
	path := "/v1/topics/" + url.PathEscape(topic) + "/records"
	r, err := http.NewRequestWithContext(ctx, method, path, io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return nil, err
	}
	r.ContentLength = int64(len(body))
	for name, value := range g.Headers {
		r.Header.Set(name, value)
	}
	for name, values := range g.MultiValueHeaders {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	query := url.Values(g.MultiValueQueryStringParameters)
	if query == nil {
		query = url.Values{}
		for name, value := range g.QueryStringParameters {
			query.Set(name, value)
		}
	}
	if r.URL.RawQuery = g.RawQueryString; r.URL.RawQuery == "" {
		r.URL.RawQuery = query.Encode()
	}
	return r, nil
}
