package kafka

import (
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn/ingest"
	"firn/segments"
	"firn/segments/batch"
)

// prepare makes of a sound batch what is to be stored. Uncompressed records are looked at one by one, because a consumer
// that stumbles over one would never get past it.
func (s *Server) prepare(in *incomingBatch, b ingest.Batch) (ingest.Batch, *refusal) {
	if err := batch.CheckRecords(b.Bytes); err != nil {
		return b, refuse(kerr.InvalidRecord, "%v", err)
	}
	if in.config.Compact {
		if refused := s.checkKeys(in, b.Bytes); refused != nil {
			return b, refused
		}
	}
	codec := b.Header.Attributes.Codec()
	switch {
	case !in.config.KeepCodec && codec != in.config.Codec:
		recompressed, err := batch.Recompress(b.Bytes, in.config.Codec, s.maxDecompressed(in))
		if errors.Is(err, batch.ErrTooLarge) {
			return b, refuse(kerr.MessageTooLarge, "%v", err)
		} else if err != nil {
			return b, refuse(kerr.InvalidRecord, "%v", err)
		}
		b.Bytes = recompressed
	case in.config.KeepCodec && codec == batch.None && s.opts.CompressPlain == "lz4":
		b.Bytes = s.shrink.compress(b.Partition, b.Bytes)
	}
	if in.config.LogAppendTime {
		batch.SetLogAppendTime(b.Bytes, in.now.UnixMilli())
	}
	h, err := batch.ReadHeader(b.Bytes)
	if err != nil {
		return b, refuse(kerr.UnknownServerError, "%v", err)
	}
	b.Header = h
	return b, nil
}

// checkKeys refuses records without a key in a compacted topic, as Kafka does: there they would be nobody's latest.
func (s *Server) checkKeys(in *incomingBatch, b []byte) *refusal {
	for r, err := range batch.Records(b, s.maxDecompressed(in)) {
		switch {
		case errors.Is(err, batch.ErrTooLarge):
			return refuse(kerr.MessageTooLarge, "%v", err)
		case err != nil:
			return refuse(kerr.InvalidRecord, "%v", err)
		case r.Key == nil:
			return refuse(kerr.InvalidRecord, "topic %q is compacted, so every record needs a key; the one at %d of its batch has none", in.topic.Name, r.Offset)
		}
	}
	return nil
}

// maxDecompressed bounds what the records of one batch may grow to where they have to be decompressed: what all of an uncompressed Produce
// request may be, or what the topic says.
func (s *Server) maxDecompressed(in *incomingBatch) int {
	return min(s.opts.Limits.MaxRequestBytes, int(in.config.MaxDecompressedBytes))
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
