package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"firn/coordinator/topicconfig"
	"firn/segments"
	"firn/segments/batch"
)

// Errors of batches that their topic does not take, beside those of batch.
var (
	ErrTimestamp = errors.New("timestamp out of range")
	ErrNoKey     = errors.New("the topic is compacted, so every record needs a key")
)

// Preparer makes of the batches that producers send what is to be stored in their topics. All front doors of a node share the rules; each has a
// Preparer of its own.
type Preparer struct {
	CompressPlain   bool // batches that come uncompressed, where that makes them smaller
	MaxDecompressed int  // what the records of a batch may grow to where they have to be decompressed; topics may say less

	shrink shrinker
}

// Prepare looks at a batch that has passed batch.Check and makes what is to be stored: as it came, unless the topic wants another codec or its own timestamps,
// or it came uncompressed and shrinks. Uncompressed records are looked at one by one, because a consumer that stumbles over one would never get
// past it; compressed ones only where the topic's configs need it. The bytes of b may be changed.
func (p *Preparer) Prepare(b Batch, config *topicconfig.Config, now time.Time) (Batch, error) {
	if err := batch.CheckRecords(b.Bytes); err != nil {
		return b, err
	}
	maxDecompressed := min(p.MaxDecompressed, int(config.MaxDecompressedBytes))
	if config.Compact {
		if err := checkKeys(b.Bytes, maxDecompressed); err != nil {
			return b, err
		}
	}
	codec := b.Header.Attributes.Codec()
	switch {
	case !config.KeepCodec && codec != config.Codec:
		recompressed, err := batch.Recompress(b.Bytes, config.Codec, maxDecompressed)
		if err != nil {
			return b, err
		}
		b.Bytes = recompressed
	case config.KeepCodec && codec == batch.None && p.CompressPlain:
		b.Bytes = p.shrink.compress(b.Partition, b.Bytes)
	}
	if config.LogAppendTime {
		batch.SetLogAppendTime(b.Bytes, now.UnixMilli())
	}
	var err error
	b.Header, err = batch.ReadHeader(b.Bytes)
	return b, err
}

// checkKeys refuses records without a key in a compacted topic, as Kafka does: there they would be nobody's latest.
func checkKeys(b []byte, maxDecompressed int) error {
	at := 0
	for r, err := range batch.Records(b, maxDecompressed) {
		if err != nil {
			return err
		}
		if r.Key == nil {
			return &RecordError{at, ErrNoKey}
		}
		at++
	}
	return nil
}

// CheckTimestamps checks the timestamps in the header of a batch, the first and the largest, against the limits of its topic.
func CheckTimestamps(h batch.Header, config *topicconfig.Config, now time.Time) error {
	switch {
	case config.LogAppendTime:
		return nil
	case h.Attributes.LogAppendTime():
		return fmt.Errorf("%w: producers must not set the timestamp type LogAppendTime", ErrTimestamp)
	case h.MaxTimestamp < 0: // no timestamps
		return nil
	}
	if err := CheckTimestamp(h.BaseTimestamp, config, now); err != nil {
		return err
	}
	return CheckTimestamp(h.MaxTimestamp, config, now)
}

// CheckTimestamp checks one timestamp against the limits of its topic. A negative one is none.
func CheckTimestamp(millis int64, config *topicconfig.Config, now time.Time) error {
	if millis < 0 || config.LogAppendTime {
		return nil
	}
	if late := now.UnixMilli() - millis; late > config.MessageTimestampBeforeMillis {
		return fmt.Errorf("%w: %d lies %d ms in the past; message.timestamp.before.max.ms is %d", ErrTimestamp, millis, late, config.MessageTimestampBeforeMillis)
	}
	if early := millis - now.UnixMilli(); early > config.MessageTimestampAfterMillis {
		return fmt.Errorf("%w: %d lies %d ms in the future; message.timestamp.after.max.ms is %d", ErrTimestamp, millis, early, config.MessageTimestampAfterMillis)
	}
	return nil
}

// shrinker compresses batches that came uncompressed. Partitions whose data does not shrink are tried more and more rarely, so that they
// cost next to nothing.
type shrinker struct {
	mu         sync.Mutex
	partitions map[segments.Partition]shrinking
}

// shrinking is what was seen of a partition that last did not shrink.
type shrinking struct {
	pause   int // batches to let pass after the next failure
	skipped int // batches let pass since the last
}

const (
	minShrinkBytes      = 256     // less is not worth the effort
	maxShrinkPause      = 256     // batches
	maxShrinkPartitions = 100_000 // remembered; then all are forgotten, which costs a try each
	worthwhile          = 0.95    // of the size before; more is not worth decompressing
)

// compress returns b, smaller if it shrinks.
func (s *shrinker) compress(p segments.Partition, b []byte) []byte {
	if len(b) < minShrinkBytes || !s.due(p) {
		return b
	}
	smaller := batch.CompressPlain(b)
	if float64(len(smaller)) > worthwhile*float64(len(b)) {
		smaller = b
	}
	s.learn(p, len(smaller) < len(b))
	return smaller
}

// due reports whether a batch of p should be tried.
func (s *shrinker) due(p segments.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, failed := s.partitions[p]
	if !failed || seen.skipped >= seen.pause {
		return true
	}
	seen.skipped++
	s.partitions[p] = seen
	return false
}

// learn remembers how a try went.
func (s *shrinker) learn(p segments.Partition, shrank bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shrank {
		delete(s.partitions, p)
		return
	}
	if s.partitions == nil || len(s.partitions) >= maxShrinkPartitions {
		s.partitions = map[segments.Partition]shrinking{}
	}
	s.partitions[p] = shrinking{pause: min(2*s.partitions[p].pause+1, maxShrinkPause)}
}
