package ingest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// helpAge is how long a commit may await its confirmation before others help. Chance adds up to as
// much, so that not all nodes come at once.
const helpAge = time.Second

// help settles what others committed and left behind, most likely because they died: its facts are
// in the commit stream and its bytes in the bucket, and readers and producers of its partitions
// wait behind it.
func (w *Writer) help() {
	for w.ctx.Err() == nil {
		entries, err := w.view.Stalled(w.ctx, helpAge+rand.N(helpAge))
		if err == nil {
			w.helpWith(entries)
		}
		// A settled commit shows in the view a little later, and our own commits may take their time:
		// look again, but not at once.
		select {
		case <-time.After(helpAge / 2):
		case <-w.ctx.Done():
		}
	}
}

// helpWith settles those of the entries that are not in our own hands. Stream numbers begin anew in
// each incarnation, so an entry may only be settled in a life of its own.
func (w *Writer) helpWith(entries []coordinator.Entry) {
	l, err := w.node.Life(w.ctx)
	if err != nil {
		return
	}
	theirs := slices.DeleteFunc(slices.Clone(entries), func(e coordinator.Entry) bool {
		return e.Fact == nil || e.Fact.Incarnation != l.Incarnation() || w.ours.has(e.Seq)
	})
	theirs, missing := inBucket(theirs, func(id segments.ID) (bool, error) { return l.Carries(w.ctx, id, false) })
	w.missed(l, missing)
	if len(theirs) == 0 {
		return
	}
	if err := l.Settle(w.ctx, theirs...); err != nil {
		if !lifeOver(err) && w.ctx.Err() == nil {
			w.opts.Logger.Warn("settling what others left behind failed", "entries", len(theirs), "error", err)
		}
		return
	}
	w.metrics.helped.Add(float64(len(theirs)))
	w.opts.Logger.Info("settled what others left behind", "entries", len(theirs))
}

// seqSet is the stream numbers that this writer is settling itself.
type seqSet struct {
	mu   sync.Mutex
	seqs map[uint64]struct{}
}

func (s *seqSet) add(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seqs == nil {
		s.seqs = make(map[uint64]struct{})
	}
	s.seqs[seq] = struct{}{}
}

func (s *seqSet) remove(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seqs, seq)
}

func (s *seqSet) has(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.seqs[seq]
	return ok
}
