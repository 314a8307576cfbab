package coordinator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a node's membership.
type metrics struct {
	commits     prometheus.Histogram
	puts        prometheus.Histogram
	facts       prometheus.Histogram
	bytes       prometheus.Counter
	retries     prometheus.Counter
	hedges      prometheus.Counter
	pending     prometheus.Gauge
	recoveries  prometheus.Counter
	lives       prometheus.Counter
	incarnation prometheus.Gauge
	spans       prometheus.Gauge
	snapshots   prometheus.Histogram
	deleted     prometheus.Counter
	carriers    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	latency := prometheus.ExponentialBuckets(0.00005, 2, 18) // 50 us to 6.5 s
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		opts := prometheus.HistogramOpts{Name: "firn_coordinator_" + name, Help: help, Buckets: buckets}
		return prometheus.NewHistogram(opts)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_coordinator_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "firn_coordinator_" + name, Help: help})
	}
	counts := prometheus.ExponentialBuckets(1, 2, 12)
	snapshots := prometheus.ExponentialBuckets(0.01, 2, 12)
	m := &metrics{
		commits:     histogram("commit_seconds", "Time that the coordinator took to give a segment its offsets.", latency),
		puts:        histogram("journal_put_seconds", "Time that the successful put of a journal object took.", latency),
		facts:       histogram("journal_object_facts", "Facts in each journal object.", counts),
		bytes:       counter("journal_bytes_total", "Bytes of journal objects written."),
		retries:     counter("journal_retries_total", "Tries to journal or confirm that failed and were repeated."),
		hedges:      counter("journal_hedged_puts_total", "Second attempts of a journal put beside a slow first one."),
		pending:     gauge("pending_facts", "Facts decided and not confirmed yet."),
		recoveries:  counter("recoveries_total", "Recoveries from the bucket that this process completed."),
		lives:       counter("lives_total", "Lives that this process began."),
		incarnation: gauge("incarnation", "Incarnation that this process lives in."),
		spans:       gauge("spans", "Spans of all partitions, as of the last snapshot or start."),
		snapshots:   histogram("snapshot_seconds", "Time to write a snapshot and delete what it covers.", snapshots),
		deleted:     counter("journal_deleted_objects_total", "Journal objects deleted because a snapshot covers them."),
		carriers: gauge("journal_carriers",
			"Journal objects that are kept for the segments that they carry, as of this node's last look."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.commits, m.puts, m.facts, m.bytes, m.retries, m.hedges, m.pending,
		m.recoveries, m.lives, m.incarnation, m.spans, m.snapshots, m.deleted, m.carriers,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) journaled(took time.Duration, facts, bytes int) {
	m.puts.Observe(took.Seconds())
	m.facts.Observe(float64(facts))
	m.bytes.Add(float64(bytes))
}
