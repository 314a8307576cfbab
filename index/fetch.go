package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
)

const (
	// maxGetBytes is how far adjacent pieces are joined into one get.
	maxGetBytes = 4 << 20
	// minGetWeight is what a get counts at least for, against FetchBytes, which so bounds the number
	// of gets as well.
	minGetWeight = 256 << 10
	// brokenFor is how long a corrupt block is answered from memory, so that a consumer that asks
	// again and again costs no gets, and maxBroken how many are remembered.
	brokenFor = time.Second
	maxBroken = 256
)

// fetcher reads blocks from the bucket, each once however many want it, and puts them into the
// cache.
//
// Its goroutines hold their room in FetchBytes from before they start until they end. Whoever wants
// a block waits for that room itself, under its own context, so nothing queues up here for callers
// that have gone. Once begun, a get belongs to nobody and outlives the caller that began it.
type fetcher struct {
	store   segments.Store
	cache   *cache[piece, *block]
	logger  *slog.Logger
	metrics *metrics
	timeout time.Duration

	room   *getLimit
	pace   *pace
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	flights map[piece]*flight[*block]
	broken  map[piece]broken
}

// flight is something on its way. value and err are set before done is closed.
type flight[V any] struct {
	done  chan struct{}
	value V
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
		store: opts.Store, cache: newCache[piece, *block](opts.CacheBytes, opts.CacheBytes/4), logger: opts.Logger,
		metrics: m, timeout: opts.FetchTimeout,
		room: newGetLimit(opts.FetchBytes), pace: newPace(m.paceWaits), ctx: ctx, cancel: cancel,
		flights: map[piece]*flight[*block]{}, broken: map[piece]broken{},
	}
}

// weight is what a get of these pieces takes of FetchBytes. Several pieces are copied apart, since
// one must not keep the memory of all.
func weight(pieces []piece) int64 {
	var n int64
	for _, s := range pieces {
		n += s.Length
	}
	if len(pieces) > 1 {
		n *= 2
	}
	return n
}

// start sees to it that there is a flight for each span whose block is not found yet, and waits for
// room to begin those that are missing.
func (f *fetcher) start(ctx context.Context, p segments.Partition, pieces []piece, found []*block,
	flights []*flight[*block]) error {
	for i := 0; i < len(pieces); {
		if found[i] != nil {
			i++
			continue
		}
		if flights[i] = f.underway(pieces[i]); flights[i] != nil {
			i++
			continue
		}
		n := 1
		for longest := spans.Join(pieces[i:], maxGetBytes); n < longest && found[i+n] == nil; {
			n++
		}
		release, err := f.room.acquire(ctx, weight(pieces[i:i+n]), isOld(pieces[i]))
		if err != nil {
			return err
		}
		f.launch(p, pieces[i:i+n], flights[i:i+n], release)
		i += n
	}
	return nil
}

// startAhead begins to fetch pieces that nobody waits for, as far as there is room now, and returns
// how many it dealt with.
func (f *fetcher) startAhead(p segments.Partition, pieces []piece) int {
	flights := make([]*flight[*block], len(pieces))
	done := 0
	for done < len(pieces) {
		n := spans.Join(pieces[done:], maxGetBytes)
		release, ok := f.room.tryAhead(weight(pieces[done:done+n]), isOld(pieces[done]))
		if !ok {
			break
		}
		f.launch(p, pieces[done:done+n], flights[done:done+n], release)
		done += n
	}
	return done
}

// underway returns the flight of a block that is being fetched, or one that has ended already if it
// was found corrupt a moment ago.
func (f *fetcher) underway(span piece) *flight[*block] {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.join(span)
}

// landed is closed from the beginning.
func landed[V any](value V, err error) *flight[V] {
	fl := &flight[V]{done: make(chan struct{}), value: value, err: err}
	close(fl.done)
	return fl
}

// join is underway for those who hold mu.
func (f *fetcher) join(span piece) *flight[*block] {
	if fl := f.flights[span]; fl != nil {
		return fl
	}
	if b, ok := f.broken[span]; ok {
		if time.Now().Before(b.until) {
			return landed[*block](nil, b.err)
		}
		delete(f.broken, span)
	}
	return nil
}

