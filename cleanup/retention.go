package cleanup

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// expired returns where the log of a partition is to start by its topic's retention: behind the
// spans that may go, which are those of the segments that Kafka would delete. That is info.LogStart
// if none may. spans are those of the partition in order, from the log start on.
//
// As in Kafka, old spans go from the oldest on, as long as their newest record is older than
// retention.ms, and as long as what remains is not less than retention.bytes; a span with a young
// record stops the first, whatever lies behind it. Spans that may still be committed again, which
// have no id from before ripe, stay: see coordinator.ProposeMerge.
func expired(spans iter.Seq2[coordinator.Span, error], info coordinator.PartitionInfo, config topicconfig.Config, now,
	ripe time.Time) (int64, error) {
	start, left := info.LogStart, info.Bytes
	if !config.Delete || config.RetentionMillis < 0 && config.RetentionBytes < 0 {
		return start, nil
	}
	for s, err := range spans {
		if err != nil {
			return start, err
		}
		if s.Version == 0 && !s.Segment.Time().Before(ripe) {
			break
		}
		old := config.RetentionMillis >= 0 && now.UnixMilli()-s.MaxTimestamp > config.RetentionMillis
		large := config.RetentionBytes >= 0 && left-s.Length >= config.RetentionBytes
		if !old && !large {
			break
		}
		start, left = s.Last+1, left-s.Length
	}
	return start, nil
}

// retain moves log starts. It needs no lease: a log start moves up or stays, whoever says so, and
// does so beside merges. All partitions' go together, and not more often than every Options.Retain,
// because each time costs a journal object.
func (c *Cleaner) retain(ctx context.Context, starts map[segments.Partition]int64) {
	for some := range slices.Chunk(slices.Collect(maps.Keys(starts)), coordinator.MaxLogStarts) {
		err := c.moveStarts(ctx, starts, some)
		if len(some) == 1 || !errors.Is(err, coordinator.ErrUnknownPartition) && !errors.Is(err, coordinator.ErrOffsetRange) {
			c.toldOfStarts(ctx, err)
			continue
		}
		for i := range some { // one of them is gone: the others each by itself
			c.toldOfStarts(ctx, c.moveStarts(ctx, starts, some[i:i+1]))
		}
	}
}

func (c *Cleaner) toldOfStarts(ctx context.Context, err error) {
	if err != nil {
		c.failed(ctx, "removing expired records", err)
	}
}

func (c *Cleaner) moveStarts(ctx context.Context, starts map[segments.Partition]int64,
	some []segments.Partition) error {
	l := &coordinator.LogStart{Offsets: make(map[segments.Partition]int64, len(some))}
	records := int64(0)
	for _, at := range some {
		info, _ := c.view.Partition(at)
		records += starts[at] - info.LogStart
		l.Offsets[at] = starts[at]
	}
	_, err := c.opts.Node.Change(ctx, coordinator.Change{LogStart: l})
	if err == nil {
		c.metrics.retained.Add(float64(len(some)))
		c.metrics.retainedRecords.Add(float64(records))
	}
	return err
}
