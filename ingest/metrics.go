package ingest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
)

// metrics of the write path, all of them:
//
//	firn_ingest_stage_seconds{stage}       how long a segment's first batch spent in each stage, and
//	                                       in all
//	firn_ingest_segment_bytes              record batches in a segment
//	firn_ingest_batches_total{result}      batches answered: ok, duplicate, rejected (by a check),
//	                                       failed
//	firn_ingest_buffered_bytes             taken and not yet answered
//	firn_ingest_retries_total{stage}       put, commit, journal: tried again after an error
//	firn_ingest_hedged_puts_total          second attempts beside a slow first
//	firn_ingest_full_waits_total           appends that found the buffer full, and
//	firn_ingest_full_wait_seconds_total    how long they waited
//	firn_ingest_lives_ended_total          lives that ended under unanswered or future segments
//	firn_ingest_helped_total               commits of others that this node settled
type metrics struct {
	collect, put, commit, journal, visible stageMetric
	total                                  prometheus.Observer

	segmentBytes                             prometheus.Histogram
	ok, duplicate, rejected, failed          prometheus.Counter
	putRetries, commitRetries, settleRetries prometheus.Counter
	hedges, fullWaits, fullSeconds           prometheus.Counter
	lives, helped                            prometheus.Counter
}

// stageMetric is a stage of a segment's way, and how long it takes.
type stageMetric struct {
	name string
	took prometheus.Observer
}

func newMetrics(r prometheus.Registerer, buffered *atomic.Int64) *metrics {
	stages := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "firn_ingest_stage_seconds",
		Help:    "Time from a segment's first batch to its seal (collect), then to the end of each later stage, and in all.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 20),
	}, []string{"stage"})
	sizes := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "firn_ingest_segment_bytes",
		Help:    "Bytes of record batches in a sealed segment.",
		Buckets: prometheus.ExponentialBuckets(256, 4, 10),
	})
	batches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_ingest_batches_total", Help: "Record batches answered, by result.",
	}, []string{"result"})
	retries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_ingest_retries_total", Help: "Steps of the write path that were tried again after an error.",
	}, []string{"stage"})
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_ingest_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	r.MustRegister(stages, sizes, batches, retries, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firn_ingest_buffered_bytes", Help: "Bytes of record batches taken and not yet answered.",
	}, func() float64 { return float64(buffered.Load()) }))
	stage := func(name string) stageMetric { return stageMetric{name, stages.WithLabelValues(name)} }
	return &metrics{
		collect: stage("collect"), put: stage("put"), commit: stage("commit"), journal: stage("journal"),
		visible:      stage("visible"),
		total:        stages.WithLabelValues("total"),
		segmentBytes: sizes,
		ok:           batches.WithLabelValues("ok"), duplicate: batches.WithLabelValues("duplicate"),
		rejected: batches.WithLabelValues("rejected"), failed: batches.WithLabelValues("failed"),
		putRetries: retries.WithLabelValues("put"), commitRetries: retries.WithLabelValues("commit"),
		settleRetries: retries.WithLabelValues("journal"),
		hedges:        counter("hedged_puts_total", "Second attempts of a put beside a slow first one."),
		fullWaits:     counter("full_waits_total", "Appends that found the write buffer full."),
		fullSeconds:   counter("full_wait_seconds_total", "Time that appends have waited for room in the write buffer."),
		lives:         counter("lives_ended_total", "Lives of the node that ended under the writer."),
		helped:        counter("helped_total", "Commits left behind by others that this node settled."),
	}
}

// count counts one answered batch.
func (m *metrics) count(err error) {
	switch {
	case err == nil:
		m.ok.Inc()
	case errors.Is(err, coordinator.ErrDuplicate):
		m.duplicate.Inc()
	case errors.Is(err, ErrNotWritten), errors.Is(err, ErrInDoubt), errors.Is(err, ErrClosed),
		errors.Is(err, coordinator.ErrFenced):
		m.failed.Inc()
	default:
		m.rejected.Inc()
	}
}

func since(t time.Time) float64 { return time.Since(t).Seconds() }
