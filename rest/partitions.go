package rest

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// others is the topic label of everything that has no label of its own. Topics cannot be called
// that.
const others = "(others)"

var (
	partitionLabels   = []string{"topic", "partition"}
	highWatermarkDesc = prometheus.NewDesc("firn_partition_high_watermark",
		"One past the last offset that may be read; the sum, for (others).", partitionLabels, nil)
	logStartDesc = prometheus.NewDesc("firn_partition_log_start_offset",
		"First offset that may be read; the sum, for (others).", partitionLabels, nil)
	bytesDesc = prometheus.NewDesc("firn_partition_bytes",
		"Bytes of the partition's batches in the bucket; the sum, for (others).", partitionLabels, nil)
	topicsDesc     = prometheus.NewDesc("firn_topics", "Topics.", nil, nil)
	partitionsDesc = prometheus.NewDesc("firn_partitions", "Partitions of all topics.", nil, nil)
)

// partitionGauges tells Prometheus where each partition stands, with bounded labels. Topics are
// taken in the order of their names, so that which ones have labels changes only when topics come
// and go.
type partitionGauges struct {
	view          View
	maxTopics     int
	maxPartitions int
}

func (g *partitionGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{highWatermarkDesc, logStartDesc, bytesDesc, topicsDesc, partitionsDesc} {
		to <- d
	}
}

func (g *partitionGauges) Collect(to chan<- prometheus.Metric) {
	topics := g.view.Topics()
	var rest coordinator.PartitionInfo
	labelled, room, partitions, left := 0, g.maxPartitions, 0, 0
	for _, t := range topics {
		partitions += int(t.Partitions)
		own := labelled < g.maxTopics && int(t.Partitions) <= room
		if own {
			labelled++
			room -= int(t.Partitions)
		} else {
			left++
		}
		for i := range t.Partitions {
			info, ok := g.view.Partition(segments.Partition{Topic: t.ID, Index: i})
			switch {
			case !ok: // deleted meanwhile
			case own:
				send(to, info, t.Name, strconv.Itoa(int(i)))
			default:
				rest.HighWatermark += info.HighWatermark
				rest.LogStart += info.LogStart
				rest.Bytes += info.Bytes
			}
		}
	}
	if left > 0 {
		send(to, rest, others, "")
	}
	to <- prometheus.MustNewConstMetric(topicsDesc, prometheus.GaugeValue, float64(len(topics)))
	to <- prometheus.MustNewConstMetric(partitionsDesc, prometheus.GaugeValue, float64(partitions))
}

func send(to chan<- prometheus.Metric, info coordinator.PartitionInfo, topic, partition string) {
	gauge := func(d *prometheus.Desc, v int64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), topic, partition)
	}
	gauge(highWatermarkDesc, info.HighWatermark)
	gauge(logStartDesc, info.LogStart)
	gauge(bytesDesc, info.Bytes)
}
