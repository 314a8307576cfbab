package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"firn/segments"
)

// recentCommit is what is remembered of a committed segment, to give the same answers again.
type recentCommit struct {
	entry    Entry // Seq is 0 if it was recovered from the bucket
	spans    []CommitSpan
	rejected map[batchKey]BatchAnswer
}

// batchKey tells the batches of a segment apart.
type batchKey struct {
	partition segments.Partition
	position  int64
}

// span returns the span that holds the byte at position; nil if there is none.
func (r *recentCommit) span(at segments.Partition, position int64) *Span {
	for i := range r.spans {
		s := &r.spans[i]
		if s.Partition == at && position >= s.Span.Position && position < s.Span.Position+s.Span.Length {
			return &s.Span
		}
	}
	return nil
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
	e.commits.expire(now)
	e.forgetProducers(now)
	if age := now.Sub(req.Segment.Time()); age > e.opts.CommitDeadline || age < -e.opts.CommitDeadline {
		return CommitAnswer{}, fmt.Errorf("%w: segment %s is %s old, allowed is %s", ErrTooOld, req.Segment, age, e.opts.CommitDeadline)
	}
	prior := e.commits.byID[req.Segment]
	d := decision{e: e, req: &req, prior: prior, now: now.UnixMilli()}
	answer := CommitAnswer{Runs: d.runs()}
	recent := prior
	if recent == nil {
		recent = &recentCommit{}
	}
	if len(d.spans) > 0 {
		recent.entry = e.decide(&Fact{Incarnation: in, Commit: &Commit{Segment: req.Segment, Spans: d.spans}})
		answer.Entry = recent.entry
		recent.spans = append(slices.Clip(recent.spans), d.spans...)
	} else if seq := recent.entry.Seq; seq != 0 && e.pending.facts[seq] != nil {
		answer.Entry = recent.entry
	}
	for key, rejected := range d.rejected {
		if recent.rejected == nil {
			recent.rejected = d.rejected
			break
		}
		recent.rejected[key] = rejected
	}
	e.commits.remember(req.Segment, req.Segment.Time().Add(e.opts.CommitDeadline), recent)
	return answer, nil
}

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
	rejected map[batchKey]BatchAnswer
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
		if s := d.survivor(run.Partition, position); s != nil {
			closeSpan()
			if position == s.Position {
				survived = 0
			}
			answers[i] = BatchAnswer{BaseOffset: s.Base + survived}
			survived += int64(b.Records)
		} else if again, known := d.rejectedBefore(run.Partition, position); known {
			closeSpan()
			answers[i] = again
		} else if answers[i] = d.admit(p, b, open); answers[i].Err != nil {
			closeSpan()
			d.reject(batchKey{run.Partition, position}, answers[i])
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

func (d *decision) survivor(at segments.Partition, position int64) *Span {
	if d.prior == nil {
		return nil
	}
	return d.prior.span(at, position)
}

func (d *decision) rejectedBefore(at segments.Partition, position int64) (BatchAnswer, bool) {
	if d.prior == nil {
		return BatchAnswer{}, false
	}
	answer, known := d.prior.rejected[batchKey{at, position}]
	return answer, known
}

func (d *decision) reject(key batchKey, answer BatchAnswer) {
	if d.rejected == nil {
		d.rejected = map[batchKey]BatchAnswer{}
	}
	d.rejected[key] = answer
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
