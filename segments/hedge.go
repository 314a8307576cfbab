package segments

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Hedge returns the store with a second chance for slow reads: a Get that takes longer than 99 of
// 100 recent ones of its size is sent once more beside itself, and whichever answers first is the
// answer. Only a few percent of all reads are: a store that has become slow for everybody must not
// get twice the load for it. Puts are hedged by who knows their bytes, since one of the two finds
// the object there.
//
//	firn_store_hedged_reads_total{winner}  first, second
func Hedge(store Store, registerer prometheus.Registerer) (Store, error) {
	h := &hedged{
		store: store,
		slow:  NewSlowness(SlownessOptions{Percentile: 99, Floor: 20 * time.Millisecond, Share: 0.03, Most: 3}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_store_hedged_reads_total", Help: "Reads that were slow and sent a second time, by which of the two " +
				"answered first.",
		}, []string{"winner"}),
	}
	if err := registerer.Register(h.reads); err != nil {
		return nil, err
	}
	h.first, h.second = h.reads.WithLabelValues("first"), h.reads.WithLabelValues("second")
	return h, nil
}

type hedged struct {
	store         Store
	slow          *Slowness
	reads         *prometheus.CounterVec
	first, second prometheus.Counter
}

// Get implements Store.
func (h *hedged) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	slow, begun := h.slow.Begin(length), time.Now()
	read := func(ctx context.Context) ([]byte, error) { return h.store.Get(ctx, key, offset, length) }
	body, err := h.get(ctx, slow, read)
	if err == nil {
		h.slow.Add(length, time.Since(begun)) // that of the first, or less, as in Slowness.Twice
	}
	return body, err
}

// get reads, and once more beside itself if that is slow; 0 says that nobody knows when it is.
func (h *hedged) get(ctx context.Context, slow time.Duration, read func(context.Context) ([]byte, error)) ([]byte,
	error) {
	if slow == 0 {
		return read(ctx)
	}
	race := newReadRace(ctx)
	defer race.end()
	race.enter(0, read)
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case r := <-race.results:
		return r.body, r.err
	case <-timer.C:
	}
	if !h.slow.Hedge() {
		r := <-race.results
		return r.body, r.err
	}
	race.enter(1, read)
	r := race.winner()
	if r.err == nil {
		[]prometheus.Counter{h.first, h.second}[r.racer].Inc()
	}
	return r.body, r.err
}

// readRace is one read and, if it comes to that, a second beside it.
type readRace struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	results chan readResult
	racers  int
}

type readResult struct {
	racer int
	body  []byte
	err   error
}

func newReadRace(ctx context.Context) *readRace {
	r := &readRace{results: make(chan readResult, 2)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

func (r *readRace) enter(racer int, get func(context.Context) ([]byte, error)) {
	r.racers++
	r.running.Go(func() {
		body, err := get(r.ctx)
		r.results <- readResult{racer, body, err}
	})
}

// winner is the first of two that answers. One that fails leaves it to the other, unless the object
// itself is what is wrong.
func (r *readRace) winner() readResult {
	first := <-r.results
	if first.err == nil || errors.Is(first.err, ErrNotFound) || errors.Is(first.err, ErrRange) {
		return first
	}
	return <-r.results
}

// end cancels who is still on the way, and waits for that.
func (r *readRace) end() {
	r.cancel()
	r.running.Wait()
}

// Put implements Store.
func (h *hedged) Put(ctx context.Context, key string, body []byte) error {
	return h.store.Put(ctx, key, body)
}

// Create implements Store.
func (h *hedged) Create(ctx context.Context, key string) (Upload, error) {
	return h.store.Create(ctx, key)
}

// Clean implements Cleaner.
func (h *hedged) Clean(ctx context.Context, before time.Time) (int, error) {
	return Clean(ctx, h.store, before)
}

// List implements Store.
func (h *hedged) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return h.store.List(ctx, prefix, after)
}

// Delete implements Store.
func (h *hedged) Delete(ctx context.Context, keys ...string) error {
	return h.store.Delete(ctx, keys...)
}
