package segments

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
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

// Get implements Store. It waits for both reads, of which the slower one is cancelled.
func (h *hedged) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	var running sync.WaitGroup
	defer running.Wait()
	var won atomic.Pointer[wonRead]
	reads := 0
	read := func(ctx context.Context) <-chan error {
		racer, result := reads, make(chan error, 1)
		reads++
		running.Go(func() {
			body, err := h.store.Get(ctx, key, offset, length)
			if err == nil {
				won.CompareAndSwap(nil, &wonRead{racer, body})
			}
			result <- err
		})
		return result
	}
	if err := h.slow.Twice(ctx, length, read, ofTheObject, func() {}); err != nil {
		return nil, err
	}
	r := won.Load()
	if reads > 1 {
		[]prometheus.Counter{h.first, h.second}[r.racer].Inc()
	}
	return r.body, nil
}

// wonRead is what the first of the reads to succeed has read.
type wonRead struct {
	racer int
	body  []byte
}

// ofTheObject says whether the object itself is what is wrong: another read finds the same.
func ofTheObject(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrRange) }

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
