package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// sandbox is what a function runs in. Between any two of its steps, which are the moments before
// and after each request that it makes, it may be frozen.
type sandbox struct {
	store segments.Store
	log   *world
	turn  chan struct{} // held by the step that is being taken, for as long as everything is frozen
	steps int
	// freeze is called at each step, and returns with what error the request fails, if it does: before
	// it is made, or after.
	freeze func(step int) error
}

// world is a coordinator that others use too, and that may lose its state.
type world struct{ coordinator.Coordinator }

func newSandbox(store segments.Store, log *world) *sandbox {
	return &sandbox{store: store, log: log, turn: make(chan struct{}, 1), freeze: func(int) error { return nil }}
}

func (s *sandbox) step() (coordinator.Coordinator, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.steps++
	err := s.freeze(s.steps)
	return s.log.Coordinator, err
}

// call makes a request between two steps.
func call[T any](s *sandbox, request func(c coordinator.Coordinator) (T, error)) (T, error) {
	var none T
	c, err := s.step()
	if err != nil {
		return none, err
	}
	answer, err := request(c)
	if _, lost := s.step(); lost != nil {
		return none, lost
	}
	return answer, err
}

type sandboxedStore struct {
	segments.Store
	s *sandbox
}

func (f sandboxedStore) Put(ctx context.Context, key string, body []byte) error {
	_, err := call(f.s, func(coordinator.Coordinator) (struct{}, error) { return struct{}{}, f.Store.Put(ctx, key, body) })
	return err
}

func (f sandboxedStore) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	return call(f.s, func(coordinator.Coordinator) ([]byte, error) { return f.Store.Get(ctx, key, offset, length) })
}

func (f sandboxedStore) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		if _, err := f.s.step(); err != nil {
			yield(segments.Object{}, err)
			return
		}
		f.Store.List(ctx, prefix, after)(yield)
	}
}

type sandboxedLog struct {
	coordinator.GuestCoordinator // none: calls that are missing below are not for guests
	s                            *sandbox
}

func (f sandboxedLog) Generation(ctx context.Context) (coordinator.Generation, error) {
	return call(f.s, func(c coordinator.Coordinator) (coordinator.Generation, error) { return c.Generation(ctx) })
}

func (f sandboxedLog) Open(ctx context.Context, state *coordinator.State) error {
	_, err := call(f.s, func(c coordinator.Coordinator) (struct{}, error) { return struct{}{}, c.Open(ctx, state) })
	return err
}

func (f sandboxedLog) AnnounceRecovery(ctx context.Context, in coordinator.Incarnation, ttl time.Duration) error {
	_, err := call(f.s, func(c coordinator.Coordinator) (struct{}, error) {
		return struct{}{}, c.AnnounceRecovery(ctx, in, ttl)
	})
	return err
}

func (f sandboxedLog) AnnouncedRecovery(ctx context.Context) (coordinator.Incarnation, error) {
	return call(f.s, func(c coordinator.Coordinator) (coordinator.Incarnation, error) { return c.AnnouncedRecovery(ctx) })
}

func (f sandboxedLog) Topic(ctx context.Context, in coordinator.Incarnation,
	name string) (coordinator.TopicFact, error) {
	return call(f.s, func(c coordinator.Coordinator) (coordinator.TopicFact, error) { return c.Topic(ctx, in, name) })
}

func (f sandboxedLog) Commit(ctx context.Context, in coordinator.Incarnation,
	req coordinator.CommitRequest) (coordinator.CommitAnswer, error) {
	return call(f.s, func(c coordinator.Coordinator) (coordinator.CommitAnswer, error) { return c.Commit(ctx, in, req) })
}

func (f sandboxedLog) Confirm(ctx context.Context, in coordinator.Incarnation, seqs []uint64) error {
	_, err := call(f.s, func(c coordinator.Coordinator) (struct{}, error) { return struct{}{}, c.Confirm(ctx, in, seqs) })
	return err
}

func (f sandboxedLog) Settled(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return call(f.s, func(c coordinator.Coordinator) (uint64, error) { return c.Settled(ctx, in) })
}

func (f sandboxedLog) Latest(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return call(f.s, func(c coordinator.Coordinator) (uint64, error) { return c.Latest(ctx, in) })
}

func (f sandboxedLog) HighWatermarks(ctx context.Context, in coordinator.Incarnation,
	ps []segments.Partition) ([]int64, error) {
	return call(f.s, func(c coordinator.Coordinator) ([]int64, error) { return c.HighWatermarks(ctx, in, ps) })
}

func (f sandboxedLog) TransactionalID(ctx context.Context, in coordinator.Incarnation,
	id string) (coordinator.DecidedID, error) {
	return call(f.s, func(c coordinator.Coordinator) (coordinator.DecidedID, error) {
		return c.TransactionalID(ctx, in, id)
	})
}

func (f sandboxedLog) Keyed(ctx context.Context, in coordinator.Incarnation, topic segments.TopicID,
	ids ...[16]byte) ([]*coordinator.RequestKey, error) {
	return call(f.s, func(c coordinator.Coordinator) ([]*coordinator.RequestKey, error) {
		return c.Keyed(ctx, in, topic, ids...)
	})
}

func (f sandboxedLog) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	return func(yield func(coordinator.Entry, error) bool) {
		c, err := f.s.step()
		if err != nil {
			yield(coordinator.Entry{}, err)
			return
		}
		c.Follow(ctx, in, after)(yield)
	}
}

func (s *sandbox) open(t *testing.T) *ingest.Direct {
	return openDirect(t, sandboxedStore{s.store, s}, sandboxedLog{nil, s})
}

