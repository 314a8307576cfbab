package coordinator

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"sort"
	"time"

	"firn.dev/segments"
)

// CommittedSegment is what a coordinator remembers of a committed segment, to give the same answers
// again. The zero value is that of a segment that was never committed.
type CommittedSegment struct {
	answers []committedAnswer // ordered by position; runs of a segment share no bytes
}

// committedAnswer is bytes of a segment that became a span, or a batch that was rejected.
type committedAnswer struct {
	position, length int64
	base             int64 // offset of the first record; of a rejected batch what BatchAnswer says
	err              error
}

// NewCommittedSegment returns what a recovery found of a segment: the spans that survived.
func NewCommittedSegment(spans []CommitSpan) *CommittedSegment {
	c := &CommittedSegment{}
	c.add(spans, nil)
	return c
}

// Clone returns a copy that is independent of c.
func (c *CommittedSegment) Clone() *CommittedSegment {
	return &CommittedSegment{slices.Clone(c.answers)}
}

func (c *CommittedSegment) add(spans []CommitSpan, rejected []committedAnswer) {
	c.answers = slices.Grow(c.answers, len(spans)+len(rejected))
	for i := range spans {
		s := &spans[i].Span
		c.answers = append(c.answers, committedAnswer{position: s.Position, length: s.Length, base: s.Base})
	}
	c.answers = append(c.answers, rejected...)
	slices.SortFunc(c.answers, func(a, b committedAnswer) int { return cmp.Compare(a.position, b.position) })
}

// answer returns what is known of the byte at position; nil if nothing is.
func (c *CommittedSegment) answer(position int64) *committedAnswer {
	i := sort.Search(len(c.answers), func(i int) bool { return position < c.answers[i].position+c.answers[i].length })
	if i == len(c.answers) || position < c.answers[i].position {
		return nil
	}
	return &c.answers[i]
}

// DecideCommit decides a commit, by a state of everything that was decided before: it answers each
// ending and each batch of each run, and returns what it accepts of them; nil if that is nothing.
// It is in the state then, and what was decided is added to what is known of the segment. Commits
// may use the partitions for which usable is true; marks are asked only where transactions are, and
// holds, which says whether a lease is held, only for atomic requests.
func (s *State) DecideCommit(req *CommitRequest, known *CommittedSegment, usable func(segments.Partition) bool,
	marks Marks, holds func(lease string, epoch uint64) error,
	now time.Time) (CommitAnswer, *Commit) {
	d := decision{state: s, req: req, known: known, usable: usable, marks: marks, holds: holds, now: now.UnixMilli()}
	d.endings()
	d.judgeAtomic()
	d.answers.Runs = d.runs()
	known.add(d.spans, d.rejected)
	if len(d.spans) == 0 && len(d.ended) == 0 {
		return d.answers, nil
	}
	return d.answers, &Commit{Segment: req.Segment, Spans: d.spans, Endings: d.ended, Atomic: d.atomic}
}

// decision is one commit being decided. Spans enter the state as they are closed, so that later
// batches of the same segment see them.
type decision struct {
	state    *State
	req      *CommitRequest
	known    *CommittedSegment
	usable   func(segments.Partition) bool
	marks    Marks
	holds    func(lease string, epoch uint64) error
	now      int64
	answers  CommitAnswer
	spans    []CommitSpan
	rejected []committedAnswer
	ended    []Ended
	ending   []map[segments.Partition]int64 // of each ending that is decided now: where its markers are to come
	atomic   []AtomicOffsets
	refused  []error // of each atomic request; nil: it is accepted
}

func (d *decision) runs() [][]BatchAnswer {
	batches, idempotent := 0, 0
	for i := range d.req.Runs {
		batches += len(d.req.Runs[i].Batches)
		for j := range d.req.Runs[i].Batches {
			if d.req.Runs[i].Batches[j].ProducerID >= 0 {
				idempotent++
			}
		}
	}
	answers := make([]BatchAnswer, batches)
	producers := make([]ProducerBatch, 0, idempotent)
	runs := make([][]BatchAnswer, len(d.req.Runs))
	d.spans = make([]CommitSpan, 0, len(d.req.Runs))
	for i := range d.req.Runs {
		n := len(d.req.Runs[i].Batches)
		runs[i], answers = answers[:n:n], answers[n:]
		producers = d.run(&d.req.Runs[i], runs[i], producers)
	}
	return runs
}

