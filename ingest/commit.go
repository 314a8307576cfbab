package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
)

// commitDeadline is how long after its sealing a segment may still be put and committed: longer
// than clients wait, and well below the coordinator's own deadline (five minutes), which goes by
// another clock.
const commitDeadline = 90 * time.Second

// errLifeOver ends a committer.
var errLifeOver = errors.New("the life is over")

// commit takes the sealed segments in their order through one life of the node after another, until
// there are no more.
func (w *Writer) commit() {
	var unanswered []*segment
	for {
		l, err := w.node.Life(w.ctx)
		if w.ctx.Err() != nil {
			err = context.Cause(w.ctx)
		}
		if err != nil {
			w.abandon(unanswered, err)
			return
		}
		t := w.begin(l, unanswered)
		over := t.run()
		if unanswered = t.end(); over && len(unanswered) == 0 {
			w.cancel(ErrClosed) // all is answered; nobody needs help from us any more
			return
		}
		w.awaitEnd(l)
		w.metrics.lives.Inc()
		w.opts.Logger.Warn("the node's life has ended, committing again in the next", "segments", len(unanswered))
	}
}

// awaitEnd waits until the node has noticed as well that its life is over, so that the next is
// another; not for ever, in case it never does.
func (w *Writer) awaitEnd(l life) {
	select {
	case <-l.Ended():
	case <-w.ctx.Done():
	case <-time.After(backoff.First):
	}
}

// abandon answers everything with err, also what is still to come: there will be no life to commit
// it in.
func (w *Writer) abandon(unanswered []*segment, err error) {
	w.fail(err)
	for _, s := range unanswered {
		w.refuse(s, err)
	}
	for s := range w.sealed {
		w.refuse(s, err)
	}
}

// committer commits the writer's segments in one life of the node.
type committer struct {
	w        *Writer
	life     life
	ctx      context.Context // ends with the life, or the writer
	cancel   context.CancelCauseFunc
	segments []*segment // taken on and perhaps not answered, in the order of sealing
	settling sync.WaitGroup
	watching sync.WaitGroup
}

// begin takes the unanswered segments over from the life before.
func (w *Writer) begin(l life, unanswered []*segment) *committer {
	t := &committer{w: w, life: l, segments: unanswered}
	t.ctx, t.cancel = context.WithCancelCause(w.ctx)
	t.watching.Go(func() {
		select {
		case <-l.Ended():
			t.cancel(errLifeOver)
		case <-t.ctx.Done():
		}
	})
	return t
}

// run commits until the life ends (false) or there is nothing more to come (true). Commits that it
// made may still be settling.
func (t *committer) run() (over bool) {
	for _, s := range t.segments {
		if !t.commit(s) {
			return false
		}
	}
	for {
		select {
		case s, ok := <-t.w.sealed:
			if !ok {
				return true
			}
			t.segments = append(answeredOff(t.segments), s)
			if !t.commit(s) {
				return false
			}
		case <-t.ctx.Done():
			return false
		}
	}
}

// answeredOff drops answered segments from the front. Most answers come in order, so this keeps the
// list short.
func answeredOff(list []*segment) []*segment {
	n := 0
	for n < len(list) && list[n].answered.Load() {
		n++
	}
	return slices.Delete(list, 0, n)
}

// end waits for what is settling, and returns what the next life has to commit again.
func (t *committer) end() (unanswered []*segment) {
	t.settling.Wait()
	t.cancel(errLifeOver)
	t.watching.Wait()
	unanswered = slices.DeleteFunc(t.segments, func(s *segment) bool { return s.answered.Load() })
	for _, s := range unanswered {
		t.w.releaseCarriage(s)
	}
	return unanswered
}

