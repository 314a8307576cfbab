package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
)

// A small segment has no object of its own: the journal object that has its fact carries it. It is
// committed first, and then put once instead of twice. The journal takes one at a time, so one
// segment of a writer is carried at a time; meanwhile the next is collected.
//
// A life that ends in between leaves a commit whose bytes may come or not. The next life finds out:
// resolve. If the node died, others do: missed.

// mayCarry says whether a collection is small enough to be carried.
func (w *Writer) mayCarry(s *segment) bool { return s.bytes <= w.opts.CarryBytes }

// carriedOff says that a segment is carried no more, or never will be: the next one may be.
func (w *Writer) carriedOff(s *segment) {
	w.mu.Lock()
	if w.carrying == s {
		w.carrying = nil
	}
	w.mu.Unlock()
	w.poke()
}

// place sees to it that the segment can be committed: it is put, or the next object of the journal
// will carry it.
func (t *committer) place(s *segment) error {
	if s.carry {
		if err := t.board(s); err != nil || s.carriage != nil {
			return err
		}
	} else if _, _, carried := s.id.Carrier(); carried {
		if err := t.resolve(s); err != nil {
			return err
		}
	}
	select {
	case <-s.stored:
		return s.putErr
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

// board waits for the right to the next object of the journal.
func (t *committer) board(s *segment) error {
	c, err := t.life.Carry(t.ctx, t.w.node.Now())
	if err != nil {
		return err
	}
	if c == nil {
		t.w.putAlone(s, t.w.node.Now())
		return nil
	}
	s.id, s.carry = c.ID(), false
	if err := s.encode(); err != nil {
		c.Release()
		return err
	}
	s.carriage = c
	return nil
}

// resolve finds out what became of a segment that an earlier life was to carry, or did. If it is in
// the journal, and this incarnation needs it, then it is put. If it is not then it never will be,
// since its chain is sealed by now; if a recovery has cut it off then it is about to be deleted.
// Then it gets an object of its own, under another id.
func (t *committer) resolve(s *segment) error {
	for n := 0; ; n++ {
		there, err := t.life.Carries(t.ctx, s.id, true)
		switch {
		case err == nil && there && t.counts(s):
			return nil
		case err == nil:
			s.tried = s.tried && there
			s.unpack()
			t.w.putAlone(s, s.id.Time())
			return nil
		case lifeOver(err), errors.Is(err, coordinator.ErrCarrierGone), time.Since(s.sealed) > commitDeadline:
			return err
		}
		if retry.Told(n) {
			t.w.opts.Logger.Warn("looking for a segment that the journal was to carry failed, trying again",
				"segment", s.id, "attempt", n+1, "error", err)
		}
		if err := backoff.Pause(t.ctx, n); err != nil {
			return err
		}
	}
}

// counts says whether the object that carries a segment is kept: its commit was asked for in this
// very incarnation, or is among what that has recovered.
func (t *committer) counts(s *segment) bool {
	return s.triedIn == t.life.Incarnation() || slices.ContainsFunc(s.parts, func(p part) bool {
		return t.w.view.HasSpan(p.partition, p.floor, s.id)
	})
}

// putAlone gives the segment an object of its own after all. What may have been committed under
// another id keeps the time of that: the coordinator has to refuse it when it is too old, since
// then a merge may have taken what was committed, and no view tells any more.
func (w *Writer) putAlone(s *segment, sealed time.Time) {
	s.carry = false
	w.carriedOff(s)
	s.id = segments.NewID(sealed)
	s.stored = make(chan struct{})
	w.budget.spend(1, time.Now())
	w.mu.Lock()
	w.putting++
	w.mu.Unlock()
	w.running.Go(func() { w.store(s) })
}

// unpack takes the batches out of the object again, to be encoded under another id.
func (s *segment) unpack() {
	for i := range s.parts {
		p := &s.parts[i]
		for j := range p.items {
			it := &p.items[j]
			p.batches = append(p.batches, s.object[it.position:it.position+int64(it.commit.Length)])
		}
	}
}

// releaseCarriage gives up the right to the journal object that was to carry the segment, if it
// still has it.
func (w *Writer) releaseCarriage(s *segment) {
	if s.carriage != nil {
		s.carriage.Release()
		s.carriage = nil
	}
	w.carriedOff(s)
}

// missedFor is how long a commit may be without its bytes while its writer is known to live, or
// nobody knows, and while the bucket answers: longer than a put that is slow.
const missedFor = 10 * time.Second

var errNeverPut = errors.New("a commit waits for a segment that its writer has not put")

// inBucket splits what others committed: what is in the bucket can be settled by anybody, and what
// a journal object is to carry that is not there is missing. What cannot be looked for is neither.
func inBucket(entries []coordinator.Entry, carries func(segments.ID) (bool, error)) (there []coordinator.Entry,
	missing []segments.ID) {
	for _, e := range entries {
		if e.Fact.Commit == nil {
			there = append(there, e)
			continue
		}
		id := e.Fact.Commit.Segment
		_, _, carried := id.Carrier()
		found, err := !carried, error(nil)
		if carried {
			found, err = carries(id)
		}
		switch {
		case found:
			there = append(there, e)
		case err == nil:
			missing = append(missing, id)
		}
	}
	return there, missing
}

// missing are commits without their bytes, and since when.
type missing map[segments.ID]time.Time

// missed takes in which commits are without their bytes. Behind such a commit everybody waits. If
// its writer is dead, or too slow, then the life is given up, and with it the incarnation: only a
// recovery can tell that the bytes do not come.
func (w *Writer) missed(l life, ids []segments.ID) {
	before := w.missing
	w.missing = missing{}
	for _, id := range ids {
		since, known := before[id]
		if !known {
			since = time.Now()
		}
		w.missing[id] = since
		of, _, _ := id.Carrier()
		if waited := time.Since(since); waited > missedFor || !w.node.Alive(of.String()) {
			l.Abandon(fmt.Errorf("%w: %s, for %s", errNeverPut, id, helpAge+waited))
			return
		}
	}
}

// settled has the segment's fact journaled, with its bytes if they are to be carried.
func (s *segment) settled(ctx context.Context, l life, e coordinator.Entry) error {
	if s.carriage != nil {
		return s.carriage.Settle(ctx, e, s.object)
	}
	return l.Settle(ctx, e)
}