// run decides the batches of one run: accepted ones extend the open span, any other closes it.
// Producers of its spans are appended to the array that all spans of the commit share.
func (d *decision) run(run *CommitRun, answers []BatchAnswer, producers []ProducerBatch) []ProducerBatch {
	p := d.partition(run.Partition)
	var open *CommitSpan
	first := len(producers)
	closeSpan := func() {
		if open != nil {
			open.Producers = producers[first:len(producers):len(producers)]
			d.state.applySpan(open) // continues the prefix, so it cannot fail
		}
		open, first = nil, len(producers)
	}
	position := run.Position
	var t *TransactionalID // of a transactional batch
	survived := int64(0)   // offsets of the surviving span that were given to batches already
	for i := range run.Batches {
		b := &run.Batches[i]
		if known := d.known.answer(position); known != nil && known.err != nil {
			closeSpan()
			answers[i] = BatchAnswer{BaseOffset: known.base, Err: known.err}
		} else if known != nil {
			closeSpan()
			if position == known.position {
				survived = 0
			}
			answers[i] = BatchAnswer{BaseOffset: known.base + survived}
			survived += int64(b.Records)
		} else if b.Ending > 0 {
			closeSpan()
			if answers[i] = d.mark(run, b, p, position); answers[i].Err != nil {
				d.rejected = append(d.rejected, committedAnswer{position, int64(b.Length), -1, answers[i].Err})
			}
		} else if b.Atomic > 0 {
			closeSpan()
			if answers[i] = d.write(run, b, p, position); answers[i].Err != nil {
				d.rejected = append(d.rejected, committedAnswer{position, int64(b.Length), answers[i].BaseOffset, answers[i].Err})
			}
		} else if answers[i], t = d.admit(run.Partition, p, b, open); answers[i].Err != nil {
			closeSpan()
			d.rejected = append(d.rejected, committedAnswer{position, int64(b.Length), answers[i].BaseOffset, answers[i].Err})
		} else {
			if open == nil {
				d.spans = append(d.spans, CommitSpan{Partition: run.Partition, Span: Span{Segment: d.req.Segment,
					Base: answers[i].BaseOffset, Position: position, MaxTimestamp: math.MinInt64}})
				open = &d.spans[len(d.spans)-1]
			}
			extend(&open.Span, b, answers[i].BaseOffset)
			if b.ProducerID >= 0 {
				producers = append(producers, ProducerBatch{b.ProducerID, b.ProducerEpoch, b.BaseSequence,
					lastSequence(b.BaseSequence, b.Records), answers[i].BaseOffset, d.now, 0})
				p.observe(&producers[len(producers)-1]) // the next batch may follow it
			}
			if t != nil {
				producers[len(producers)-1].Ordinal = t.Ordinal
				d.state.transactions.of(t.ID).touched[run.Partition] = open.Span.Last
			}
			if b.Key != nil {
				open.Keyed = append(open.Keyed, Keyed{*b.Key, run.Partition, answers[i].BaseOffset, b.Records, d.now})
				d.state.remember(p, &open.Keyed[len(open.Keyed)-1]) // the next batch may be of the same request
			}
		}
		if p != nil {
			answers[i].LogStartOffset = p.logStart
		}
		position += int64(b.Length)
	}
	closeSpan()
	return producers
}

func extend(s *Span, b *CommitBatch, base int64) {
	s.Last = base + int64(b.Records) - 1
	s.Length += int64(b.Length)
	s.MaxTimestamp = max(s.MaxTimestamp, b.MaxTimestamp)
}

// partition returns the partition if commits may use it, else nil.
func (d *decision) partition(at segments.Partition) *partition {
	if !d.usable(at) {
		return nil
	}
	return d.state.partition(at)
}

// admit gives the batch the partition's next offset, or an error.
//
// It returns the id of a transactional batch.
func (d *decision) admit(at segments.Partition, p *partition, b *CommitBatch, open *CommitSpan) (BatchAnswer,
	*TransactionalID) {
	if p == nil {
		return BatchAnswer{BaseOffset: -1, Err: ErrUnknownPartition}, nil
	}
	var t *TransactionalID
	var original int64
	var err error
	if b.ProducerID >= 0 {
		t, err = d.producer(b)
	}
	if err == nil {
		original, err = p.admit(b, d.now)
	}
	if err == nil && t != nil {
		err = d.transaction(t, at, b)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrDuplicate):
		return BatchAnswer{BaseOffset: original, Err: err}, nil
	default:
		return BatchAnswer{BaseOffset: -1, Err: err}, nil
	}
	if open != nil {
		return BatchAnswer{BaseOffset: open.Span.Last + 1}, t
	}
	return BatchAnswer{BaseOffset: p.end}, t
}

// What a coordinator needs that decides from a State in memory: package embedded.

// Decider returns the copy of the state from which a coordinator decides. It has no spans and no
// groups, and takes in facts as they are decided, before they are confirmed.
func (s *State) Decider() *State { return s.clone(true) }

// Topic returns a topic as the newest fact left it, nil if there is none. A deleted one is marked
// as such. The caller does not change it.
func (s *State) Topic(id segments.TopicID) *TopicFact { return s.topics[id] }

// TopicNamed returns the live topic of that name, nil if there is none. The caller does not change
// it.
func (s *State) TopicNamed(name string) *TopicFact { return s.names[name] }

// Request returns what a topic remembers of a request; false if that is nothing.
func (s *State) Request(topic segments.TopicID, id [16]byte) (KeyedRequest, bool) {
	q := s.requests[topic][id]
	if q == nil {
		return KeyedRequest{}, false
	}
	return KeyedRequest{q.RequestKey, topic, q.time}, true
}

// Position returns where a partition ends, and the version of its newest merge; zeros for one that
// nothing has happened to.
func (s *State) Position(at segments.Partition) (end int64, merges uint64, known bool) {
	p := s.partitions[at]
	if p == nil {
		return 0, 0, false
	}
	return p.end, p.merges, true
}
