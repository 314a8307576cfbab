package replay

import (
	"errors"
	"fmt"
	"sync"
)

// ErrSkipped says that a replay is complete but for records that cannot be read: their producer
// wrote them so.
var ErrSkipped = errors.New("records that cannot be read were skipped")

// maxSkippedNotes is how many skipped ranges are listed one by one.
const maxSkippedNotes = 100

// skipped counts what cannot be read. Partitions are worked off concurrently.
type skipped struct {
	mu      sync.Mutex
	ranges  int
	offsets int64
	first   Range
	cause   error // of the first
}

func (s *skipped) add(r Range, err error, note func(string, ...any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ranges == 0 {
		s.first, s.cause = r, err
	}
	s.ranges++
	s.offsets += r.To - r.From
	switch {
	case s.ranges < maxSkippedNotes:
		note("offsets %d to %d of partition %d cannot be read and are skipped: %v", r.From, r.To-1, r.Partition, err)
	case s.ranges == maxSkippedNotes:
		note("more offsets cannot be read and are skipped; at the end it is said how many")
	}
}

// Skipped says what was skipped so far because it cannot be read, as an ErrSkipped; nil if nothing
// was. The bytes of such batches are in Batches.
func (r *Replay) Skipped() error {
	s := &r.skipped
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ranges == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d offsets in %d batches, the first at offset %d of partition %d (%w); "+
		"all others were replayed",
		ErrSkipped, s.offsets, s.ranges, s.first.From, s.first.Partition, s.cause)
}
