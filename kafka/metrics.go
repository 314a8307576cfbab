package kafka

import (
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metrics is what the server counts.
type metrics struct {
	requests  *prometheus.CounterVec   // api, error
	seconds   *prometheus.HistogramVec // api
	bytesIn   prometheus.Counter
	bytesOut  prometheus.Counter
	refused   prometheus.Counter
	broken    prometheus.Counter
	panics    prometheus.Counter
	throttled prometheus.Counter
	overQuota *prometheus.CounterVec // quota

	handshakes *prometheus.CounterVec // result
	logins     *prometheus.CounterVec // mechanism, result
}

func newMetrics(reg prometheus.Registerer, s *Server) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_kafka_" + name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_kafka_" + name, Help: help}, value)
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_kafka_requests_total",
			Help: "Requests answered, by API and by the first error in the answer: none, an error of Kafka, or closed when " +
				"the connection was closed instead.",
		}, []string{"api", "error"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_kafka_request_seconds",
			Help: "Time from the first bytes of a request to the last of its answer, by API. Fetch includes the wait for " +
				"new records.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"api"}),
		bytesIn:  counter("bytes_in_total", "Bytes of requests read."),
		bytesOut: counter("bytes_out_total", "Bytes of responses written."),
		refused:  counter("connections_refused_total", "Connections refused by MaxConnections or MaxConnectionsPerIP."),
		broken: counter("connections_broken_total",
			"Connections closed because of a malformed, too large or unsupported request, or a failure."),
		panics: counter("panics_total", "Panics while answering a request. Each closed one connection."),
		throttled: counter("throttled_total",
			"Answers that told the client to slow down, for a quota or because the write buffer is nearly full."),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_kafka_tls_handshakes_total", Help: "TLS handshakes, by their result: done or failed.",
		}, []string{"result"}),
	}
	m.logins = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_kafka_logins_total", Help: "Logins by SASL, by their mechanism and result: done or failed.",
	}, []string{"mechanism", "result"})
	m.overQuota = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_kafka_over_quota_total", Help: "Requests and connections beyond a quota, by the quota.",
	}, []string{"quota"})
	reg.MustRegister(m.overQuota)
	reg.MustRegister(m.handshakes, m.logins, m.requests, m.seconds, m.bytesIn, m.bytesOut, m.refused, m.broken, m.panics,
		m.throttled,
		gauge("connections", "Open connections.", func() float64 { return float64(s.openConnections()) }),
		gauge("request_memory_bytes", "Memory of requests being read or answered.", func() float64 {
			return float64(s.requests.Used() + s.requests.Own())
		}),
		gauge("answer_memory_bytes", "Memory of answers being made or written.", func() float64 {
			return float64(s.answers.Used() + s.answers.Own())
		}),
	)
	return m
}

// observe counts and traces a request that is answered.
func (s *Server) observe(r *request, err string) {
	name := "ApiVersions"
	if r.api != nil {
		name = r.api.key.Name()
	}
	s.metrics.requests.WithLabelValues(name, err).Inc()
	s.metrics.seconds.WithLabelValues(name).Observe(time.Since(r.received).Seconds())
	s.trace(r, name, err)
}

// errorName names the first error of a response for the metrics.
func errorName(resp kmsg.Response) string {
	var code int16
	switch r := resp.(type) {
	case nil:
	case interface{ firstError() int16 }:
		code = r.firstError()
	default:
		if f := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode"); f.IsValid() && f.CanInt() {
			code = int16(f.Int())
		}
	}
	return codeName(code)
}

func codeName(code int16) string {
	if code == 0 {
		return "none"
	}
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return "unknown"
}
