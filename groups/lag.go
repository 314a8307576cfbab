package groups

import (
	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
	"firn.dev/segments"
)

// Lag is how far a group is behind with a topic: with those of its partitions that the group has
// committed offsets for.
type Lag struct {
	Partitions int
	Records    int64 // that it has not read; of a share group those that are not finished
	Time       int64 // of the newest commit, in milliseconds by the coordinator's clock
}

func (l *Lag) add(c coordinator.CommittedOffset, info coordinator.PartitionInfo) {
	l.Partitions++
	l.Records += Unread(c, info)
	l.Time = max(l.Time, c.Time)
}

// Lags is how far a group is behind, by topic. Every node can tell, of any group.
func Lags(view *coordinator.View, group string) map[segments.TopicID]Lag {
	lags := map[segments.TopicID]Lag{}
	view.EachCommitted(group, func(c coordinator.CommittedOffset, info coordinator.PartitionInfo) {
		l := lags[c.Partition.Topic]
		l.add(c, info)
		lags[c.Partition.Topic] = l
	})
	return lags
}

// LagOf is how far a group is behind with one topic.
func LagOf(view *coordinator.View, group string, topic segments.TopicID) (l Lag) {
	view.EachCommittedOf(group, topic, l.add)
	return l
}

// Unread is how many records of a partition a group has not read: from what it has committed, or
// from the log start, to the high watermark. Of a share group those do not count that are stored as
// finished.
func Unread(c coordinator.CommittedOffset, info coordinator.PartitionInfo) int64 {
	from, finished := max(c.Offset, info.LogStart), int64(0)
	if start, n, shared := protocol.StoredProgress(c.Offset, c.Metadata, info.LogStart); shared {
		from, finished = start, n
	}
	return max(0, info.HighWatermark-from-finished)
}

// OfShareGroup says whether a commit is what a share group has stored of a partition, and so no
// offset of a consumer.
func OfShareGroup(c coordinator.CommittedOffset) bool {
	_, _, shared := protocol.StoredProgress(c.Offset, c.Metadata, 0)
	return shared
}

// lag is how many records of a partition a group has not read, or has to read if it has committed
// nothing.
func lag(view *coordinator.View, group string, at segments.Partition) int64 {
	info, exists := view.Partition(at)
	if !exists {
		return 0
	}
	committed, _ := view.Committed(group, at)
	return Unread(committed, info)
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
		byTopic := Lags(view, group)
		own := series+len(byTopic) <= maxLagSeries
		for id, l := range byTopic {
			topic := view.TopicByID(id)
			switch {
			case topic == nil: // deleted meanwhile
			case own:
				to <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(l.Records), group, topic.Name)
				series++
			default:
				rest, left = rest+l.Records, true
			}
		}
	}
	if left {
		to <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(rest), otherGroups, "")
	}
}
