package ingest

import (
	"context"
	"time"

	"firn.dev/segments"
)

// flush seals collections, one after another, and has each put by a goroutine of its own. It
// decides alone, so that the order of sealing is one order; no timer runs while there is nothing to
// seal.
func (w *Writer) flush() {
	defer close(w.sealed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s, wait, over := w.next(time.Now())
		switch {
		case s != nil:
			w.launch(s)
		case over:
			return
		case wait > 0:
			timer.Reset(wait)
			select {
			case <-w.wake:
				timer.Stop()
			case <-timer.C:
			}
		default:
			<-w.wake
		}
	}
}

// next takes what is to be sealed now. If nothing is, it says how long to wait: 0 means until the
// next poke. over means that nothing will come any more.
func (w *Writer) next(now time.Time) (s *segment, wait time.Duration, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := w.ctx.Err() != nil
	switch {
	case w.open == nil && len(w.full) == 0:
		return nil, 0, w.closing
	case !failed && (w.putting >= w.opts.Puts || w.unanswered >= maxUnanswered):
		return nil, 0, false
	case len(w.full) > 0:
		s, w.full[0], w.full = w.full[0], nil, w.full[1:]
	default:
		if at := w.due(w.open.first, now); at.After(now) && !w.closing && !failed {
			return nil, at.Sub(now), false
		}
		s, w.open = w.open, nil
	}
	w.crowd = s.appends
	w.quiet.sealed(now)
	w.unanswered++
	if s.carry = w.mayCarry(s) && w.carrying == nil; s.carry {
		w.carrying = s
	} else {
		w.putting++
	}
	return s, 0, false
}

// launch seals the collection and starts its put.
func (w *Writer) launch(s *segment) {
	s.sealed = time.Now()
	s.byPart = nil
	s.stored = make(chan struct{})
	w.budget.spend(s.cost(), s.sealed)
	s.mark = s.first
	s.lap(w.metrics.collect)
	w.metrics.segmentBytes.Observe(float64(s.bytes))
	if s.carry {
		close(s.stored)
		w.sealed <- s
		return
	}
	s.id = segments.NewID(w.node.Now())
	w.sealed <- s // never blocks: it holds as many as may be unanswered
	w.running.Go(func() { w.store(s) })
}

// store encodes the segment and puts it, in time for its commit.
func (w *Writer) store(s *segment) {
	defer func() {
		close(s.stored)
		w.mu.Lock()
		w.putting--
		w.mu.Unlock()
		w.poke()
	}()
	ctx, cancel := context.WithDeadline(w.ctx, s.sealed.Add(commitDeadline))
	defer cancel()
	if s.putErr = s.encode(); s.putErr != nil {
		return
	}
	s.putErr = w.puts.put(ctx, &w.running, s)
	s.lap(w.metrics.put)
}
