package rest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// requestMetrics is what is counted of all requests:
//
//	firn_http_request_seconds{route,status}  how long requests took, by route and class of status
//	firn_http_bytes_in_total                 bytes of bodies read, before decompression
//	firn_http_bytes_out_total                bytes of bodies written, after compression
//	firn_http_refusals_total{reason}         requests refused: a limit, quota, login, permission
//	firn_http_connections                    open connections
//	firn_http_connections_refused_total      connections closed at once
//	firn_http_long_polls, firn_http_tails    requests that wait for records, and tails
type requestMetrics struct {
	seconds            *prometheus.HistogramVec
	in, out            prometheus.Counter
	refusals           *prometheus.CounterVec
	connectionsRefused prometheus.Counter
}

func newRequestMetrics(r prometheus.Registerer, s *Server) *requestMetrics {
	factory := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return factory.NewCounter(prometheus.CounterOpts{Name: "firn_http_" + name, Help: help})
	}
	gauge := func(name, help string, value func() int) {
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_http_" + name, Help: help},
			func() float64 { return float64(value()) })
	}
	gauge("connections", "Open connections.", func() int { return int(s.connections.Load()) })
	gauge("long_polls", "Requests that wait for records; MaxLongPolls at most.",
		func() int { return len(s.readers.polls) })
	gauge("tails", "Tails of topics; MaxTails at most.", func() int { return len(s.readers.tails) })
	return &requestMetrics{
		seconds: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_http_request_seconds",
			Help: "Time from a request's header to the end of its answer, by route and class of status. Reads may wait for " +
				"records, and a tail lasts until its client goes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"route", "status"}),
		in:  counter("bytes_in_total", "Bytes of bodies read, before decompression."),
		out: counter("bytes_out_total", "Bytes of bodies written, after compression."),
		refusals: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_http_refusals_total", Help: "Requests refused, by the limit or quota in their way, or for want of a " +
				"login or a permission.",
		}, []string{"reason"}),
		connectionsRefused: counter("connections_refused_total",
			"Connections closed at once, by MaxConnections, MaxConnectionsPerIP or a quota."),
	}
}

// measured counts and traces the requests of a route.
func (s *Server) measured(of *route, h http.HandlerFunc) http.HandlerFunc {
	m := s.requests
	name := of.method + " " + strings.TrimSuffix(of.pattern, "{$}")
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &watchedAnswer{ResponseWriter: w, status: http.StatusOK, bytes: m.out}
		if r.ContentLength != 0 {
			r.Body = &countedBody{ReadCloser: r.Body, use: func(n int) { m.in.Add(float64(n)) }}
		}
		s.traced(name, answer, r, h)
		m.seconds.WithLabelValues(name, strconv.Itoa(answer.status/100)+"xx").Observe(time.Since(began).Seconds())
	}
}

// watchedAnswer notes the status of an answer, and counts what is written.
type watchedAnswer struct {
	http.ResponseWriter
	status int
	bytes  prometheus.Counter
}

// WriteHeader implements http.ResponseWriter.
func (a *watchedAnswer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *watchedAnswer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes.Add(float64(n))
	return n, err
}

// Flush implements http.Flusher, which compressing looks for.
func (a *watchedAnswer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (a *watchedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// refused is the problem that a client is told, which is counted if it says that a client may not
// have what it asks for, or not now.
func (s *Server) refused(err error) problem {
	p := s.problemOf(err)
	reason := map[int]string{http.StatusUnauthorized: "login", http.StatusForbidden: "permission",
		http.StatusTooManyRequests: "quota", http.StatusServiceUnavailable: "unavailable"}[p.Status]
	if reason != "" {
		s.requests.refusals.WithLabelValues(cmp.Or(p.Limit, reason)).Inc()
	}
	return p
}
