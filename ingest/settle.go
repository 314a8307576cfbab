package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// settle has the segment's fact journaled and confirmed, and answers its batches. If the life ends
// first it leaves the rest to the next.
func (t *committer) settle(s *segment, e coordinator.Entry) {
	if e.Seq != 0 {
		t.w.keepForReaders(s, e)
		if !t.journal(s, e) {
			return
		}
	}
	t.w.releaseCarriage(s)
	s.lap(t.w.metrics.journal)
	if s.doubtful() && !t.current() {
		return
	}
	t.answer(s)
}

// doubtful says whether a batch is refused because of something that the coordinator does not know:
// a batch before it, or a transactional id as its producer knows it. Producers take that for the
// loss of records, so it has to be true: a coordinator that was given up does not know what the
// newer one has acknowledged. Every other refusal either rests on something that an older state has
// and a newer one has as well, or is tried again.
func (s *segment) doubtful() bool {
	for p := range s.parts {
		for i := range s.parts[p].items {
			it := &s.parts[p].items[i]
			err := it.answer.Err
			if errors.Is(err, coordinator.ErrOutOfOrder) || errors.Is(err, coordinator.ErrTransactionalID) ||
				errors.Is(err, coordinator.ErrTransactionState) ||
				errors.Is(err, coordinator.ErrProducerEpoch) && (it.commit.Protocol != coordinator.NotTransactional ||
					it.commit.Ending > 0) {
				return true
			}
		}
	}
	return false
}

// current makes sure that the answers are those of the newest incarnation.
func (t *committer) current() bool {
	err := untilCurrent(t.ctx, t.life)
	if lifeOver(err) {
		t.cancel(errLifeOver)
	}
	return err == nil
}

// untilCurrent asks a life whether it lives in the newest incarnation until it knows, the life is
// over, or ctx ends.
func untilCurrent(ctx context.Context, life interface{ Current(context.Context) error }) error {
	for n := 0; ; n++ {
		err := life.Current(ctx)
		if err == nil || lifeOver(err) {
			return err
		}
		if backoff.Pause(ctx, n) != nil {
			return fmt.Errorf("%w, after: %w", ctx.Err(), err)
		}
	}
}

// keepForReaders gives the segment, with its final offsets, to Options.Sealed, for readers of the
// tail. From then on its bytes stay as they are, so a segment that is given once more, or is still
// being read by the slower of two puts, is copied first.
func (w *Writer) keepForReaders(s *segment, e coordinator.Entry) {
	if w.opts.Sealed == nil || e.Fact == nil || e.Fact.Commit == nil {
		return
	}
	object := s.object
	if s.handed || s.readers.Load() > 0 || s.carriage != nil {
		object = bytes.Clone(object)
	}
	s.handed = true
	for p := range s.parts {
		for i := range s.parts[p].items {
			if it := &s.parts[p].items[i]; it.answer.Err == nil {
				batch.SetBaseOffset(object[it.position:], it.answer.BaseOffset)
			}
		}
	}
	w.opts.Sealed(e.Fact.Commit.Spans, object)
}

// journal settles the entry, trying until the life ends: its offsets are taken, and everybody
// behind them waits for it.
func (t *committer) journal(s *segment, e coordinator.Entry) bool {
	t.w.ours.add(e.Seq)
	defer t.w.ours.remove(e.Seq)
	for n := 0; ; n++ {
		err := s.settled(t.ctx, t.life, e)
		switch {
		case err == nil:
			return true
		case lifeOver(err):
			t.cancel(errLifeOver)
			return false
		case t.ctx.Err() != nil:
			return false
		}
		t.w.metrics.settleRetries.Inc()
		if retry.Told(n) {
			t.w.opts.Logger.Warn("settling a commit failed, trying again", "seq", e.Seq, "attempt", n+1, "error", err)
		}
		if backoff.Pause(t.ctx, n) != nil {
			return false
		}
	}
}

