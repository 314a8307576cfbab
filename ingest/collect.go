package ingest

import (
	"errors"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// segment is a collection of batches on its way: open while it is collected, then sealed, put,
// committed, settled and answered. Each stage hands it to the next; only the atomics are looked at
// from elsewhere.
type segment struct {
	parts   []part
	byPart  map[segments.Partition]int // position in parts; only while it is open
	appends int
	bytes   int // of batches
	asked   int // decisions of its commit: see coordinator.CommitRequest
	endings []*coordinator.Ending
	atomic  []*coordinator.Atomic

	id     segments.ID
	first  time.Time // when its first batch came
	sealed time.Time

	carry    bool     // the journal is to carry it, once it is its turn
	carriage carriage // from when it is committed until it is in the journal

	object  []byte
	request coordinator.CommitRequest
	readers atomic.Int32  // puts that may still read object
	handed  bool          // object was given to Options.Sealed and must not change any more
	stored  chan struct{} // closed when the put has ended; then putErr says how
	putErr  error

	mark     time.Time               // when the last stage ended
	stages   []Stage                 // those that have ended
	tried    bool                    // a commit was asked for and may have been made
	triedIn  coordinator.Incarnation // the last in which it was asked for
	answered atomic.Bool
}

// Stage is a stage of a segment's way: collect, put, commit and journal. A segment that the journal
// carries has no put.
type Stage struct {
	Name     string
	From, To time.Time
}

// lap notes the end of a stage.
func (s *segment) lap(stage stageMetric) {
	now := time.Now()
	if s.stages == nil {
		s.stages = make([]Stage, 0, 5) // collect, put, commit, journal and visible
	}
	stage.took.Observe(now.Sub(s.mark).Seconds())
	s.stages = append(s.stages, Stage{stage.name, s.mark, now})
	s.mark = now
}

// unanswered counts batches.
func (s *segment) unanswered() (n int) {
	for i := range s.parts {
		if !s.parts[i].answered {
			n += len(s.parts[i].items)
		}
	}
	return n
}

// part is what one segment holds of one partition, in order.
type part struct {
	partition segments.Partition
	items     []item
	batches   [][]byte // of the items; nil once they are in the object
	answered  bool
	floor     int64 // the high watermark before the first commit: its records have no lower offsets
}

// item is one batch and whom to answer.
type item struct {
	position int64 // in the object
	commit   coordinator.CommitBatch
	answer   coordinator.BatchAnswer // of the last commit
	pending  *Pending
	slot     int32
}

// recognizable says whether the coordinator knows every batch again by its producer or its key.
func (p *part) recognizable() bool {
	for i := range p.items {
		if p.items[i].commit.ProducerID < 0 && p.items[i].commit.Key == nil {
			return false
		}
	}
	return true
}

// lastOffset is the offset that the high watermark has to pass before the part may be answered; -1
// if all of it was rejected. Of the original of a duplicate the first offset will do, because high
// watermarks pass spans as a whole: it may have had fewer records here, if the topic has grown
// since.
func (p *part) lastOffset() int64 {
	last := int64(-1)
	for i := range p.items {
		it := &p.items[i]
		switch {
		case it.answer.Err == nil:
			last = max(last, it.answer.BaseOffset+int64(it.commit.Records)-1)
		case errors.Is(it.answer.Err, coordinator.ErrDuplicate):
			last = max(last, it.answer.BaseOffset)
		}
	}
	return last
}

// collect puts the batches of an Append behind those that are there. The room for them is reserved.
func (w *Writer) collect(p *Pending, batches []Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.makeRoom(batches)
	w.quiet.appended()
	for i := range batches {
		b := &batches[i]
		if w.open != nil && b.Ending == nil && b.Atomic == nil && (w.open.bytes+len(b.Bytes) > w.opts.FlushBytes ||
			w.open.asked >= maxDecisions) {
			w.fill()
		}
		if w.open == nil {
			w.open = &segment{first: time.Now(), byPart: make(map[segments.Partition]int)}
			w.poke()
		}
		w.open.add(b, p, int32(i))
	}
	w.open.appends++
	if w.quiet.usual > w.opts.Linger && w.budget.perSecond > 0 {
		w.poke() // it may be due now
	}
	if w.open.bytes >= w.opts.FlushBytes || w.open.asked >= maxDecisions {
		w.fill()
	}
	return nil
}

// maxDecisions seals a segment of many small batches before its bytes do, because the coordinator
// takes it in one step. It leaves room for large parts that are cut into several runs, each of
// which is one decision more.
const maxDecisions = coordinator.MaxCommitDecisions / 2

// fill ends the open collection: it goes as soon as a put slot is free. The caller holds mu.
func (w *Writer) fill() {
	w.full = append(w.full, w.open)
	w.open = nil
	w.poke()
}

func (s *segment) add(b *Batch, p *Pending, slot int32) {
	i, ok := s.byPart[b.Partition]
	if !ok {
		i = len(s.parts)
		s.byPart[b.Partition] = i
		s.parts = append(s.parts, part{partition: b.Partition})
	}
	s.bytes += len(b.Bytes)
	part := &s.parts[i]
	part.batches = append(part.batches, b.Bytes)
	part.items = append(part.items, item{
		slot:    slot,
		pending: p,
		commit: coordinator.CommitBatch{
			Length:        int32(len(b.Bytes)),
			Records:       b.Header.Records,
			MaxTimestamp:  b.Header.MaxTimestamp,
			ProducerID:    b.Header.ProducerID,
			ProducerEpoch: b.Header.ProducerEpoch,
			BaseSequence:  b.Header.BaseSequence,
			Key:           b.Key,
			Protocol:      b.Protocol,
			Ending:        s.endingOf(b.Ending),
			Atomic:        s.atomicOf(b.Atomic),
		},
	})
	if n := len(part.items); n == 1 || part.items[n-1].commit.LookedUp() || part.items[n-2].commit.LookedUp() {
		s.asked++
	}
}