var errLost = errors.New("the connection was lost")

// happening is what goes on outside while a sandbox is frozen.
type happening struct {
	name  string
	lasts time.Duration
	doubt bool // whether a write without a key may end in doubt
	do    func(t *testing.T, w *world, store segments.Store)
}

func happenings() []happening {
	nothing := func(*testing.T, *world, segments.Store) {}
	recovery := func(t *testing.T, w *world, store segments.Store) {
		state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{Who: "test"})
		if err == nil {
			err = w.Open(t.Context(), state)
		}
		if err != nil {
			t.Error(err)
		}
	}
	others := func(t *testing.T, w *world, store segments.Store) {
		if _, err := openDirect(t, store, w).Write(t.Context(), "a", values("other")); err != nil {
			t.Error(err)
		}
	}
	loss := func(t *testing.T, w *world, store segments.Store) {
		w.Coordinator = embedded.New(embedded.Options{})
	}
	both := func(t *testing.T, w *world, store segments.Store) {
		others(t, w, store)
		recovery(t, w, store)
		others(t, w, store)
	}
	const short, long = time.Minute, 20 * time.Minute // of the commit deadline's five
	return []happening{
		{"a minute passes", short, false, nothing}, {"twenty minutes pass", long, false, nothing},
		{"a recovery", short, false, recovery}, {"a recovery long ago", long, true, recovery},
		{"others write", short, false, others}, {"others wrote long ago", long, false, others},
		{"the coordinator is lost", short, false, loss}, {"the coordinator was lost long ago", long, true, loss},
		{"others write and recover", short, false, both}, {"others wrote and recovered long ago", long, true, both},
	}
}

// A direct writer that is frozen at any step, whatever happens meanwhile, and whether or not the
// request that it was frozen in is lost, writes each record once, in this call, and goes on as if
// nothing had been.
func TestDirectFrozen(t *testing.T) {
	for _, h := range happenings() {
		for _, how := range []frozen{{}, {lost: true}, {lost: true, keyed: true}} {
			t.Run(fmt.Sprintf("%s, %+v", h.name, how), func(t *testing.T) {
				doubts := 0
				for step, last := 1, false; !last; step++ {
					synctest.Test(t, func(t *testing.T) {
						last = freezeAt(t, step, h, how, &doubts)
					})
				}
				if doubts > 0 && (!h.doubt || how.keyed) {
					t.Errorf("%d times in doubt", doubts)
				}
			})
		}
	}
}

// frozen says how.
type frozen struct {
	lost  bool // the request under way is lost, or its answer
	keyed bool // the writes have keys; then they are made again by another process
}

// freezeAt writes twice, and is frozen at one step. It returns true if there are fewer.
func freezeAt(t *testing.T, step int, h happening, how frozen, doubts *int) (last bool) {
	store, w := memory.New(), &world{embedded.New(embedded.Options{})}
	topic := newTopic(t, store, shared{w.Coordinator}, "a", 1, nil)
	s := newSandbox(store, w)
	last = true
	s.freeze = func(n int) error {
		if n != step {
			return nil
		}
		last = false
		h.do(t, w, store)
		time.Sleep(h.lasts)
		if how.lost {
			return errLost
		}
		return nil
	}
	d := s.open(t)
	write := func(d *ingest.Direct, i int) ([]ingest.Written, error) {
		if how.keyed {
			return d.Write(t.Context(), "a", values(fmt.Sprint(i)), ingest.IdempotencyKey(fmt.Sprint(i)))
		}
		return d.Write(t.Context(), "a", values(fmt.Sprint(i)))
	}
	var acked []ingest.Written
	for i := range 2 {
		written, err := write(d, i)
		if errors.Is(err, ingest.ErrInDoubt) {
			*doubts++
			acked = append(acked, ingest.Written{Offset: -1})
			continue
		}
		if err != nil {
			t.Fatalf("frozen at step %d, write %d: %v", step, i, err)
		}
		acked = append(acked, written...)
	}
	for i := 0; how.keyed && i < len(acked); i++ {
		if again, err := write(openDirect(t, store, w), i); err != nil || again[0] != acked[i] {
			t.Errorf("frozen at step %d: write %d was at %+v, and again at %+v, %v", step, i, acked[i], again, err)
		}
	}
	found := readAll(t, store, segments.Partition{Topic: topic})
	for i, a := range acked {
		offsets := found[fmt.Sprint(i)]
		if len(offsets) > 1 || a.Offset >= 0 && (len(offsets) != 1 || offsets[0] != a.Offset) {
			t.Errorf("frozen at step %d: record %d was acknowledged at %d, and is at %v", step, i, a.Offset, offsets)
		}
	}
	return last
}

// readAll reads a partition from the bucket alone: for each value the offsets that it has.
func readAll(t testing.TB, store segments.Store, p segments.Partition) map[string][]int64 {
	t.Helper()
	state, err := coordinator.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]int64{}
	for _, span := range coordinator.NewView(state).Spans(p, 0, 1<<20) {
		b, err := store.Get(t.Context(), span.Segment.Key(), span.Position, span.Length)
		if err != nil {
			t.Fatal(err)
		}
		next := span.Base
		for h, err := range batch.All(b) {
			if err != nil {
				t.Fatal(err)
			}
			for r, err := range batch.Records(b[:h.Size()], 1<<20) {
				if err != nil {
					t.Fatal(err)
				}
				found[string(r.Value)] = append(found[string(r.Value)], next)
				next++
			}
			b = b[h.Size():]
		}
	}
	return found
}
