package index

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"
	"unsafe"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// footer says where the bytes of a span of a merge lie: in which blocks of a merged segment, or, if
// the span stands for others, in which spans. It is shared and never changed.
type footer struct {
	blocks []segments.Block
	spans  []coordinator.Span // of an index object; then there are no blocks
}

const (
	blockBytes     = int64(unsafe.Sizeof(segments.Block{}))
	spanBytes      = int64(unsafe.Sizeof(coordinator.Span{}))
	footerOverhead = 256 // what a footer costs beside its blocks
)

func (f *footer) size() int64 {
	return blockBytes*int64(cap(f.blocks)) + spanBytes*int64(cap(f.spans)) + footerOverhead
}

// from returns the spans from the one on that holds an offset, or the first behind it.
func (f *footer) from(offset int64) []coordinator.Span {
	return f.spans[sort.Search(len(f.spans), func(i int) bool { return f.spans[i].Last >= offset }):]
}

// footers reads the footers of merged segments, and index objects, as they are needed, each once
// however many want it, and keeps those that were needed last.
type footers struct {
	store   segments.Store
	fetcher *fetcher // whose room they take, and which waits for them
	cache   *cache[segments.ID, *footer]
	metrics *metrics

	mu      sync.Mutex
	flights map[segments.ID]*flight[*footer]
	broken  map[segments.ID]broken
}

func newFooters(opts Options, f *fetcher, m *metrics) *footers {
	return &footers{
		store: opts.Store, fetcher: f, cache: newCache[segments.ID, *footer](opts.FooterBytes, 0), metrics: m,
		flights: map[segments.ID]*flight[*footer]{}, broken: map[segments.ID]broken{},
	}
}

// get returns the footer of the merged segment that a span is of, or what the index object lists
// that it stands for.
func (s *footers) get(ctx context.Context, p segments.Partition, span *coordinator.Span) (*footer, error) {
	if f := s.cache.get(span.Segment); f != nil {
		return f, nil
	}
	if fl := s.underway(span.Segment); fl != nil {
		return arrive(ctx, fl)
	}
	release, err := s.fetcher.room.acquire(ctx, s.weight(span), true)
	if err != nil {
		return nil, err
	}
	return arrive(ctx, s.launch(p, *span, release))
}

// ready returns the footer if it is at hand. Otherwise it begins to read it, if there is room now,
// for somebody who comes later.
func (s *footers) ready(p segments.Partition, span *coordinator.Span) *footer {
	f := s.cache.get(span.Segment)
	if f == nil && s.underway(span.Segment) == nil {
		if release, ok := s.fetcher.room.tryAhead(s.weight(span), true); ok {
			s.launch(p, *span, release)
		}
	}
	return f
}

// weight is what reading a footer takes of FetchBytes.
func (s *footers) weight(span *coordinator.Span) int64 {
	if span.Listed > 0 {
		return 2 * spanBytes * int64(span.Listed)
	}
	return 2 * segments.SuffixFor(span.Length)
}

func (s *footers) underway(id segments.ID) *flight[*footer] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join(id)
}

// join is underway for those who hold mu.
func (s *footers) join(id segments.ID) *flight[*footer] {
	if fl := s.flights[id]; fl != nil {
		return fl
	}
	if b, ok := s.broken[id]; ok {
		if time.Now().Before(b.until) {
			return landed[*footer](nil, b.err)
		}
		delete(s.broken, id)
	}
	return nil
}

// launch begins to read a footer, unless it is under way or there by now.
func (s *footers) launch(p segments.Partition, span coordinator.Span, release func()) *flight[*footer] {
	s.mu.Lock()
	defer s.mu.Unlock()
	fl := s.join(span.Segment)
	if fl == nil {
		if f := s.cache.get(span.Segment); f != nil {
			fl = landed(f, nil)
		}
	}
	if fl != nil {
		release()
		return fl
	}
	fl = &flight[*footer]{done: make(chan struct{})}
	if !s.fetcher.spawn(release, func(ctx context.Context) { s.read(ctx, p, &span, fl) }) {
		return landed[*footer](nil, ErrClosed)
	}
	s.flights[span.Segment] = fl
	return fl
}

func (s *footers) load(ctx context.Context, p segments.Partition, span *coordinator.Span) (*footer, error) {
	if span.Listed > 0 {
		spans, err := coordinator.ReadIndex(ctx, s.store, p, span)
		return &footer{spans: spans}, err
	}
	blocks, err := segments.ReadBlocks(ctx, s.store, span.Segment, segments.SuffixFor(span.Length))
	return &footer{blocks: blocks}, err
}

// read reads a footer and ends its flight.
func (s *footers) read(ctx context.Context, p segments.Partition, span *coordinator.Span, fl *flight[*footer]) {
	began := time.Now()
	found, err := s.load(ctx, p, span)
	s.metrics.footers.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		fl.value = found
		s.cache.put(span.Segment, fl.value, false)
	case errors.Is(err, segments.ErrCorrupt), errors.Is(err, segments.ErrMagic), errors.Is(err, segments.ErrVersion),
		errors.Is(err, segments.ErrRange),
		errors.Is(err, coordinator.ErrMalformed):
		fl.err = describe(p, *span, fmt.Errorf("%w: %w", ErrCorrupt, err))
		s.fetcher.corrupt(p, *span, err)
	default:
		fl.err = describe(p, *span, err)
	}
	s.mu.Lock()
	delete(s.flights, span.Segment)
	if errors.Is(fl.err, ErrCorrupt) {
		remember(s.broken, span.Segment, fl.err)
	}
	s.mu.Unlock()
	close(fl.done)
}
