package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"firn/coordinator"
	"firn/segments"
)

const (
	// maxGetBytes is how far adjacent spans are joined into one get.
	maxGetBytes = 4 << 20
	// minGetWeight is what a get counts at least for, against FetchBytes, which so bounds the number of gets as well.
	minGetWeight = 256 << 10
	// brokenFor is how long a corrupt block is answered from memory, so that a consumer that asks again and again costs no gets, and
	// maxBroken how many are remembered.
	brokenFor = time.Second
	maxBroken = 256
)

// fetcher reads blocks from the bucket, each once however many want it, and puts them into the cache.
//
// Its goroutines hold their room in FetchBytes from before they start until they end. Whoever wants a block waits for that room itself, under
// its own context, so nothing queues up here for callers that have gone. Once begun, a get belongs to nobody and outlives
// the caller that began it.
type fetcher struct {
	store   segments.Store
	cache   *cache
	logger  *slog.Logger
	metrics *metrics
	timeout time.Duration

	limit     int64
	room      *semaphore.Weighted // of limit: all gets
	aheadRoom *semaphore.Weighted // of half of it: gets that nobody waits for yet
	fetching  atomic.Int64        // bytes that gets under way hold

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	flights map[coordinator.Span]*flight
	broken  map[coordinator.Span]broken
}

// flight is one block on its way. block and err are set before done is closed.
type flight struct {
	done  chan struct{}
	block *block
	err   error
}

// broken is a block that was found corrupt a moment ago.
type broken struct {
	err   error
	until time.Time
}

func newFetcher(opts Options, m *metrics) *fetcher {
	ctx, cancel := context.WithCancel(context.Background())
	return &fetcher{
		store: opts.Store, cache: newCache(opts.CacheBytes), logger: opts.Logger, metrics: m, timeout: opts.FetchTimeout,
		limit: opts.FetchBytes, room: semaphore.NewWeighted(opts.FetchBytes), aheadRoom: semaphore.NewWeighted(opts.FetchBytes / 2),
		ctx: ctx, cancel: cancel,
		flights: map[coordinator.Span]*flight{}, broken: map[coordinator.Span]broken{},
	}
}

// stretch returns how many of spans one get can read: those that follow each other without a gap in one segment, up to maxGetBytes.
func stretch(spans []coordinator.Span) int {
	n, length := 1, spans[0].Length
	for ; n < len(spans); n++ {
		before, s := spans[n-1], spans[n]
		length += s.Length
		if s.Segment != before.Segment || s.Position != before.Position+before.Length || length > maxGetBytes {
			break
		}
	}
	return n
}

// weight is what a get of these spans takes of FetchBytes. Several spans are copied apart, since one must not keep the memory of all.
func (f *fetcher) weight(spans []coordinator.Span) int64 {
	var n int64
	for _, s := range spans {
		n += s.Length
	}
	if len(spans) > 1 {
		n *= 2
	}
	return min(max(n, minGetWeight), f.limit)
}

// start sees to it that there is a flight for each span whose block is not found yet, and waits for room to begin those that are missing.
func (f *fetcher) start(ctx context.Context, p segments.Partition, spans []coordinator.Span, found []*block, flights []*flight) error {
	for i := 0; i < len(spans); {
		if found[i] != nil {
			i++
			continue
		}
		if flights[i] = f.underway(spans[i]); flights[i] != nil {
			i++
			continue
		}
		n := 1
		for longest := stretch(spans[i:]); n < longest && found[i+n] == nil; {
			n++
		}
		weight := f.weight(spans[i : i+n])
		if err := f.room.Acquire(ctx, weight); err != nil {
			return err
		}
		f.launch(p, spans[i:i+n], flights[i:i+n], func() { f.room.Release(weight) }, weight)
		i += n
	}
	return nil
}

// startAhead begins to fetch spans that nobody waits for, as far as there is room now, and returns how many it dealt with.
func (f *fetcher) startAhead(p segments.Partition, spans []coordinator.Span) int {
	flights := make([]*flight, len(spans))
	done := 0
	for done < len(spans) {
		n := stretch(spans[done:])
		weight := f.weight(spans[done : done+n])
		if !f.aheadRoom.TryAcquire(weight) {
			break
		}
		if !f.room.TryAcquire(weight) {
			f.aheadRoom.Release(weight)
			break
		}
		f.launch(p, spans[done:done+n], flights[done:done+n], func() { f.room.Release(weight); f.aheadRoom.Release(weight) }, weight)
		done += n
	}
	return done
}