// launch begins to fetch those of the pieces that are neither under way nor in the cache by now. It
// gives the room back once that is done.
func (f *fetcher) launch(p segments.Partition, pieces []piece, flights []*flight[*block], release func()) {
	var own []piece
	var ownFlights []*flight[*block]
	f.mu.Lock()
	for i, span := range pieces {
		if f.closed {
			flights[i] = landed[*block](nil, ErrClosed)
		} else if fl := f.join(span); fl != nil {
			flights[i] = fl
		} else if b := f.cache.get(span); b != nil {
			flights[i] = landed(b, nil)
		} else {
			fl := &flight[*block]{done: make(chan struct{})}
			flights[i], f.flights[span] = fl, fl
			own, ownFlights = append(own, span), append(ownFlights, fl)
		}
	}
	if len(own) > 0 {
		f.begin(release, func(ctx context.Context) { f.run(ctx, p, own, ownFlights) })
	}
	f.mu.Unlock()
	if len(own) == 0 {
		release()
	}
}

// begin runs something that fetches, and gives its room back afterwards. The caller holds mu and
// knows that the fetcher is not closed, so close cannot have begun to wait.
func (f *fetcher) begin(release func(), do func(context.Context)) {
	f.wg.Go(func() {
		defer release()
		ctx, cancel := context.WithTimeout(f.ctx, f.timeout)
		defer cancel()
		do(ctx)
	})
}

// spawn is begin for those who do not hold mu. It returns false, and gives the room back, if the
// fetcher is closed.
func (f *fetcher) spawn(release func(), do func(context.Context)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		release()
		return false
	}
	f.begin(release, do)
	return true
}

// run fetches pieces, one stretch after the other.
func (f *fetcher) run(ctx context.Context, p segments.Partition, pieces []piece, flights []*flight[*block]) {
	for len(pieces) > 0 {
		n := spans.Join(pieces, maxGetBytes)
		f.get(ctx, p, pieces[:n], flights[:n])
		pieces, flights = pieces[n:], flights[n:]
	}
}

// get fetches one stretch.
func (f *fetcher) get(ctx context.Context, p segments.Partition, pieces []piece, flights []*flight[*block]) {
	first, last := pieces[0], pieces[len(pieces)-1]
	length := last.Position + last.Length - first.Position
	if isOld(first) {
		f.pace.wait(ctx, length)
	}
	began := time.Now()
	body, err := f.store.Get(ctx, first.Segment.Key(), first.Position, length)
	f.metrics.gets.Observe(time.Since(began).Seconds())
	if err == nil && int64(len(body)) != length {
		err = fmt.Errorf("the store gave %d bytes for %d", len(body), length)
	}
	if errors.Is(err, segments.ErrRange) {
		if len(pieces) > 1 { // the blocks before the end of the object may be whole
			for i := range pieces {
				f.get(ctx, p, pieces[i:i+1], flights[i:i+1])
			}
			return
		}
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for i, span := range pieces {
		if err != nil {
			f.land(p, span, flights[i], nil, err)
			continue
		}
		f.metrics.fetched.Add(float64(span.Length))
		own := body[span.Position-first.Position:][:span.Length]
		if len(pieces) > 1 {
			own = bytes.Clone(own)
		}
		b, err := verify(span, own)
		f.land(p, span, flights[i], b, err)
	}
}

// land ends a flight. A block that is whole goes into the cache before the flight is forgotten, so
// that there is always one or the other.
func (f *fetcher) land(p segments.Partition, span piece, fl *flight[*block], b *block, err error) {
	fl.value, fl.err = b, err
	if err == nil {
		f.cache.put(span, b, isOld(span))
	} else {
		fl.err = describe(p, span.Span, err)
	}
	corrupt := errors.Is(err, ErrCorrupt)
	if corrupt {
		f.corrupt(p, span.Span, err)
	}
	f.mu.Lock()
	delete(f.flights, span)
	if corrupt {
		remember(f.broken, span, fl.err)
	}
	f.mu.Unlock()
	close(fl.done)
}

// corrupt reports something in the bucket that is not what it should be.
func (f *fetcher) corrupt(p segments.Partition, span coordinator.Span, err error) {
	f.metrics.corrupt.Inc()
	f.logger.Error("a block in the bucket is corrupt", "partition", p, "segment", span.Segment, "position", span.Position,
		"error", err)
}

// remember answers a corrupt block from memory for a while.
func remember[K comparable](known map[K]broken, key K, err error) {
	if len(known) >= maxBroken {
		clear(known)
	}
	known[key] = broken{err, time.Now().Add(brokenFor)}
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
