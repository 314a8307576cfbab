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
//	firn_store_requests_total{op,result}  put, upload, get, list, delete, clean; ok, exists,
//	                                      not_found, range, cancelled, error
//	firn_store_bytes_total{op}            put, upload, get: of bodies, where the request succeeded
//	firn_store_request_seconds{op}        of whole requests; a list's time includes its reader's, an
//	                                      upload's its writer's
//
// A list counts as one request, whatever it took a driver to page through it, and a delete of
// several keys and an upload of many parts as well.
//
// If told is not nil, it is called with the name of each operation that ends, unless it was given
// up, and with the error if it failed. That an object exists, or does not, is no failure.
func Measure(store Store, registerer prometheus.Registerer, told func(op string, err error)) (Store, error) {
	if told == nil {
		told = func(string, error) {}
	}
	m := &measured{
		store: store, told: told,
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
	m.written, m.uploaded, m.read = m.bytes.WithLabelValues("put"), m.bytes.WithLabelValues("upload"),
		m.bytes.WithLabelValues("get")
	return m, nil
}

type operation int

const (
	opPut operation = iota
	opUpload
	opGet
	opList
	opDelete
	opClean
)

var operations = [...]string{opPut: "put", opUpload: "upload", opGet: "get", opList: "list", opDelete: "delete",
	opClean: "clean"}

type measured struct {
	store                   Store
	told                    func(op string, err error)
	requests                *prometheus.CounterVec
	bytes                   *prometheus.CounterVec
	seconds                 *prometheus.HistogramVec
	timers                  [len(operations)]prometheus.Observer
	written, uploaded, read prometheus.Counter
}

func (m *measured) done(op operation, start time.Time, err error) {
	m.timers[op].Observe(time.Since(start).Seconds())
	outcome := result(err)
	m.requests.WithLabelValues(operations[op], outcome).Inc()
	switch {
	case outcome == "error", errors.Is(err, context.DeadlineExceeded):
		m.told(operations[op], err)
	case outcome != "cancelled":
		m.told(operations[op], nil)
	}
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
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrAborted):
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

// Create implements Store.
func (m *measured) Create(ctx context.Context, key string) (Upload, error) {
	start := time.Now()
	u, err := m.store.Create(ctx, key)
	if err != nil {
		m.done(opUpload, start, err)
		return nil, err
	}
	return &measuredUpload{Upload: u, m: m, start: start}, nil
}

// measuredUpload is counted once, when it is committed or given up.
type measuredUpload struct {
	Upload
	m       *measured
	start   time.Time
	written int
	counted bool
}

func (u *measuredUpload) done(err error) {
	if u.counted {
		return
	}
	u.counted = true
	u.m.done(opUpload, u.start, err)
	if err == nil {
		u.m.uploaded.Add(float64(u.written))
	}
}

// Write implements Upload.
func (u *measuredUpload) Write(p []byte) (int, error) {
	n, err := u.Upload.Write(p)
	u.written += n
	if err != nil {
		u.done(err)
	}
	return n, err
}

// Commit implements Upload. A Commit that fails may be tried again, so only the failures that are
// final count here.
func (u *measuredUpload) Commit() error {
	err := u.Upload.Commit()
	if err == nil || errors.Is(err, ErrExists) {
		u.done(err)
	}
	return err
}

// Abort implements Upload.
func (u *measuredUpload) Abort() error {
	err := u.Upload.Abort()
	u.done(errors.Join(err, ErrAborted))
	return err
}

// Clean implements Cleaner.
func (m *measured) Clean(ctx context.Context, before time.Time) (int, error) {
	start := time.Now()
	n, err := Clean(ctx, m.store, before)
	m.done(opClean, start, err)
	return n, err
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