// commit waits for the segment's put, gets offsets for it and starts to settle those. It returns
// false if the life ended before that.
func (t *committer) commit(s *segment) bool {
	switch err := t.place(s); {
	case lifeOver(err):
		t.cancel(errLifeOver)
		return false
	case t.ctx.Err() != nil:
		return false
	case err != nil:
		t.w.refuse(s, err)
		return true
	}
	if t.giveUp(s); s.unanswered() == 0 {
		t.w.releaseCarriage(s)
		t.w.finish(s)
		return true
	}
	s.leaveOut()
	for n := 0; ; n++ {
		answer, err := t.life.Commit(t.ctx, s.request)
		s.triedIn = t.life.Incarnation()
		s.tried = s.tried || !errors.Is(err, coordinator.ErrTooOld) && !errors.Is(err, coordinator.ErrMalformed)
		switch {
		case err == nil:
			if err = s.take(answer); err != nil {
				t.w.refuse(s, err)
				return true
			}
			s.lap(t.w.metrics.commit)
			t.settling.Go(func() { t.settle(s, answer.Entry) })
			return true
		case lifeOver(err):
			t.cancel(errLifeOver)
			return false
		case t.ctx.Err() != nil:
			return false
		case errors.Is(err, coordinator.ErrTooOld),
			errors.Is(err, coordinator.ErrMalformed),
			time.Since(s.sealed) > commitDeadline:
			t.w.refuse(s, err)
			return true
		}
		t.w.metrics.commitRetries.Inc()
		if retry.Told(n) {
			t.w.opts.Logger.Warn(
				"committing a segment failed, trying again",
				"segment",
				s.id,
				"attempt",
				n+1,
				"error",
				err,
			)
		}
		if backoff.Pause(t.ctx, n) != nil {
			return false
		}
	}
}

// giveUp answers the parts of which nobody can tell any more whether they were committed. A
// recovery knows a commit again by its spans, or by the producers of its batches. If records above
// the part's floor were deleted since the first try, the spans may be gone with them, and a commit
// made again would bring deleted records back.
func (t *committer) giveUp(s *segment) {
	for i := range s.parts {
		p := &s.parts[i]
		info, _ := t.w.view.Partition(p.partition)
		switch {
		case !s.tried:
			p.floor = info.HighWatermark
		case s.triedIn != t.life.Incarnation() && !p.answered && info.LogStart > p.floor && !p.recognizable():
			err := s.refusal(errDeletedSince)
			t.w.opts.Logger.Error("a part of a segment was not committed again", "segment", s.id,
				"partition", p.partition, "batches", len(p.items), "error", err)
			t.w.answerPart(s, p, func(*item) Result { return Result{BaseOffset: -1, LogStartOffset: -1, Err: err} })
		}
	}
}

// errDeletedSince says why a part is not committed again.
var errDeletedSince = errors.New("there was a recovery, and records were deleted since it was first committed")

// leaveOut takes out of the request what has its answer from the life before. The coordinator knows
// it again by its spans only while those are there: if its records have been deleted since, it
// would give them new offsets, and they would be back.
func (s *segment) leaveOut() {
	if !slices.ContainsFunc(s.parts, func(p part) bool { return p.answered }) {
		return
	}
	answered := map[segments.Partition]bool{}
	for i := range s.parts {
		answered[s.parts[i].partition] = s.parts[i].answered
	}
	s.request.Runs = slices.DeleteFunc(
		s.request.Runs,
		func(r coordinator.CommitRun) bool { return answered[r.Partition] },
	)
}

// take notes the answer for each batch that was asked for.
func (s *segment) take(answer coordinator.CommitAnswer) error {
	p, i := 0, 0
	skip := func() {
		for p < len(s.parts) && (s.parts[p].answered || i == len(s.parts[p].items)) {
			p, i = p+1, 0
		}
	}
	for _, run := range answer.Runs {
		for _, a := range run {
			skip()
			if p == len(s.parts) {
				return fmt.Errorf("%w: the coordinator answered more batches than were committed", ErrNotWritten)
			}
			s.parts[p].items[i].answer = refusedEnding(&s.parts[p].items[i].commit, a, answer.Endings)
			i++
		}
	}
	if skip(); p < len(s.parts) {
		return fmt.Errorf("%w: the coordinator answered fewer batches than were committed", ErrNotWritten)
	}
	return nil
}