// answer answers the batches of each partition once its high watermark has passed them: there may
// be commits of other nodes before ours that are not confirmed yet. A partition that waits for
// these holds up no other.
func (t *committer) answer(s *segment) {
	if t.answerReached(s) {
		return
	}
	var waiting []segments.Partition
	for i := range s.parts {
		if !s.parts[i].answered {
			waiting = append(waiting, s.parts[i].partition)
		}
	}
	moved, stop := t.w.view.Watch(waiting...)
	defer stop()
	for !t.answerReached(s) {
		select {
		case <-moved:
		case <-t.ctx.Done():
			return
		}
	}
}

// answerReached answers the partitions whose high watermark is far enough, and returns whether all
// are answered.
func (t *committer) answerReached(s *segment) bool {
	all := true
	for i := range s.parts {
		p := &s.parts[i]
		if p.answered {
			continue
		}
		need := p.lastOffset()
		info, known := t.w.view.Partition(p.partition)
		gone := !known && t.w.view.Deleted(p.partition.Topic)
		if need >= 0 && !gone && info.HighWatermark <= need || t.ended() {
			all = false
			continue
		}
		t.w.answerPart(s, p, func(it *item) Result {
			r := Result{
				BaseOffset:     it.answer.BaseOffset,
				LogStartOffset: it.answer.LogStartOffset,
				Err:            it.answer.Err,
			}
			if gone && (r.Err == nil || errors.Is(r.Err, coordinator.ErrDuplicate)) {
				r.Err = coordinator.ErrUnknownPartition
			}
			return r
		})
	}
	if all {
		s.lap(t.w.metrics.visible)
		s.object, s.request = nil, coordinator.CommitRequest{}
		t.w.finish(s)
	}
	return all
}

// ended looks whether the life is over. Asked after a look at the view it tells whether the view
// still spoke of this life: in the next, the offsets that we were given may be somebody else's.
func (t *committer) ended() bool {
	select {
	case <-t.life.Ended():
		return true
	default:
		return false
	}
}

// refuse answers all that is unanswered of the segment with err, as soon as its put is over or has
// seen that it is in vain.
func (w *Writer) refuse(s *segment, err error) {
	<-s.stored
	w.releaseCarriage(s)
	err = s.refusal(err)
	if !errors.Is(err, ErrClosed) {
		w.opts.Logger.Error("a segment was not written", "segment", s.id, "batches", s.unanswered(), "error", err)
	}
	for i := range s.parts {
		if p := &s.parts[i]; !p.answered {
			w.answerPart(s, p, func(*item) Result { return Result{BaseOffset: -1, LogStartOffset: -1, Err: err} })
		}
	}
	w.finish(s)
}

// refusal says with err what is known of the segment. Of a commit that may have been made none of
// the errors speaks that promise that it was not.
func (s *segment) refusal(err error) error {
	switch {
	case s.tried && errors.Is(err, coordinator.ErrFenced):
		return fmt.Errorf("%w: %w", ErrInDoubt, coordinator.ErrFenced)
	case s.tried:
		return fmt.Errorf("%w: %v", ErrInDoubt, err)
	case errors.Is(err, coordinator.ErrFenced), errors.Is(err, ErrClosed):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
}

// answerPart answers every batch of the part and frees their room.
func (w *Writer) answerPart(s *segment, p *part, result func(*item) Result) {
	for i := range p.items {
		it := &p.items[i]
		r := result(it)
		w.metrics.count(r.Err)
		w.release(it.pending, int64(it.commit.Length)+batchOverhead)
		it.pending.answer(it.slot, r, s.stages)
		it.pending = nil
	}
	p.answered = true
}

// finish counts the segment as answered.
func (w *Writer) finish(s *segment) {
	s.answered.Store(true)
	w.metrics.total.Observe(since(s.first))
	w.mu.Lock()
	w.unanswered--
	w.mu.Unlock()
	w.poke()
}
