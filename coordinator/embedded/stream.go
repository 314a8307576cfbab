package embedded

import (
	"context"
	"iter"

	"firn.dev/coordinator"
)

// stream is the commit stream: entries numbered from 1 in each incarnation. The newest are kept,
// and all from the oldest unconfirmed fact on. The coordinator's mutex guards it.
type stream struct {
	first     uint64 // number of entries[0]
	entries   []coordinator.Entry
	retain    int
	bytes     int // of entries, about
	keepBytes int
	followers map[chan struct{}]struct{}
}

func newStream(retain, keepBytes int) stream {
	return stream{first: 1, retain: retain, keepBytes: keepBytes, followers: map[chan struct{}]struct{}{}}
}

// last is the number of the newest entry.
func (s *stream) last() uint64 { return s.first + uint64(len(s.entries)) - 1 }

// append numbers e and wakes the followers. Nothing from unconfirmed on is trimmed.
func (s *stream) append(e coordinator.Entry, unconfirmed uint64) coordinator.Entry {
	e.Seq = s.last() + 1
	s.entries = append(s.entries, e)
	s.bytes += weight(&e)
	if len(s.entries) >= 2*s.retain || s.bytes >= 2*s.keepBytes {
		s.trim(unconfirmed)
	}
	s.wake()
	return e
}

// trim drops the oldest entries, if they are many: it copies those that stay. Nothing from
// unconfirmed on is dropped.
func (s *stream) trim(unconfirmed uint64) {
	most := int(max(unconfirmed, s.first) - s.first)
	if most < len(s.entries)/4 {
		return
	}
	drop := 0
	for drop < most && (len(s.entries)-drop > s.retain || s.bytes > s.keepBytes) {
		s.bytes -= weight(&s.entries[drop])
		drop++
	}
	s.entries = append(make([]coordinator.Entry, 0, 2*(len(s.entries)-drop)), s.entries[drop:]...)
	s.first += uint64(drop)
}

// weight is how much memory an entry takes, about.
func weight(e *coordinator.Entry) int {
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
func (s *stream) after(seq uint64, buf []coordinator.Entry) ([]coordinator.Entry, error) {
	if seq+1 < s.first {
		return nil, coordinator.ErrTrimmed
	}
	if seq >= s.last() {
		return buf, nil
	}
	from := s.entries[seq+1-s.first:]
	return append(buf, from[:min(len(from), cap(buf)-len(buf))]...), nil
}

// Follow implements coordinator.Stream.
func (e *Coordinator) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	return func(yield func(coordinator.Entry, error) bool) {
		signal := make(chan struct{}, 1)
		e.mu.Lock()
		e.stream.followers[signal] = struct{}{}
		e.mu.Unlock()
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.stream.followers, signal)
		}()
		buf := make([]coordinator.Entry, 0, 64)
		for {
			entries, err := e.read(in, after, buf)
			if err != nil {
				yield(coordinator.Entry{}, err)
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
				yield(coordinator.Entry{}, ctx.Err())
				return
			}
		}
	}
}

func (e *Coordinator) read(in coordinator.Incarnation, after uint64, buf []coordinator.Entry) ([]coordinator.Entry,
	error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	return e.stream.after(after, buf)
}
