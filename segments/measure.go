package segments

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Measure returns the store with its requests counted and timed:
//
//	firn_store_requests_total{op,result}  put, get, list, delete; ok, exists, not_found, range, cancelled, error
//	firn_store_bytes_total{op}            put, get: of bodies, where the request succeeded
//	firn_store_request_seconds{op}        of whole requests; a list's time includes that of whoever reads it
//
// A list counts as one request, whatever it took a driver to page through it, and a delete of several keys as well.
func Measure(store Store, registerer prometheus.Registerer) (Store, error) {
	m := &measured{
		store: store,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_store_requests_total", Help: "Requests to the object store, by operation and result.",
		}, []string{"op", "result"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_store_bytes_total", Help: "Bytes of objects written to and read from the object store.",
		}, []string{"op"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_store_request_seconds", Help: "Latency of requests to the object store.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18), // 0.1 ms to 13 s
		}, []string{"op"}),
	}
	for _, collector := range []prometheus.Collector{m.requests, m.bytes, m.seconds} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	for i, op := range operations {
		m.timers[i] = m.seconds.WithLabelValues(op)
	}
	m.written, m.read = m.bytes.WithLabelValues("put"), m.bytes.WithLabelValues("get")
	return m, nil
}

type operation int

const (
	opPut operation = iota
	opGet
	opList
	opDelete
)

var operations = [...]string{opPut: "put", opGet: "get", opList: "list", opDelete: "delete"}

type measured struct {
	store         Store
	requests      *prometheus.CounterVec
	bytes         *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	timers        [len(operations)]prometheus.Observer
	written, read prometheus.Counter
}

func (m *measured) done(op operation, start time.Time, err error) {
	m.timers[op].Observe(time.Since(start).Seconds())
	m.requests.WithLabelValues(operations[op], result(err)).Inc()
}

// result is the label for the outcome of a request.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrExists):
		return "exists"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrRange):
		return "range"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	default:
		return "error"
	}
}

// Put implements Store.
func (m *measured) Put(ctx context.Context, key string, body []byte) error {
	start := time.Now()
	err := m.store.Put(ctx, key, body)
	m.done(opPut, start, err)
	if err == nil {
		m.written.Add(float64(len(body)))
	}
	return err
}

// Get implements Store.
func (m *measured) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	start := time.Now()
	body, err := m.store.Get(ctx, key, offset, length)
	m.done(opGet, start, err)
	m.read.Add(float64(len(body)))
	return body, err
}

// List implements Store.
func (m *measured) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		start := time.Now()
		var failed error
		defer func() { m.done(opList, start, failed) }()
		for object, err := range m.store.List(ctx, prefix, after) {
			if err != nil {
				failed = err
			}
			if !yield(object, err) {
				return
			}
		}
	}
}

// Delete implements Store.
func (m *measured) Delete(ctx context.Context, keys ...string) error {
	start := time.Now()
	err := m.store.Delete(ctx, keys...)
	m.done(opDelete, start, err)
	return err
}
