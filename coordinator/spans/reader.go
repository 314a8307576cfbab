package spans

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Reader streams the batches of spans from the bucket. Its memory is bounded: gets that are under
// way or waited for take Ahead bytes at most, or one get if that is larger. Zero values mean the
// defaults.
type Reader struct {
	Store    segments.Store
	GetBytes int64 // the largest get that reads several pieces; 4 MiB
	Ahead    int64 // of gets that are ahead of the consumer; 16 MiB
}

const (
	defaultGetBytes = 4 << 20
	defaultAhead    = 16 << 20
	maxFlights      = 64 // gets ahead of the consumer, however small they are
)

// Batches yields the batches of these spans of one partition, whole, with their final offsets, in
// the order of the spans. A batch is the caller's until the next is asked for: its bytes stay as
// they are, but those of a whole get stay in memory with it. On failure it yields one error, which
// names the object, and ends; segments.ErrNotFound is in it if a segment is gone, which mostly was
// merged away: look the spans up again.
func (r *Reader) Batches(ctx context.Context, list []coordinator.Span) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := stream{store: r.Store, getBytes: r.GetBytes, flights: make(chan *flight, maxFlights)}
		if s.getBytes <= 0 {
			s.getBytes = defaultGetBytes
		}
		if s.ahead = r.Ahead; s.ahead <= 0 {
			s.ahead = defaultAhead
		}
		s.room = semaphore.NewWeighted(s.ahead)
		var planner errgroup.Group
		planner.Go(func() error {
			defer close(s.flights)
			return s.plan(ctx, list)
		})
		stopped := s.hand(ctx, yield)
		cancel()
		for range s.flights { // those that nobody wants any more
		}
		err := planner.Wait()
		s.gets.Wait()
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// stream is one call of Batches.
type stream struct {
	store    segments.Store
	getBytes int64
	ahead    int64
	room     *semaphore.Weighted // of ahead
	flights  chan *flight        // in the order of the spans
	gets     sync.WaitGroup
}

// flight is a get on its way. What it returns is there when done is closed.
type flight struct {
	weight int64
	done   chan struct{}
	pieces []Piece
	body   []byte // from the first of pieces on
	err    error
}

// plan begins gets, in order, as far ahead of the consumer as there is room.
func (s *stream) plan(ctx context.Context, list []coordinator.Span) error {
	var pending []Piece // of spans before the i-th
	for i := range list {
		span := &list[i]
		if span.Version > 0 && span.Length <= s.getBytes {
			if err := errors.Join(s.ranges(ctx, pending), s.whole(ctx, span)); err != nil {
				return err
			}
			pending = nil
			continue
		}
		pieces, err := piecesOf(ctx, s.store, span)
		if err != nil {
			return errors.Join(s.ranges(ctx, pending), err)
		}
		pending = append(pending, pieces...)
		if i+1 < len(list) && list[i+1].Segment == span.Segment {
			continue // they may be one get
		}
		if err := s.ranges(ctx, pending); err != nil {
			return err
		}
		pending = nil
	}
	return nil
}

// ranges begins gets for pieces.
func (s *stream) ranges(ctx context.Context, pieces []Piece) error {
	for len(pieces) > 0 {
		n := Join(pieces, s.getBytes)
		first, last := &pieces[0], &pieces[n-1]
		length := last.Position + last.Length - first.Position
		f := &flight{pieces: pieces[:n:n], weight: length, done: make(chan struct{})}
		err := s.begin(ctx, f, func() error {
			body, err := s.store.Get(ctx, first.Segment.Key(), first.Position, length)
			if err == nil && int64(len(body)) != length {
				err = fmt.Errorf("the store gave %d bytes for %d", len(body), length)
			}
			if errors.Is(err, segments.ErrRange) {
				err = fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			f.body = body
			if err != nil {
				err = Describe(&first.Span, err)
			}
			return err
		})
		if err != nil {
			return err
		}
		pieces = pieces[n:]
	}
	return nil
}

// whole begins the get of a merged segment that is small: footer and blocks at once.
func (s *stream) whole(ctx context.Context, span *coordinator.Span) error {
	f := &flight{weight: span.Position + span.Length + segments.SuffixFor(span.Length), done: make(chan struct{})}
	return s.begin(ctx, f, func() error {
		object, err := s.store.Get(ctx, span.Segment.Key(), 0, -1)
		if err != nil {
			return Describe(span, err)
		}
		if f.pieces, err = PiecesIn(object, span); err != nil {
			return Describe(span, err)
		}
		f.body = object[f.pieces[0].Position:]
		return nil
	})
}

// begin begins a get, when there is room for it.
func (s *stream) begin(ctx context.Context, f *flight, get func() error) error {
	f.weight = min(f.weight, s.ahead) // a larger one waits for all of the room
	if s.room.Acquire(ctx, f.weight) != nil {
		return context.Cause(ctx)
	}
	select {
	case s.flights <- f:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.gets.Go(func() {
		defer close(f.done)
		f.err = get()
	})
	return nil
}

// hand hands the batches on. It says whether the consumer has had enough, or an error.
func (s *stream) hand(ctx context.Context, yield func([]byte, error) bool) (stopped bool) {
	var starts []int32
	for f := range s.flights {
		select {
		case <-f.done:
		case <-ctx.Done():
			yield(nil, context.Cause(ctx))
			return true
		}
		if f.err != nil {
			yield(nil, f.err)
			return true
		}
		for i := range f.pieces {
			p := &f.pieces[i]
			body := f.body[p.Position-f.pieces[0].Position:][:p.Length:p.Length]
			var err error
			if starts, err = Check(p, body, starts[:0]); err != nil {
				yield(nil, Describe(&p.Span, err))
				return true
			}
			for b := range Split(body, starts) {
				if !yield(b, nil) {
					return true
				}
			}
		}
		f.body = nil
		s.room.Release(f.weight)
	}
	return false
}
