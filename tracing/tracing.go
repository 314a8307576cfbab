// Package tracing sends spans of requests to an OpenTelemetry collector, one for each request and
// one for each step of it. A request becomes part of the trace that its client names, as W3C's
// traceparent has it.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Parent is the name of the header of a request over HTTP, or of a record, that names a trace.
const Parent = "traceparent"

// Options is what a Tracer needs.
type Options struct {
	Endpoint string  // URL of a collector that takes OTLP over HTTP, as http://127.0.0.1:4318
	Ratio    float64 // of requests whose client has not decided: how many are traced, 0 to 1
	Node     int32
	Version  string
	Logger   *slog.Logger
}

// Tracer traces requests. Without one (nil) nothing is traced.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	asked    *rate.Limiter // for requests whose clients want them traced
}

// Bounds of what clients can have traced, who may be strangers.
const (
	maxAsked     = 100 // requests a second, and at once, that are traced because their clients want it
	maxAttribute = 256 // characters of an attribute: the rest is cut off
)

// New returns a tracer. It keeps 2,048 spans at most that the collector has not taken, and drops
// what is beyond that.
func New(o Options) (*Tracer, error) {
	u, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if !(o.Ratio >= 0 && o.Ratio <= 1) {
		return nil, fmt.Errorf("a ratio of %v is not between 0 and 1", o.Ratio)
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxAttribute
	provider := sdk.NewTracerProvider(
		sdk.WithRawSpanLimits(limits),
		sdk.WithBatcher(&collector{url: u.String(), name: u.Redacted(), logger: o.Logger}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "firn"), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", fmt.Sprint(o.Node)))),
	)
	return &Tracer{provider, provider.Tracer("firn.dev"), rate.NewLimiter(maxAsked, maxAsked)}, nil
}

// CheckEndpoint says what is wrong with an Options.Endpoint.
func CheckEndpoint(endpoint string) error {
	_, err := parseEndpoint(endpoint)
	return err
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("it is no URL like http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

// Close sends what is left, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		_ = t.provider.Shutdown(ctx) // the exporter has told what it could not send
	}
}

// Request is a request that has been answered.
type Request struct {
	Name       string // of Kafka's API, or the method and the route
	Parent     string // as its client has it; empty: it names no trace
	From, To   time.Time
	Failed     string // the error in its answer; empty: there is none
	Attributes map[string]string
	Steps      []Step
}

// Step is a part of a request.
type Step struct {
	Name     string
	From, To time.Time
}

// mostSteps bounds a request that lasts: the first of its steps are kept.
const mostSteps = 64

// Add adds steps to a request, of which those count that lie within it; to nil it adds nothing.
func (r *Request) Add(steps ...Step) {
	if r != nil {
		r.Steps = append(r.Steps, steps[:min(len(steps), mostSteps-len(r.Steps))]...)
	}
}

type requestKey struct{}

// With is a context in which FromContext finds the request.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// FromContext is the request that is being answered; nil if it is not traced.
func FromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// Record makes spans of a request, if it is to be traced. Of those whose clients want that, no more
// are than maxAsked a second.
func (t *Tracer) Record(r *Request) {
	if t == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{Parent: r.Parent})
	if trace.SpanContextFromContext(ctx).IsSampled() && !t.asked.Allow() {
		return
	}
	ctx, span := t.tracer.Start(ctx, r.Name, trace.WithTimestamp(r.From), trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return
	}
	for name, value := range r.Attributes {
		if value != "" {
			span.SetAttributes(attribute.String(name, value))
		}
	}
	if r.Failed != "" {
		span.SetStatus(codes.Error, r.Failed)
	}
	for _, s := range r.Steps {
		if s.From.Before(r.From) { // it had begun for others before this request came
			s.From = r.From
		}
		_, step := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(s.From))
		step.End(trace.WithTimestamp(s.To))
	}
	span.End(trace.WithTimestamp(r.To))
}
