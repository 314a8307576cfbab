package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"firn.dev/coordinator/spans"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// chunk is the checked bytes of one piece: whole batches with their offsets.
type chunk struct {
	at     int // index of the range
	bytes  []byte
	starts []int32 // where each batch begins
	last   int64   // offset
	from   int64   // offset before which everything was given out
	to     int64   // offset from which on nothing is to be given out
	flight *flight

	// aborted says whether a batch is of an aborted transaction, or a marker, and left out
	aborted func(h *batch.Header) bool
}

// release says that nobody needs the bytes any more.
func (c *chunk) release() { c.flight.release() }

// flight is a get on its way. Chunks and err are there when done is closed.
type flight struct {
	get
	weight int64
	room   *semaphore.Weighted
	done   chan struct{}
	chunks []chunk
	left   atomic.Int32 // chunks that somebody needs
	err    error
}

func (f *flight) release() {
	if f.left.Add(-1) <= 0 {
		f.room.Release(f.weight)
	}
}

// fetcher reads what a planner plans, several gets at once, and checks it.
type fetcher struct {
	store    segments.Store
	parallel int
	ahead    int64               // bytes
	room     *semaphore.Weighted // of ahead
	read     *atomic.Int64       // bytes that came from the store
}

// chunks calls take with the chunks of all gets in the order of the plan, until it returns an
// error. take or who it gives the chunk to releases it.
func (f *fetcher) chunks(ctx context.Context, p *planner, take func(*chunk) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	flights := make(chan *flight, f.parallel)
	var planning sync.WaitGroup
	var planned error
	planning.Go(func() {
		defer close(flights)
		planned = f.begin(ctx, p, flights)
	})
	err := f.hand(ctx, flights, take)
	cancel()
	for fl := range flights { // those that nobody wants any more
		<-fl.done
		f.room.Release(fl.weight)
	}
	planning.Wait()
	if err == nil {
		err = planned
	}
	return err
}

// begin begins gets, in order, as far ahead as there is room.
func (f *fetcher) begin(ctx context.Context, p *planner, flights chan<- *flight) error {
	slots := make(chan struct{}, f.parallel)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		gets, err := p.gets(ctx)
		if err != nil || len(gets) == 0 {
			return err
		}
		for _, g := range gets {
			if len(g.parts) == 0 {
				continue
			}
			fl := &flight{
				get:    g,
				weight: min(g.length, f.ahead),
				room:   f.room,
				done:   make(chan struct{}),
			} // a larger one waits for all of the room
			if err := f.room.Acquire(ctx, fl.weight); err != nil {
				return context.Cause(ctx)
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				f.room.Release(fl.weight)
				return context.Cause(ctx)
			}
			running.Go(func() {
				defer func() { <-slots }()
				defer close(fl.done)
				fl.err = f.fetch(ctx, fl)
			})
			select {
			case flights <- fl:
			case <-ctx.Done():
				<-fl.done
				f.room.Release(fl.weight)
				return context.Cause(ctx)
			}
		}
	}
}

// hand hands chunks on.
func (f *fetcher) hand(ctx context.Context, flights <-chan *flight, take func(*chunk) error) error {
	for fl := range flights {
		select {
		case <-fl.done:
		case <-ctx.Done():
			<-fl.done
		}
		if fl.err != nil || len(fl.chunks) == 0 {
			f.room.Release(fl.weight)
			if fl.err != nil {
				return fl.err
			}
			continue
		}
		for i := range fl.chunks {
			if err := take(&fl.chunks[i]); err != nil {
				for range fl.chunks[i+1:] {
					fl.release()
				}
				return err
			}
		}
	}
	return nil
}

// fetch reads and checks what a get is for.
func (f *fetcher) fetch(ctx context.Context, fl *flight) error {
	length := fl.length
	if fl.whole != nil {
		length = -1
	}
	body, err := f.store.Get(ctx, fl.segment.Key(), fl.position, length)
	if err == nil && length >= 0 && int64(len(body)) != length {
		err = fmt.Errorf("the store gave %d bytes for %d", len(body), length)
	}
	if errors.Is(err, segments.ErrRange) {
		err = fmt.Errorf("%w: %w", spans.ErrCorrupt, err)
	}
	if err == nil && fl.whole != nil {
		err = fl.decode(body)
	}
	if err != nil {
		return damaged(&fl.parts[0].piece, fl.segment, err)
	}
	f.read.Add(int64(len(body)))
	fl.chunks = make([]chunk, len(fl.parts))
	for i := range fl.parts {
		one := &fl.parts[i]
		b := body[one.piece.Position-fl.position:][:one.piece.Length:one.piece.Length]
		starts, err := spans.Check(&one.piece, b, make([]int32, 0, 1+len(b)>>14))
		if err != nil {
			return damaged(&one.piece, fl.segment, err)
		}
		fl.chunks[i] = chunk{at: one.at, bytes: b, starts: starts, last: one.piece.Last, flight: fl}
	}
	fl.left.Store(int32(len(fl.chunks)))
	return nil
}

// decode finds the pieces in a merged segment that was read as a whole.
func (f *flight) decode(object []byte) error {
	pieces, err := spans.PiecesIn(object, f.whole)
	if err != nil {
		return err
	}
	at := f.parts[0].at
	f.parts = f.parts[:0]
	for _, p := range pieces {
		f.parts = append(f.parts, part{at, p})
	}
	return nil
}

// damaged says where what could not be read lies, and what to do about it if that is damaged.
func damaged(p *spans.Piece, id segments.ID, err error) error {
	at := p.Span
	at.Segment = id
	err = fmt.Errorf("%s: %w", id.Key(), spans.Describe(&at, err))
	if errors.Is(err, spans.ErrCorrupt) {
		err = fmt.Errorf(
			"%w (restore the object from a copy of the bucket, or replay what is before and behind it)",
			err,
		)
	}
	return err
}
