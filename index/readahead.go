package index

import (
	"math"
	"sync"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

const (
	// minWindow is how far ahead of a reader is fetched first; it doubles with each read up to
	// Options.ReadAheadBytes.
	minWindow = 512 << 10
	// maxStreams is how many sequential readers are remembered, and maxAheadSpans how many spans are
	// fetched for one of them at a time.
	maxStreams    = 1024
	maxAheadSpans = 64
)

// readAhead fetches what sequential readers of the bucket will ask for next. A reader is sequential
// if it asks for the offset where an earlier read ended, or begins at the log start, so it is known
// by the place where it is expected: nothing needs to be told about clients.
type readAhead struct {
	limit   int64
	view    View
	tail    *tail
	fetcher *fetcher
	footers *footers
	metrics *metrics

	mu      sync.Mutex
	streams map[streamKey]stream
	ring    [maxStreams]streamKey // of the keys of streams, oldest at turn
	turn    int
}

// streamKey is where a reader is expected next.
type streamKey struct {
	partition segments.Partition
	offset    int64
}

// stream is how far ahead of a reader was fetched.
type stream struct {
	window int64 // bytes to be ahead
	bytes  int64 // that were fetched and not yet read
	until  int64 // offset behind them
}

func newReadAhead(limit int64, view View, t *tail, f *fetcher, s *footers, m *metrics) *readAhead {
	return &readAhead{limit: limit, view: view, tail: t, fetcher: f, footers: s, metrics: m,
		streams: map[streamKey]stream{}}
}

// note takes note of a read of some bytes, from offset to next, and fetches what follows if that
// looks useful.
func (a *readAhead) note(p segments.Partition, offset, next, read int64, atStart bool) {
	if a.limit == 0 {
		return
	}
	s, sequential := a.recall(streamKey{p, offset})
	if sequential || atStart {
		s.window = min(max(2*s.window, minWindow), a.limit)
		s.bytes -= read
		if s.until <= next {
			s.until, s.bytes = next, 0
		}
		if s.bytes <= s.window/2 { // half a window at a time, so that gets are large
			a.fetch(p, &s)
		}
	}
	a.remember(streamKey{p, next}, s)
}

// fetch begins to fetch the rest of the window, as far as there is room for it.
func (a *readAhead) fetch(p segments.Partition, s *stream) {
	w := plan{next: s.until, limit: math.MaxInt64, left: s.window - s.bytes, pieces: make([]piece, 0, maxAheadSpans)}
	// A footer that is not at hand ends the plan. It is on its way then, and the next read goes on
	// from there.
	_ = w.fill(a.view.Spans(p, s.until, maxAheadSpans), func(span *coordinator.Span) (*footer, error) {
		return a.footers.ready(p, span), nil
	})
	missing := make([]piece, 0, len(w.pieces))
	ahead := s.bytes
	for i := range w.pieces {
		next := &w.pieces[i]
		if ahead > 0 && ahead+next.Length > a.limit {
			w.pieces = w.pieces[:i]
			break
		}
		ahead += next.Length
		if a.tail.get(next.Span) == nil && a.fetcher.cache.get(*next) == nil {
			missing = append(missing, *next)
		}
	}
	begun := a.fetcher.startAhead(p, missing)
	a.metrics.ahead.Add(float64(begun))
	a.metrics.aheadSkipped.Add(float64(len(missing) - begun))
	for i := range w.pieces {
		if begun < len(missing) && w.pieces[i].Base >= missing[begun].Base {
			break // there was no room; the next read tries again from here
		}
		s.until, s.bytes = w.pieces[i].Last+1, s.bytes+w.pieces[i].Length
	}
}

func (a *readAhead) recall(at streamKey) (stream, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.streams[at]
	return s, ok
}

// remember keeps the stream for who comes next. It stays after it was found, as several readers may
// come along, until others push it out.
func (a *readAhead) remember(at streamKey, s stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.streams[at]; !known {
		delete(a.streams, a.ring[a.turn])
		a.ring[a.turn] = at
		a.turn = (a.turn + 1) % maxStreams
	}
	a.streams[at] = s
}
