package groups

import (
	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// lag is how many records of a partition a group has not read: from what it has committed, or from
// the log start, to the high watermark.
func lag(view *coordinator.View, group string, at segments.Partition) int64 {
	info, exists := view.Partition(at)
	if !exists {
		return 0
	}
	from := info.LogStart
	if committed, there := view.Committed(group, at); there {
		from = max(from, committed.Offset)
	}
	return max(0, info.HighWatermark-from)
}

// maxLagSeries bounds the series of firn_group_lag. The lag of further partitions is added up under
// the group "(others)".
const maxLagSeries = 2000

const otherGroups = "(others)"

var (
	lagDesc = prometheus.NewDesc("firn_group_lag",
		"Records that a consumer group has not read yet, of the topics that it commits offsets for; told by the "+
			"group's owner.",
		[]string{"group", "topic"}, nil)
	claimsDesc = prometheus.NewDesc("firn_group_claims",
		"Partitions of consumer groups that are leased to holders on this node.", nil, nil)
)

// lagGauges tells Prometheus how far behind the groups are that this node owns, in the order of
// their names.
type lagGauges struct{ m *Manager }

func (g lagGauges) Describe(to chan<- *prometheus.Desc) { to <- lagDesc; to <- claimsDesc }

func (g lagGauges) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(claimsDesc, prometheus.GaugeValue, float64(g.m.claims.Load()))
	view := g.m.opts.Node.View()
	// whether or not its lease was taken: a group that nobody asks for any more is the one whose lag
	// has to be seen
	var mine [shardCount]bool
	for shard := range mine {
		mine[shard] = g.m.mine(shard)
	}
	series, rest, left := 0, int64(0), false
	for _, group := range view.Groups() {
		if !mine[shardOf(group)] {
			continue
		}
		byTopic := map[segments.TopicID]int64{}
		for _, c := range view.CommittedOffsets(group) {
			byTopic[c.Partition.Topic] += lag(view, group, c.Partition)
		}
		own := series+len(byTopic) <= maxLagSeries
		for id, n := range byTopic {
			topic := view.TopicByID(id)
			switch {
			case topic == nil: // deleted meanwhile
			case own:
				to <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(n), group, topic.Name)
				series++
			default:
				rest, left = rest+n, true
			}
		}
	}
	if left {
		to <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(rest), otherGroups, "")
	}
}
