package cleanup

import (
	"iter"
	"time"

	"firn/coordinator"
	"firn/coordinator/topicconfig"
)

// expired returns where the log of a partition is to start by its topic's retention: behind the spans that may go, which are those of the segments that Kafka would
// delete. That is info.LogStart if none may. spans are those of the partition in order, from the log start on.
//
// As in Kafka, old spans go from the oldest on, as long as their newest record is older than retention.ms, and as long as what remains is not less than retention.bytes;
// a span with a young record stops the first, whatever lies behind it. Spans that may still be committed again, which have no id from before ripe, stay: see
// coordinator.ProposeMerge.
func expired(spans iter.Seq2[coordinator.Span, error], info coordinator.PartitionInfo, config topicconfig.Config, now, ripe time.Time) (int64, error) {
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

// retain moves the log start of the job's partition to where retention wants it. It is looked at anew, since the view has gone on.
func (j *job) retain() error {
	start, err := j.c.expired(j.ctx, j.at, j.config)
	info, exists := j.c.view.Partition(j.at)
	if err != nil || !exists || start <= info.LogStart {
		return err
	}
	_, err = j.c.opts.Node.Change(j.ctx, coordinator.Change{LogStart: &coordinator.LogStart{Offsets: offsetOf(j.at, start)}})
	if err != nil {
		return err
	}
	j.c.metrics.retained.Inc()
	j.c.metrics.retainedRecords.Add(float64(start - info.LogStart))
	return nil
}
