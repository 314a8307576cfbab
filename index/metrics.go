package index

import "github.com/prometheus/client_golang/prometheus"

// metrics is all that the index counts.
type metrics struct {
	reads                          *prometheus.CounterVec
	fromTail, fromCache, fromStore prometheus.Counter // of reads
	gets, footers                  prometheus.Histogram
	fetched                        prometheus.Counter
	ahead, aheadSkipped            prometheus.Counter
	paceWaits                      prometheus.Counter
	corrupt, vanished              prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_index_reads_total", Help: "Blocks that readers asked for, by where they were found.",
		}, []string{"source"}),
		gets: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firn_index_fetch_seconds", Help: "Time of one ranged get of blocks from the bucket.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14),
		}),
		footers: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firn_index_footer_seconds", Help: "Time in which the footer of a merged segment was read from the bucket.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14),
		}),
		fetched: counter("firn_index_fetched_bytes_total", "Bytes of blocks that came from the bucket."),
		ahead: counter("firn_index_readahead_blocks_total",
			"Blocks that were asked for ahead of a sequential reader."),
		aheadSkipped: counter("firn_index_readahead_skipped_total",
			"Blocks that were not fetched ahead because there was no room for more gets."),
		paceWaits: counter("firn_index_history_wait_seconds_total",
			"Time that gets of old blocks have waited for readers and writers at the tail, all together."),
		corrupt: counter("firn_index_corrupt_blocks_total", "Blocks from the bucket that failed their checks."),
		vanished: counter("firn_index_vanished_segments_total",
			"Times that a reader found a segment gone and looked its span up again."),
	}
	m.fromTail = m.reads.WithLabelValues("tail")
	m.fromCache = m.reads.WithLabelValues("cache")
	m.fromStore = m.reads.WithLabelValues("store")
	return m
}

// register makes the metrics of x known.
func (m *metrics) register(r prometheus.Registerer, x *Index) error {
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(value())
		})
	}
	for _, c := range []prometheus.Collector{
		m.reads, m.gets, m.footers, m.fetched, m.ahead, m.aheadSkipped, m.paceWaits, m.corrupt, m.vanished,
		gauge("firn_index_tail_bytes", "Bytes held of segments that this node wrote.", x.tail.held),
		gauge("firn_index_cache_bytes", "Bytes held of blocks read from the bucket.", x.fetcher.cache.held),
		gauge("firn_index_footer_bytes", "Bytes held of the indexes of merged segments.", x.footers.cache.held),
		gauge("firn_index_history_rate_bytes",
			"Bytes per second that old blocks are read at from the bucket at most, while the tail is in use.",
			func() int64 { return int64(x.fetcher.pace.perSecond()) }),
		gauge("firn_index_fetching_bytes", "Bytes that gets under way may take.", x.fetcher.room.held.Load),
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
