package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"firn.dev/segments"
)

// recentCommit is what is remembered of a committed segment, to give the same answers again.
type recentCommit struct {
	seq     uint64         // of the newest fact that it became; 0 if it was recovered from the bucket
	answers []recentAnswer // ordered by position; runs of a segment share no bytes
}

// recentAnswer is bytes of a segment that became a span, or a batch that was rejected.
type recentAnswer struct {
	position, length int64
	base             int64 // offset of the first record; of a rejected batch what BatchAnswer says
	err              error
}

func newRecentCommit(spans []CommitSpan) *recentCommit {
	r := &recentCommit{}
	r.add(spans, nil)
	return r
}

func (r *recentCommit) add(spans []CommitSpan, rejected []recentAnswer) {
	r.answers = slices.Grow(r.answers, len(spans)+len(rejected))
	for i := range spans {
		s := &spans[i].Span
		r.answers = append(r.answers, recentAnswer{position: s.Position, length: s.Length, base: s.Base})
	}
	r.answers = append(r.answers, rejected...)
	slices.SortFunc(r.answers, func(a, b recentAnswer) int { return cmp.Compare(a.position, b.position) })
}

// answer returns what is known of the byte at position; nil if nothing is.
func (r *recentCommit) answer(position int64) *recentAnswer {
	if r == nil {
		return nil
	}
	i := sort.Search(len(r.answers), func(i int) bool { return position < r.answers[i].position+r.answers[i].length })
	if i == len(r.answers) || position < r.answers[i].position {
		return nil
	}
	return &r.answers[i]
}

// Commit implements Log.
func (e *Embedded) Commit(_ context.Context, in Incarnation, req CommitRequest) (CommitAnswer, error) {
	if err := req.Validate(); err != nil {
		return CommitAnswer{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return CommitAnswer{}, err
	}
	now := e.opts.Clock()
	e.forgetCommits(now)
	e.forgetProducers(now)
	prior := e.commits.byID[req.Segment]
	age := now.Sub(req.Segment.Time())
	if age > e.opts.CommitDeadline || age < -e.opts.CommitDeadline ||
		prior == nil && slices.Contains(e.forgotten, req.Segment.Time().Unix()) {
		return CommitAnswer{}, TooOld(req.Segment, age, e.opts.CommitDeadline)
	}
	d := decision{e: e, req: &req, prior: prior, now: now.UnixMilli()}
	answer := CommitAnswer{Runs: d.runs()}
	recent := prior
	if recent == nil {
		recent = &recentCommit{}
	}
	if len(d.spans) > 0 {
		answer.Entry = e.decide(&Fact{Incarnation: in, Commit: &Commit{Segment: req.Segment, Spans: d.spans}})
		recent.seq = answer.Entry.Seq
	} else if fact := e.pending.facts[recent.seq]; fact != nil {
		answer.Entry = Entry{Seq: recent.seq, Fact: fact}
	}
	recent.add(d.spans, d.rejected)
	e.commits.remember(req.Segment, req.Segment.Time().Add(e.opts.CommitDeadline), recent)
	return answer, nil
}

// MaxCommitDecisions bounds one commit, which is one atomic step that everybody else waits for: see CommitRequest.Decisions. Redis takes some ten milliseconds for as many.
const MaxCommitDecisions = 4096

// Decisions is how many decisions the request asks for: one for each batch of a producer or request that the coordinator has to look up, and one for all other batches that
// follow each other in a run.
func (r *CommitRequest) Decisions() int {
	n := 0
	for i := range r.Runs {
		plain := false
		for j := range r.Runs[i].Batches {
			if known := r.Runs[i].Batches[j].LookedUp(); known || !plain {
				n++
				plain = !known
			}
		}
	}
	return n
}

// LookedUp says whether the coordinator has to look up what it knows of the batch's producer or request.
func (b *CommitBatch) LookedUp() bool { return b.ProducerID >= 0 || b.Key != nil }

// Validate refuses what no segment can contain; the numbers of records and bytes are added up below.
func (r *CommitRequest) Validate() error {
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Position < 0 {
			return fmt.Errorf("%w: run of %s at position %d", ErrMalformed, run.Partition, run.Position)
		}
		for j := range run.Batches {
			if b := &run.Batches[j]; b.Records < 1 || b.Length < 1 || b.ProducerID >= 0 && (b.BaseSequence < 0 || b.ProducerEpoch < 0 || b.Key != nil) ||
				b.Key != nil && b.Key.Partitions < 0 {
				return fmt.Errorf("%w: batch %d of run %d of segment %s: %+v", ErrMalformed, j, i, r.Segment, *b)
			}
		}
	}
	if n := r.Decisions(); n > MaxCommitDecisions {
		return fmt.Errorf("%w: the commit of segment %s asks for %d decisions, at most %d are allowed: write it as several segments", ErrMalformed, r.Segment, n, MaxCommitDecisions)
	}
	return r.validateBytes()
}

