package transactions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// world is a node that serves transactions, and what was written to it.
type world struct {
	t       *testing.T
	store   segments.Store
	node    *coordinator.Node
	writer  *ingest.Writer
	manager *transactions.Manager
	topic   segments.TopicID
	random  *rand.Rand
	n       int
	written map[segments.Partition][]*record
}

// record is one that was written. It counts if it is of no transaction, or of one that committed.
type record struct {
	offset     int64
	key, value string
	committed  *bool
}

const (
	deadline   = 15 * time.Second
	partitions = 3
)

func newWorld(t *testing.T, configs map[string]string) *world {
	w := &world{t: t, store: memory.New(), topic: segments.NewTopicID(), random: rand.New(rand.NewPCG(1, 2)),
		written: map[segments.Partition][]*record{}}
	var err error
	w.node, err = coordinator.Join(t.Context(), coordinator.NodeOptions{Store: w.store, CommitDeadline: deadline,
		Info: coordinator.NodeInfo{
			ID: 1,
		}, Coordinator: embedded.New(embedded.Options{CommitDeadline: deadline}), SnapshotObjects: 20})
	if err == nil {
		_, err = w.node.Change(
			t.Context(),
			coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: w.topic, Name: "t",
				Partitions: partitions, Configs: configs}},
		)
	}
	if err == nil {
		w.writer, err = ingest.New(ingest.Options{Store: w.store, Node: w.node})
	}
	if err == nil {
		w.manager, err = transactions.New(transactions.Options{Node: w.node, Writer: w.writer})
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) close() {
	for _, close := range []func(context.Context) error{w.manager.Close, w.writer.Close, w.node.Close} {
		if err := close(context.Background()); err != nil {
			w.t.Error(err)
		}
	}
}

// write writes a record of a key, of a transaction if committed is not nil.
func (w *world) write(p coordinator.Producer, sequences map[segments.Partition]int32, committed *bool) {
	w.t.Helper()
	at := segments.Partition{Topic: w.topic, Index: int32(w.random.IntN(partitions))}
	w.writeTo(at, coordinator.Transactional, p, sequences, committed)
}

// writeTo writes to one partition, in one of the protocols.
func (w *world) writeTo(at segments.Partition, protocol coordinator.Protocol, p coordinator.Producer,
	sequences map[segments.Partition]int32, committed *bool) {
	w.t.Helper()
	w.n++
	r := &record{key: fmt.Sprint(w.random.IntN(9)), value: fmt.Sprint(w.n), committed: committed}
	o := batch.NoProducer(batch.None)
	if committed == nil {
		protocol = coordinator.NotTransactional
	} else {
		o = batch.Options{
			ProducerID:    p.ProducerID,
			ProducerEpoch: p.Epoch,
			BaseSequence:  sequences[at],
			Transactional: true,
		}
		sequences[at]++
	}
	b, err := batch.Build(
		[]batch.Record{{Timestamp: time.Now().UnixMilli(), Key: []byte(r.key), Value: []byte(r.value)}},
		o,
	)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := batch.Check(b)
	if err != nil {
		w.t.Fatal(err)
	}
	pending, err := w.writer.Append(
		w.t.Context(),
		[]ingest.Batch{{Partition: at, Header: h, Bytes: b, Protocol: protocol}},
	)
	if err != nil {
		w.t.Fatal(err)
	}
	results, err := pending.Wait(w.t.Context())
	if err != nil || results[0].Err != nil {
		w.t.Fatal(err, results)
	}
	r.offset = results[0].BaseOffset
	w.written[at] = append(w.written[at], r)
}

