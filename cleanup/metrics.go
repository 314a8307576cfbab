package cleanup

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of this package, all of them:
//
//	firn_cleanup_merges_total               merges that were decided, and
//	firn_cleanup_merged_spans_total         how many spans and
//	firn_cleanup_merged_bytes_total         bytes they took up
//	firn_cleanup_merge_seconds              how long each took
//	firn_cleanup_failures_total             jobs that failed and are tried again
//	firn_cleanup_rate_bytes                 what merging is slowed down to, per second
//	firn_cleanup_backlog_bytes              not merged yet, of this node's partitions, and
//	firn_cleanup_backlog_seconds            the age of the oldest of it that could be
//	firn_cleanup_retained_total             times that retention moved a log start, and
//	firn_cleanup_retained_records_total     over how many offsets
//	firn_cleanup_archived_total             index objects written for old merged spans
//	firn_cleanup_compactions_total          compactions that came to their end or failed, and
//	firn_cleanup_compacted_records_total{record}  what they met: all records, and of them
//	                                              superseded, tombstone, keyless, which went;
//	                                              unreadable batches
//	firn_cleanup_collected_objects_total    objects deleted because nothing needed them, and
//	firn_cleanup_collected_bytes_total      how large they were
//	firn_cleanup_garbage_bytes              waits to be deleted; only on the node that collects
//	firn_cleanup_segments                   in the bucket; only there
//	firn_cleanup_uploads_removed_total      uploads of nodes that died
type metrics struct {
	merges, mergedSpans, mergedBytes, failures prometheus.Counter
	mergeSeconds                               prometheus.Observer
	retained, retainedRecords, archived        prometheus.Counter
	compactions                                prometheus.Counter
	compacted                                  *prometheus.CounterVec
	collected, collectedBytes, uploads         prometheus.Counter
	garbage, segments                          prometheus.Gauge
	backlog                                    atomic.Pointer[backlog]
}

// backlog is what a round has found unmerged.
type backlog struct {
	bytes  int64
	oldest time.Time // of the spans that could be merged; zero if there are none
}

func newMetrics(r prometheus.Registerer, pace *Pace) (*metrics, error) {
	m := &metrics{}
	m.backlog.Store(&backlog{})
	var all []prometheus.Collector
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_cleanup_" + name, Help: help})
		all = append(all, c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "firn_cleanup_" + name, Help: help})
		all = append(all, g)
		return g
	}
	value := func(name, help string, f func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_cleanup_" + name, Help: help}, f))
	}
	m.merges = counter("merges_total", "Merges that were decided.")
	m.mergedSpans = counter("merged_spans_total", "Spans that merges took up.")
	m.mergedBytes = counter("merged_bytes_total", "Bytes of record batches that merges copied.")
	m.failures = counter("failures_total", "Jobs that failed and are tried again.")
	m.retained = counter("retained_total", "Times that retention moved a log start.")
	m.retainedRecords = counter("retained_records_total", "Offsets that retention moved log starts over.")
	m.archived = counter("archived_total", "Index objects written that stand for old merged spans.")
	m.compactions = counter("compactions_total", "Compactions of partitions, those that failed included.")
	m.compacted = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "firn_cleanup_compacted_records_total",
		Help: "Records that compactions read, and of them those that went; and batches that could not be read and stay."},
		[]string{"record"})
	all = append(all, m.compacted)
	m.collected = counter("collected_objects_total", "Objects deleted because nothing needed them any more.")
	m.collectedBytes = counter("collected_bytes_total", "Bytes of those objects.")
	m.uploads = counter("uploads_removed_total", "Uploads removed whose nodes had died.")
	m.garbage = gauge("garbage_bytes", "Bytes of objects that nothing needs and that wait to be deleted, on the node "+
		"that collects.")
	m.segments = gauge("segments", "Segments in the bucket, on the node that collects.")
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "firn_cleanup_merge_seconds", Help: "How long merges took.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 18),
	})
	m.mergeSeconds = seconds
	all = append(all, seconds)
	value("backlog_bytes", "Bytes of this node's partitions that lie in mixed segments.", func() float64 {
		return float64(m.backlog.Load().bytes)
	})
	value("backlog_seconds", "Age of the oldest record in a mixed segment of this node's partitions that could be merged.",
		func() float64 {
			if oldest := m.backlog.Load().oldest; !oldest.IsZero() {
				return time.Since(oldest).Seconds()
			}
			return 0
		})
	if pace != nil {
		value("rate_bytes", "Bytes per second at which merges go at present.", pace.Rate)
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// compaction counts one.
func (m *metrics) compaction(n compactCounts) {
	m.compactions.Inc()
	for name, records := range map[string]int64{
		"all": n.records, "superseded": n.superseded, "tombstone": n.tombstones, "keyless": n.keyless,
		"unreadable": n.unreadable,
	} {
		m.compacted.WithLabelValues(name).Add(float64(records))
	}
}

// merge counts one.
func (m *metrics) merge(spans int, bytes int64, took time.Duration) {
	m.merges.Inc()
	m.mergedSpans.Add(float64(spans))
	m.mergedBytes.Add(float64(bytes))
	m.mergeSeconds.Observe(took.Seconds())
}
