package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// DirectWriter writes records without a node; ingest.Direct is the one.
type DirectWriter interface {
	Write(ctx context.Context, topic string, records []ingest.Record, options ...ingest.WriteOption) ([]ingest.Written,
		error)
}

// Direct is POST /v1/topics/{topic}/records for programs that are no node, such as a function
// behind a URL: the same bodies, headers and answers.
func Direct(w DirectWriter, limits Limits, logger *slog.Logger) http.Handler {
	s := &Server{opts: Options{Limits: limits.withDefaults(), Logger: logger, Authorizer: access.Everything{},
		Quotas: &security.Quotas{}},
		mux: http.NewServeMux()}
	s.requests = newRequestMetrics(prometheus.NewRegistry(), s) // nobody looks at it
	s.producers = &producers{memory: newRequestMemory(s.opts.Limits)}
	produce := func(rw http.ResponseWriter, r *http.Request) error {
		key, err := idempotencyKey(r.Header)
		if err != nil {
			return err
		}
		share := s.requestShare(r)
		defer share.giveBack()
		records, err := s.decodeRecords(r, share)
		if err != nil {
			return err
		}
		topic := r.PathValue("topic")
		places, err := w.Write(r.Context(), topic, records, ingest.IdempotencyKey(key))
		if err != nil {
			return undelivered(err)
		}
		done := make([]written, len(places))
		for i, p := range places {
			done[i] = written{partition: p.Partition, offset: p.Offset, timestamp: p.Timestamp}
		}
		rw.Header().Set("Content-Type", typeJSON)
		_, _ = rw.Write(appendWritten(nil, topic, done)) // an error means that the client has gone
		return nil
	}
	s.mux.Handle("/v1/topics/{topic}/records", s.byMethod([]route{{method: http.MethodPost, handler: produce,
		rules: needs(access.ProducedBytes, access.Write.On(access.Topic))}}))
	s.mux.HandleFunc("/", nowhere)
	return withAddress(s.mux)
}

// undelivered is the answer to a client when a direct writer did not write.
func undelivered(err error) error {
	refused := func(status int) *problem {
		p := refuse(status, "", "%v", err)
		if r, ok := errors.AsType[*ingest.RecordError](err); ok {
			p.Record = &r.Index
		}
		return p
	}
	switch {
	case errors.Is(err, ingest.ErrInDoubt):
		return unwritten(err)
	case errors.Is(err, coordinator.ErrKeyReused), errors.Is(err, coordinator.ErrOtherPartitions):
		return unwritten(err)
	case errors.Is(err, batch.ErrTooLarge), errors.Is(err, ingest.ErrTooLarge):
		return refused(http.StatusRequestEntityTooLarge)
	case errors.Is(err, ingest.ErrTimestamp), errors.Is(err, ingest.ErrNoKey),
		errors.Is(err, coordinator.ErrUnknownPartition):
		return refused(http.StatusUnprocessableEntity)
	}
	return err
}