// fill writes transactions of some ids, one after the other, with other records between. Some are
// committed, some aborted, some left to their timeout or to the next session.
func (w *world) fill(n int) {
	type session struct {
		coordinator.Producer
		sequences map[segments.Partition]int32
	}
	sessions := map[string]*session{}
	for i := range n {
		id := fmt.Sprint("id", w.random.IntN(3))
		s := sessions[id]
		if s == nil {
			p, err := w.manager.Begin(w.t.Context(), id, time.Minute, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			s = &session{p, map[segments.Partition]int32{}}
			sessions[id] = s
		}
		committed := new(bool)
		for range 1 + w.random.IntN(4) {
			w.write(s.Producer, s.sequences, committed)
			if w.random.IntN(3) == 0 {
				w.write(coordinator.Producer{}, nil, nil)
			}
		}
		switch w.random.IntN(5) {
		case 0: // the next session aborts it
			delete(sessions, id)
		case 1:
			if i%2 == 0 { // its time is over
				time.Sleep(2 * time.Minute)
				delete(sessions, id)
				continue
			}
			fallthrough
		default:
			result := coordinator.Result(1 + w.random.IntN(2))
			next, err := w.manager.End(w.t.Context(), id, s.Producer, result, true)
			if err != nil {
				w.t.Fatal(err)
			}
			if again, err := w.manager.End(w.t.Context(), id, s.Producer, result, true); err != nil || again != next {
				w.t.Fatalf("the same EndTxn is answered %v and then %v, %v", next, again, err)
			}
			s.Producer, *committed = next, result == coordinator.Committed
			clear(s.sequences)
		}
	}
	time.Sleep(3 * time.Minute) // nothing is left open
}

// want are the values that a reader of committed records gets of a partition.
func (w *world) want(at segments.Partition) (values []string) {
	slices.SortFunc(w.written[at], func(a, b *record) int { return int(a.offset - b.offset) })
	for _, r := range w.written[at] {
		if r.committed == nil || *r.committed {
			values = append(values, r.value)
		}
	}
	return values
}

// check reads as a consumer of a node does, of this one and of one that recovers, and by replay.
func (w *world) check(when string) {
	w.t.Helper()
	loaded, err := coordinator.Load(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	for who, view := range map[string]*coordinator.View{
		"this node": w.node.View(), "a reader of the bucket": coordinator.NewView(loaded),
	} {
		x, err := index.New(index.Options{Store: w.store, View: view})
		if err != nil {
			w.t.Fatal(err)
		}
		for at := range w.written {
			if info, _ := view.Partition(at); info.LastStable != info.HighWatermark {
				w.t.Errorf(
					"%s, %s: %s ends at %d, and is stable up to %d",
					when,
					who,
					at,
					info.HighWatermark,
					info.LastStable,
				)
			}
			if got, want := read(w.t, x, view, at), w.want(at); !slices.Equal(got, want) {
				w.t.Errorf("%s, %s reads %v of %s, should be %v", when, who, got, at, want)
			}
		}
		x.Close()
	}
	replayed := w.replay(false)
	for at := range w.written {
		if want := w.want(at); !slices.Equal(replayed[at], want) {
			w.t.Errorf("%s, replay gives %v of %s, should be %v", when, replayed[at], at, want)
		}
	}
}

// replay gives what lies in the bucket: committed records, or all.
func (w *world) replay(all bool) map[segments.Partition][]string {
	w.t.Helper()
	r, err := replay.Open(w.t.Context(), replay.Options{Store: w.store, Topic: "t", Uncommitted: all})
	if err != nil {
		w.t.Fatal(err)
	}
	replayed := map[segments.Partition][]string{}
	for r, err := range r.Records(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		at := segments.Partition{Topic: w.topic, Index: r.Partition}
		replayed[at] = append(replayed[at], string(r.Value))
	}
	return replayed
}

func read(t *testing.T, x *index.Index, view *coordinator.View, at segments.Partition) (values []string) {
	t.Helper()
	info, _ := view.Partition(at)
	for next := info.LogStart; next < info.LastStable; {
		chunk, err := x.ReadWithin(
			t.Context(),
			at,
			next,
			index.Bounds{MaxBytes: 300, AtLeastOne: true, Committed: true},
		)
		if err != nil {
			t.Fatal(err)
		}
		for _, some := range chunk.Batches {
			for h, err := range batch.All(some) {
				if err != nil {
					t.Fatal(err)
				}
				if !chunk.IsAborted(&h) {
					for r, err := range batch.Records(some[:h.Size()], 1<<20) {
						if err != nil {
							t.Fatal(err)
						}
						if r.Offset >= next {
							values = append(values, string(r.Value))
						}
					}
				}
				some = some[h.Size():]
			}
		}
		next = max(next+1, chunk.Next(next))
	}
	return values
}

// Whoever reads committed records gets those of committed transactions, and no others, from
// wherever they lie: the tail, mixed and merged segments, index objects.
func TestReadersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.fill(60)
		w.check("before merging")
		for at, got := range w.replay(true) {
			if want := len(w.written[at]); len(got) != want {
				t.Errorf("%s has %d records, aborted ones among them, should have %d", at, len(got), want)
			}
		}
		w.clean(10 * time.Minute)
		w.check("after merging")
	})
}

// clean merges, collects and compacts for a while.
func (w *world) clean(d time.Duration) {
	c, err := cleanup.New(
		cleanup.Options{Node: w.node, Store: w.store, Pace: cleanup.NewPace(64 << 20), CommitDeadline: deadline,
			Grace: time.Minute, Stale: 20 * time.Second, ArchiveBatch: 3, ArchiveKeep: 3},
	)
	if err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(d)
	if err := c.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// Of a compacted topic aborted records go, and replace none of others: what is left are the last
// committed records of each key.
func TestCompactionKnowsTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"})
		defer w.close()
		w.fill(60)
		w.clean(30 * time.Minute)
		for at := range w.written {
			w.want(at) // in the order of offsets
			last := map[string]*record{}
			for _, r := range w.written[at] {
				if r.committed == nil || *r.committed {
					last[r.key] = r
				}
			}
			w.written[at] = slices.DeleteFunc(w.written[at], func(r *record) bool { return last[r.key] != r })
		}
		w.check("after compaction")
		for at, got := range w.replay(true) {
			if want := w.want(at); !slices.Equal(got, want) {
				t.Errorf("%s has %v, should be %v: aborted records are left", at, got, want)
			}
		}
	})
}