// validateBytes refuses runs that share bytes. Most requests have their runs in the order of their bytes.
func (r *CommitRequest) validateBytes() error {
	inOrder := func(a, b CommitRun) int { return cmp.Compare(a.Position, b.Position) }
	runs := r.Runs
	if !slices.IsSortedFunc(runs, inOrder) {
		runs = slices.SortedStableFunc(slices.Values(runs), inOrder)
	}
	end := int64(0)
	for i := range runs {
		if runs[i].Position < end {
			return fmt.Errorf("%w: the run of %s at position %d of segment %s begins inside of another", ErrMalformed, runs[i].Partition, runs[i].Position, r.Segment)
		}
		end = runs[i].Position
		for j := range runs[i].Batches {
			end += int64(runs[i].Batches[j].Length)
		}
	}
	return nil
}

// decision is one commit being decided. Spans enter the decided state as they are closed, so that later batches of the same segment see
// them.
type decision struct {
	e        *Embedded
	req      *CommitRequest
	prior    *recentCommit // nil at the first commit of a segment
	now      int64
	spans    []CommitSpan
	rejected []recentAnswer
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

// run decides the batches of one run: accepted ones extend the open span, any other closes it. Producers of its spans are appended to
// the array that all spans of the commit share.
func (d *decision) run(run *CommitRun, answers []BatchAnswer, producers []ProducerBatch) []ProducerBatch {
	p := d.usable(run.Partition)
	var open *CommitSpan
	first := len(producers)
	closeSpan := func() {
		if open != nil {
			open.Producers = producers[first:len(producers):len(producers)]
			d.e.decided.applySpan(open) // continues the prefix, so it cannot fail
		}
		open, first = nil, len(producers)
	}
	position := run.Position
	survived := int64(0) // offsets of the surviving span that were given to batches already
	for i := range run.Batches {
		b := &run.Batches[i]
		if known := d.prior.answer(position); known != nil && known.err != nil {
			closeSpan()
			answers[i] = BatchAnswer{BaseOffset: known.base, Err: known.err}
		} else if known != nil {
			closeSpan()
			if position == known.position {
				survived = 0
			}
			answers[i] = BatchAnswer{BaseOffset: known.base + survived}
			survived += int64(b.Records)
		} else if answers[i] = d.admit(p, b, open); answers[i].Err != nil {
			closeSpan()
			d.rejected = append(d.rejected, recentAnswer{position, int64(b.Length), answers[i].BaseOffset, answers[i].Err})
		} else {
			if open == nil {
				d.spans = append(d.spans, CommitSpan{Partition: run.Partition, Span: Span{Segment: d.req.Segment,
					Base: answers[i].BaseOffset, Position: position, MaxTimestamp: math.MinInt64}})
				open = &d.spans[len(d.spans)-1]
			}
			extend(&open.Span, b, answers[i].BaseOffset)
			if b.ProducerID >= 0 {
				producers = append(producers, ProducerBatch{b.ProducerID, b.ProducerEpoch, b.BaseSequence,
					lastSequence(b.BaseSequence, b.Records), answers[i].BaseOffset, d.now})
				p.observe(&producers[len(producers)-1]) // the next batch may follow it
			}
			if b.Key != nil {
				open.Keyed = append(open.Keyed, Keyed{*b.Key, run.Partition, answers[i].BaseOffset, b.Records, d.now})
				d.e.decided.remember(p, &open.Keyed[len(open.Keyed)-1]) // the next batch may be of the same request
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

// usable returns the partition if commits may use it, else nil.
func (d *decision) usable(at segments.Partition) *partition {
	t := d.e.decided.topics[at.Topic]
	if t == nil || t.Deleted || at.Index < 0 || at.Index >= d.e.usable[at.Topic] {
		return nil
	}
	return d.e.decided.partition(at)
}

// admit gives the batch the partition's next offset, or an error.
func (d *decision) admit(p *partition, b *CommitBatch, open *CommitSpan) BatchAnswer {
	if p == nil {
		return BatchAnswer{BaseOffset: -1, Err: ErrUnknownPartition}
	}
	original, err := p.admit(b, d.now)
	switch {
	case err == nil:
	case errors.Is(err, ErrDuplicate):
		return BatchAnswer{BaseOffset: original, Err: err}
	default:
		return BatchAnswer{BaseOffset: -1, Err: err}
	}
	if open != nil {
		return BatchAnswer{BaseOffset: open.Span.Last + 1}
	}
	return BatchAnswer{BaseOffset: p.end}
}

// producerSweep is how often silent producers are looked for.
const producerSweep = 10 * time.Minute

// forgetProducers drops silent producers, now and then.
func (e *Embedded) forgetProducers(now time.Time) {
	if now.Sub(e.swept) >= producerSweep {
		e.decided.forget(now)
		e.swept = now
	}
}
