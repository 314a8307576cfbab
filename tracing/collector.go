package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// collector sends spans as OTLP has them in JSON
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). OpenTelemetry's own exporter
// brings gRPC with it, which would make the program a third larger.
type collector struct {
	url    string
	name   string // of it, without a password
	logger *slog.Logger
	client http.Client
}

const sendTimeout = 10 * time.Second

// The shapes of OTLP. Ids are in hexadecimal, and 64-bit numbers are text.
type (
	export struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   attributes   `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
	span struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
		Parent  string `json:"parentSpanId,omitempty"`
		Name    string `json:"name"`
		Kind    int    `json:"kind"`
		Start   string `json:"startTimeUnixNano"`
		End     string `json:"endTimeUnixNano"`
		attributes
		Status status `json:"status"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	attributes struct {
		Attributes []keyValue `json:"attributes"`
	}
	keyValue struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		Text string `json:"stringValue"`
	}
)

const statusError = 2

// ExportSpans implements sdk.SpanExporter. What the collector does not take is lost.
func (c *collector) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	if err := c.send(ctx, spans); err != nil {
		c.logger.Warn("the collector did not take spans", "spans", len(spans), "collector", c.name, "error", err)
	}
	return nil
}

func (c *collector) send(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	list := make([]span, len(spans))
	for i, s := range spans {
		list[i] = encoded(s)
	}
	body, err := json.Marshal(export{[]resourceSpans{{
		Resource:   encodedAttributes(spans[0].Resource().Attributes()),
		ScopeSpans: []scopeSpans{{scope{spans[0].InstrumentationScope().Name}, list}},
	}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(why[:min(len(why), 200)]))
	}
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (c *collector) Shutdown(context.Context) error { return nil }

func encoded(s sdk.ReadOnlySpan) span {
	e := span{
		TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
		Name: s.Name(), Kind: int(s.SpanKind()),
		Start: strconv.FormatInt(s.StartTime().UnixNano(), 10), End: strconv.FormatInt(s.EndTime().UnixNano(), 10),
		attributes: encodedAttributes(s.Attributes()),
	}
	if s.Parent().HasSpanID() {
		e.Parent = s.Parent().SpanID().String()
	}
	if why := s.Status().Description; why != "" {
		e.Status = status{statusError, why}
	}
	return e
}

func encodedAttributes(list []attribute.KeyValue) attributes {
	found := attributes{Attributes: make([]keyValue, len(list))}
	for i, a := range list {
		found.Attributes[i] = keyValue{string(a.Key), value{a.Value.Emit()}}
	}
	return found
}
