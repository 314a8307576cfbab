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
	bytes     int // of entries, about
	keepBytes int
	followers map[chan struct{}]struct{}
}

// DefaultRetainBytes is how much of the commit stream is kept: room for some ten seconds of a hundred commits per second into a thousand partitions each, in which a node
// reads the bucket before it follows.
const DefaultRetainBytes = 64 << 20

func newStream(retain, keepBytes int) stream {
	return stream{first: 1, retain: retain, keepBytes: keepBytes, followers: map[chan struct{}]struct{}{}}
}

// last is the number of the newest entry.
func (s *stream) last() uint64 { return s.first + uint64(len(s.entries)) - 1 }

// append numbers e and wakes the followers. Nothing from unconfirmed on is trimmed.
func (s *stream) append(e Entry, unconfirmed uint64) Entry {
	e.Seq = s.last() + 1
	s.entries = append(s.entries, e)
	s.bytes += e.weight()
	if len(s.entries) >= 2*s.retain || s.bytes >= 2*s.keepBytes {
		s.trim(unconfirmed)
	}
	s.wake()
	return e
}

// trim drops the oldest entries, if they are many: it copies those that stay. Nothing from unconfirmed on is dropped.
func (s *stream) trim(unconfirmed uint64) {
	most := int(max(unconfirmed, s.first) - s.first)
	if most < len(s.entries)/4 {
		return
	}
	drop := 0
	for drop < most && (len(s.entries)-drop > s.retain || s.bytes > s.keepBytes) {
		s.bytes -= s.entries[drop].weight()
		drop++
	}
	s.entries = append(make([]Entry, 0, 2*(len(s.entries)-drop)), s.entries[drop:]...)
	s.first += uint64(drop)
}

// weight is how much memory an entry takes, about.
func (e *Entry) weight() int {
	const entry, span, batch, offset = 64, 160, 48, 48
	n := entry + 8*len(e.Confirmed)
	switch f := e.Fact; {
	case f == nil:
	case f.Commit != nil:
		n += span * len(f.Commit.Spans)
		for i := range f.Commit.Spans {
			n += batch*len(f.Commit.Spans[i].Producers) + 2*batch*len(f.Commit.Spans[i].Keyed)
		}
	case f.LogStart != nil:
		n += offset * len(f.LogStart.Offsets)
	case f.Offsets != nil:
		n += 2 * offset * len(f.Offsets.Partitions)
	case f.Merge != nil:
		n += span * len(f.Merge.Spans)
	}
	return n
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