// underway returns the flight of a block that is being fetched, or one that has ended already if it was found corrupt a moment ago.
func (f *fetcher) underway(span coordinator.Span) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.join(span)
}

// landed is closed from the beginning.
func landed(b *block, err error) *flight {
	fl := &flight{done: make(chan struct{}), block: b, err: err}
	close(fl.done)
	return fl
}

// join is underway for those who hold mu.
func (f *fetcher) join(span coordinator.Span) *flight {
	if fl := f.flights[span]; fl != nil {
		return fl
	}
	if b, ok := f.broken[span]; ok {
		if time.Now().Before(b.until) {
			return landed(nil, b.err)
		}
		delete(f.broken, span)
	}
	return nil
}

// launch begins to fetch those of the spans that are neither under way nor in the cache by now. It gives the room back once that is done.
func (f *fetcher) launch(p segments.Partition, spans []coordinator.Span, flights []*flight, release func(), weight int64) {
	var own []coordinator.Span
	var ownFlights []*flight
	f.mu.Lock()
	for i, span := range spans {
		if f.closed {
			flights[i] = landed(nil, ErrClosed)
		} else if fl := f.join(span); fl != nil {
			flights[i] = fl
		} else if b := f.cache.get(span); b != nil {
			flights[i] = landed(b, nil)
		} else {
			fl := &flight{done: make(chan struct{})}
			flights[i], f.flights[span] = fl, fl
			own, ownFlights = append(own, span), append(ownFlights, fl)
		}
	}
	if len(own) > 0 {
		f.wg.Add(1) // under mu, so that close cannot have begun to wait
	}
	f.mu.Unlock()
	if len(own) == 0 {
		release()
		return
	}
	f.fetching.Add(weight)
	go func() {
		defer f.wg.Done()
		defer release()
		defer f.fetching.Add(-weight)
		f.run(p, own, ownFlights)
	}()
}

// run fetches spans, one stretch after the other.
func (f *fetcher) run(p segments.Partition, spans []coordinator.Span, flights []*flight) {
	ctx, cancel := context.WithTimeout(f.ctx, f.timeout)
	defer cancel()
	for len(spans) > 0 {
		n := stretch(spans)
		f.get(ctx, p, spans[:n], flights[:n])
		spans, flights = spans[n:], flights[n:]
	}
}

// get fetches one stretch.
func (f *fetcher) get(ctx context.Context, p segments.Partition, spans []coordinator.Span, flights []*flight) {
	first, last := spans[0], spans[len(spans)-1]
	length := last.Position + last.Length - first.Position
	began := time.Now()
	body, err := f.store.Get(ctx, first.Segment.Key(), first.Position, length)
	f.metrics.gets.Observe(time.Since(began).Seconds())
	if err == nil && int64(len(body)) != length {
		err = fmt.Errorf("the store gave %d bytes for %d", len(body), length)
	}
	if errors.Is(err, segments.ErrRange) {
		if len(spans) > 1 { // the blocks before the end of the object may be whole
			for i := range spans {
				f.get(ctx, p, spans[i:i+1], flights[i:i+1])
			}
			return
		}
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for i, span := range spans {
		if err != nil {
			f.land(p, span, flights[i], nil, err)
			continue
		}
		f.metrics.fetched.Add(float64(span.Length))
		own := body[span.Position-first.Position:][:span.Length]
		if len(spans) > 1 {
			own = bytes.Clone(own)
		}
		b, err := verify(span, own)
		f.land(p, span, flights[i], b, err)
	}
}

// land ends a flight. A block that is whole goes into the cache before the flight is forgotten, so that there is always one or the other.
func (f *fetcher) land(p segments.Partition, span coordinator.Span, fl *flight, b *block, err error) {
	fl.block, fl.err = b, err
	if err == nil {
		f.cache.put(span, b)
	} else {
		fl.err = describe(p, span, err)
	}
	corrupt := errors.Is(err, ErrCorrupt)
	if corrupt {
		f.metrics.corrupt.Inc()
		f.logger.Error("a block in the bucket is corrupt", "partition", p, "segment", span.Segment, "position", span.Position, "error", err)
	}
	f.mu.Lock()
	delete(f.flights, span)
	if corrupt {
		if len(f.broken) >= maxBroken {
			clear(f.broken)
		}
		f.broken[span] = broken{fl.err, time.Now().Add(brokenFor)}
	}
	f.mu.Unlock()
	close(fl.done)
}

// close ends all gets and waits for them.
func (f *fetcher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	f.cache.clear()
}
