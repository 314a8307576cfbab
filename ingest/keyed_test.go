package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// shared is an embedded coordinator that several nodes use, as they use Redis: being fenced is not
// the end.
type shared struct{ coordinator.Coordinator }

// recover takes the coordinator's state away and makes it anew from the bucket: all lives are over,
// and what was not journaled is lost.
func (s shared) recover(t testing.TB, store segments.Store) {
	state, err := coordinator.Recover(context.Background(), store, coordinator.RecoverOptions{Who: "test"})
	if err != nil {
		t.Log(err) // a node was faster
		return
	}
	if err := s.Open(context.Background(), state); err != nil {
		t.Log(err)
	}
}

func keyedBatch(p segments.Partition, request int32, records int32) Batch {
	b := newBatch(p, -1, request, records, 50)
	b.Key = &coordinator.RequestKey{ID: [16]byte{byte(request >> 8), byte(request), 1}, Body: [16]byte{byte(records)},
		Partitions: 3}
	return b
}

// startNodes has n nodes and their writers share a bucket and a coordinator.
func startNodes(t *testing.T, store segments.Store, c coordinator.Coordinator,
	n int) (nodes []*coordinator.Node, writers []*Writer) {
	for id := range int32(n) {
		node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c,
			Info: coordinator.NodeInfo{ID: id}})
		if err != nil {
			t.Fatal(err)
		}
		nodes, writers = append(nodes, node), append(writers, openWriter(t, store, node, func(o *Options) {
			o.FlushBytes = 2 << 10
			if id > 0 { // so that segments of both kinds meet
				o.CarryBytes = 1 << 10
			}
		}))
	}
	return nodes, writers
}

// A retry, on whatever node, is answered with the place of the first try; a key that is used for
// something else is refused alone.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), shared{embedded.New(embedded.Options{})}
		nodes, writers := startNodes(t, store, c, 2)
		ps := createTopic(t, nodes[0], 2)
		synctest.Wait() // until both nodes have heard of it, as front doors do
		wait := func(w *Writer, batches ...Batch) []Result { return mustWait(t, mustAppend(t, w, batches...)) }

		wait(writers[0], newBatch(ps[0], -1, 0, 7, 10))
		first := wait(writers[0], keyedBatch(ps[0], 1, 3), keyedBatch(ps[1], 1, 3))
		if first[0].Err != nil || first[0].BaseOffset != 7 || first[1].Err != nil || first[1].BaseOffset != 0 {
			t.Errorf("the first try: %+v", first)
		}
		for i, w := range writers {
			for j, r := range wait(w, keyedBatch(ps[0], 1, 3), keyedBatch(ps[1], 1, 3)) {
				if !errors.Is(r.Err, coordinator.ErrDuplicate) || r.BaseOffset != first[j].BaseOffset {
					t.Errorf("node %d: partition %d answers a retry with %+v", i, j, r)
				}
			}
			reused := wait(w, keyedBatch(ps[0], 1, 2), newBatch(ps[0], -1, 0, 1, 10), keyedBatch(ps[1], int32(10+i), 1))
			if !errors.Is(reused[0].Err, coordinator.ErrKeyReused) || reused[1].Err != nil || reused[2].Err != nil {
				t.Errorf("node %d: another body: %+v", i, reused)
			}
		}
		if n := value(t, writers[0].metrics.duplicate) + value(t, writers[1].metrics.duplicate); n != 4 {
			t.Errorf("%v duplicates are counted, want 4", n)
		}
		both := newBatch(ps[0], 5, 0, 1, 10)
		both.Key = &coordinator.RequestKey{}
		if _, err := writers[0].Append(t.Context(), []Batch{both}); !errors.Is(err, batch.ErrCorrupt) {
			t.Errorf("a key and a producer id: %v", err)
		}
		closeAll(t, nodes, writers)
	})
}

func closeAll(t *testing.T, nodes []*coordinator.Node, writers []*Writer) {
	for i := range nodes {
		closeWriter(t, writers[i])
		closeNode(t, nodes[i])
	}
}

// faulty is a store whose puts fail as those of a bucket far away: some do not arrive, of some the
// reply is lost, and some arrive once more, later.
type faulty struct {
	*memory.Store
	mu     sync.Mutex
	random *rand.Rand
	calm   bool
	late   sync.WaitGroup
}

func (s *faulty) Put(ctx context.Context, key string, body []byte) error {
	s.mu.Lock()
	what, delay := s.random.IntN(20), time.Duration(s.random.IntN(30))*time.Millisecond
	calm := s.calm
	s.mu.Unlock()
	if calm {
		return s.Store.Put(ctx, key, body)
	}
	time.Sleep(delay)
	switch what {
	case 0:
		return errBroken
	case 1:
		_ = s.Store.Put(ctx, key, body)
		return errBroken
	case 2:
		again := append([]byte(nil), body...)
		s.late.Go(func() {
			time.Sleep(10 * delay)
			_ = s.Store.Put(context.Background(), key, again)
		})
	}
	return s.Store.Put(ctx, key, body)
}

