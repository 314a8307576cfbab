package coordinator

import (
	"context"
	"iter"
)

// stream is the embedded coordinator's commit stream: entries numbered from 1 in each incarnation. The newest are kept, and all from the
// oldest unconfirmed fact on. The owner's mutex guards it; only next and its signal channels are used outside.
type stream struct {
	first     uint64 // number of entries[0]
	entries   []Entry
	retain    int
	followers map[chan struct{}]struct{}
}

func newStream(retain int) stream {
	return stream{first: 1, retain: retain, followers: map[chan struct{}]struct{}{}}
}

// last is the number of the newest entry.
func (s *stream) last() uint64 { return s.first + uint64(len(s.entries)) - 1 }

// append numbers e and wakes the followers. Nothing from unconfirmed on is trimmed.
func (s *stream) append(e Entry, unconfirmed uint64) Entry {
	e.Seq = s.last() + 1
	s.entries = append(s.entries, e)
	// Trimming in large steps keeps it cheap: it copies as many entries as it drops.
	if len(s.entries) >= 2*s.retain {
		drop := uint64(len(s.entries) - s.retain)
		if s.first+drop > unconfirmed {
			drop = unconfirmed - min(s.first, unconfirmed)
		}
		if drop >= uint64(s.retain)/2 {
			s.entries = append(make([]Entry, 0, 2*s.retain), s.entries[drop:]...)
			s.first += drop
		}
	}
	s.wake()
	return e
}

func (s *stream) wake() {
	for c := range s.followers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// after appends entries behind number seq to buf, up to its capacity.
func (s *stream) after(seq uint64, buf []Entry) ([]Entry, error) {
	if seq+1 < s.first {
		return nil, ErrTrimmed
	}
	if seq >= s.last() {
		return buf, nil
	}
	from := s.entries[seq+1-s.first:]
	return append(buf, from[:min(len(from), cap(buf)-len(buf))]...), nil
}

// Follow implements Log.
func (e *Embedded) Follow(ctx context.Context, in Incarnation, after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		signal := make(chan struct{}, 1)
		e.mu.Lock()
		e.stream.followers[signal] = struct{}{}
		e.mu.Unlock()
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.stream.followers, signal)
		}()
		buf := make([]Entry, 0, 64)
		for {
			entries, err := e.read(in, after, buf)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
				after = entry.Seq
			}
			if len(entries) > 0 {
				continue
			}
			select {
			case <-signal:
			case <-ctx.Done():
				yield(Entry{}, ctx.Err())
				return
			}
		}
	}
}

func (e *Embedded) read(in Incarnation, after uint64, buf []Entry) ([]Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	return e.stream.after(after, buf)
}
