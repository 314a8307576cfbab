package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Errors of records that their topic does not take, beside those of batch.
var (
	ErrTimestamp = errors.New("timestamp out of range")
	ErrNoKey     = errors.New("the topic is compacted, so every record needs a key")
)

// Preparer makes of the batches that producers send what is to be stored in their topics. All front
// doors of a node share the rules; each has a Preparer of its own.
type Preparer struct {
	CompressPlain bool // batches that come uncompressed, where that makes them smaller
	// of batches that come compressed: their records are looked at only where the topic's configs need
	// it
	TrustHeaders    bool
	MaxDecompressed int // what the records of a batch may grow to when they are decompressed; topics may say less

	shrink shrinker
}

// Prepare looks at the records of a batch that has passed batch.Check and makes what is to be
// stored: as it came, unless the topic wants another codec or its own timestamps, or it came
// uncompressed and shrinks, or its header names another largest timestamp than its records have. A
// batch is refused for a record over which consumers would stumble, because they would never get
// past it; for those that its topic does not take the error is a RecordErrors. The bytes of b may
// be changed.
func (p *Preparer) Prepare(b Batch, config *topicconfig.Config, now time.Time) (Batch, error) {
	maxDecompressed := min(p.MaxDecompressed, int(config.MaxDecompressedBytes), batch.MaxDecompressed)
	if err := p.inspect(b, config, now, maxDecompressed); err != nil {
		return b, err
	}
	codec := b.Header.Attributes.Codec()
	switch {
	case !config.KeepCodec && codec != config.Codec:
		recompressed, err := batch.Recompress(b.Bytes, config.Codec, maxDecompressed)
		if err != nil {
			return b, err
		}
		if len(recompressed) > int(config.MaxMessageBytes) {
			return b, fmt.Errorf("%w: %d bytes as %s; %s is %d", batch.ErrTooLarge, len(recompressed), config.Codec,
				topicconfig.MaxMessageBytes, config.MaxMessageBytes)
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

// inspect looks at the records of a batch, and writes into its header what their largest timestamp
// is.
func (p *Preparer) inspect(b Batch, config *topicconfig.Config, now time.Time, maxDecompressed int) error {
	if p.TrustHeaders && b.Header.Attributes.Codec() != batch.None && !config.Compact {
		return checkTimestamps(b.Header, config, now)
	}
	if b.Header.Attributes.LogAppendTime() {
		return errProducerAppendTime
	}
	refused := RecordErrors{Records: int(b.Header.Records)}
	latest, err := batch.Inspect(b.Bytes, maxDecompressed, func(r batch.Scanned) {
		if config.Compact && r.NullKey {
			refused.add(r.Index, ErrNoKey)
			return
		}
		if err := CheckTimestamp(r.Timestamp, config, now); err != nil {
			refused.add(r.Index, err)
		}
	})
	switch {
	case err != nil:
		return err
	case refused.Count > 0:
		return &refused
	case latest != b.Header.MaxTimestamp && !config.LogAppendTime:
		batch.SetMaxTimestamp(b.Bytes, latest)
	}
	return nil
}

var errProducerAppendTime = fmt.Errorf("%w: producers must not set the timestamp type LogAppendTime", ErrTimestamp)

// checkTimestamps checks the timestamps in the header of a batch, the first and the largest,
// against the limits of its topic.
func checkTimestamps(h batch.Header, config *topicconfig.Config, now time.Time) error {
	switch {
	case config.LogAppendTime:
		return nil
	case h.Attributes.LogAppendTime():
		return errProducerAppendTime
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
		return fmt.Errorf("%w: %d lies %d ms in the past; message.timestamp.before.max.ms is %d", ErrTimestamp, millis, late,
			config.MessageTimestampBeforeMillis)
	}
	if early := millis - now.UnixMilli(); early > config.MessageTimestampAfterMillis {
		return fmt.Errorf("%w: %d lies %d ms in the future; message.timestamp.after.max.ms is %d", ErrTimestamp, millis,
			early, config.MessageTimestampAfterMillis)
	}
	return nil
}

// shrinker compresses batches that came uncompressed. Partitions whose data does not shrink are
// tried more and more rarely, so that they cost next to nothing.
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