// TestKeysOnce has clients that send each of their requests to one node after the other, some to
// two at once, and give up waiting before they are answered, on a bucket with faults, while
// recoveries end all lives again and again. In the end every request is in each of its partitions
// once, where its clients were told.
func TestKeysOnce(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) { keysOnce(t, seed) })
	}
}

func keysOnce(t *testing.T, seed uint64) {
	const clients, requests = 8, 25
	store := &faulty{Store: memory.New(), random: rand.New(rand.NewPCG(seed, 2))}
	c := shared{embedded.New(embedded.Options{})}
	nodes, writers := startNodes(t, store, c, 3)
	ps := createTopic(t, nodes[0], 3)
	told := keyAnswers{offsets: map[keyedRequest]int64{}}
	var sending, recovering sync.WaitGroup
	stop := make(chan struct{})
	recovering.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(800 * time.Millisecond)):
				c.recover(t, store)
			}
		}
	})
	for client := range int32(clients) {
		sending.Go(func() {
			for i := range int32(requests) {
				request := client*requests + i
				at := ps[:1+rand.IntN(len(ps))]
				var tries sync.WaitGroup
				for range 1 + rand.IntN(2) {
					tries.Go(func() { told.insist(t, writers, at, request) })
				}
				tries.Wait()
				told.insist(t, writers, at, request) // once more, when it was answered
			}
		})
	}
	sending.Wait()
	close(stop)
	recovering.Wait()
	store.mu.Lock()
	store.calm = true
	store.mu.Unlock()
	closeAll(t, nodes, writers)
	store.late.Wait() // after the last put has begun
	told.check(t, store)
}

// keyedRequest is a request in a partition.
type keyedRequest struct {
	partition segments.Partition
	request   int32
}

// keyAnswers are what clients were told.
type keyAnswers struct {
	mu      sync.Mutex
	offsets map[keyedRequest]int64
}

// insist sends a request to one node after the other until it is answered, with some patience for
// each.
func (k *keyAnswers) insist(t *testing.T, writers []*Writer, at []segments.Partition, request int32) {
	for try := rand.IntN(len(writers)); ; try++ {
		var batches []Batch
		for _, p := range at {
			batches = append(batches, keyedBatch(p, request, 2))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond+rand.N(2*time.Second))
		results, err := send(ctx, writers[try%len(writers)], batches)
		cancel()
		if err != nil {
			continue
		}
		done := true
		for i, r := range results {
			switch {
			case r.Err == nil, errors.Is(r.Err, coordinator.ErrDuplicate):
				k.note(t, keyedRequest{at[i], request}, r.BaseOffset)
			case errors.Is(r.Err, ErrNotWritten), errors.Is(r.Err, ErrInDoubt), errors.Is(r.Err, coordinator.ErrFenced):
				done = false
			default:
				t.Errorf("request %d: %v", request, r.Err)
			}
		}
		if done {
			return
		}
	}
}

func send(ctx context.Context, w *Writer, batches []Batch) ([]Result, error) {
	p, err := w.Append(ctx, batches)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

func (k *keyAnswers) note(t *testing.T, of keyedRequest, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before, twice := k.offsets[of]; twice && before != offset {
		t.Errorf("request %d is in %s at %d and at %d", of.request, of.partition, before, offset)
	}
	k.offsets[of] = offset
}

// check compares the answers with what is in the bucket.
func (k *keyAnswers) check(t *testing.T, store segments.Store) {
	state, err := coordinator.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	view := coordinator.NewView(state)
	found := map[keyedRequest]int64{}
	for _, topic := range view.Topics() {
		for index := range topic.Partitions {
			p := segments.Partition{Topic: topic.ID, Index: index}
			for _, s := range view.Spans(p, 0, 1<<20) {
				bytes, err := store.Get(t.Context(), s.Segment.Key(), s.Position, s.Length)
				if err != nil {
					t.Fatal(err)
				}
				offset := s.Base
				for h := range batch.All(bytes) {
					of := keyedRequest{p, h.BaseSequence}
					if before, twice := found[of]; twice {
						t.Fatalf("request %d is in %s at %d and at %d", of.request, p, before, offset)
					}
					found[of] = offset
					offset += int64(h.Records)
				}
			}
		}
	}
	for of, offset := range k.offsets {
		if got, there := found[of]; !there || got != offset {
			t.Fatalf("request %d was said to be in %s at %d, and is at %d (%v)", of.request, of.partition, offset, got,
				there)
		}
	}
	if err := remembered(view, k.offsets); err != nil || len(found) != len(k.offsets) {
		t.Errorf("%d requests are in the bucket, clients were told of %d, %v", len(found), len(k.offsets), err)
	}
}

// remembered checks that all requests are known by the bucket alone.
func remembered(view *coordinator.View, offsets map[keyedRequest]int64) error {
	for of, offset := range offsets {
		known := 0
		for _, k := range view.Keyed(of.partition.Topic, keyedBatch(of.partition, of.request, 2).Key.ID) {
			if k.Partition == of.partition && k.BaseOffset == offset && k.Records == 2 {
				known++
			}
		}
		if known != 1 {
			return fmt.Errorf("request %d is remembered %d times in %s", of.request, known, of.partition)
		}
	}
	return nil
}
