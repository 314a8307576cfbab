package groups

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the manager tells of itself.
type metrics struct {
	rebalances prometheus.Counter
	commits    prometheus.Counter
	refused    prometheus.Counter

	acquired, acknowledged, lapsed prometheus.Counter // records of share groups
}

func newMetrics(r prometheus.Registerer, m *Manager) *metrics {
	all := &metrics{
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_group_rebalances_total",
			Help: "Generations of consumer groups that began."}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_group_offset_commits_total",
			Help: "Offsets that consumer groups committed."}),
	}
	all.refused = prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_group_commits_refused_total",
		Help: "Commits that were refused because the member or holder is not, or no longer, the one who may."})
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	all.acquired = counter("firn_share_records_acquired_total",
		"Records that members of share groups acquired; one that is delivered again counts again.")
	all.acknowledged = counter("firn_share_records_acknowledged_total",
		"Records that members of share groups accepted, released, rejected or renewed.")
	all.lapsed = counter("firn_share_records_lapsed_total",
		"Records of share groups that their members did not acknowledge in time.")
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	r.MustRegister(all.rebalances, all.commits, all.refused, all.acquired, all.acknowledged, all.lapsed,
		lagGauges{m},
		gauge("firn_groups", "Consumer groups with members on this node.", m.groups.Load),
		gauge("firn_group_members", "Members of consumer groups on this node.", m.members.Load),
		gauge("firn_group_metadata_bytes", "Memory that members of consumer groups take.", m.bytes.Load),
		gauge("firn_group_offsets_unjournaled", "Commits that await their journaling.", m.flusher.depth),
	)
	return all
}
