package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
	"firn.dev/segments/memory"
)

// world is a node that writes a topic into a bucket, and the model of what is in it.
type world struct {
	t          *testing.T
	store      segments.Store
	node       *coordinator.Node
	writer     *ingest.Writer
	topic      segments.TopicID
	partitions int32

	mu      sync.Mutex
	written [][]batch.Record // by partition
}

const deadline = time.Minute

func newWorld(t *testing.T, store segments.Store, partitions int32) *world {
	t.Helper()
	w := &world{t: t, store: store, topic: segments.NewTopicID(), partitions: partitions,
		written: make([][]batch.Record, partitions)}
	var err error
	w.node, err = coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store: store, CommitDeadline: deadline, Info: coordinator.NodeInfo{ID: 1},
		Coordinator: embedded.New(embedded.Options{CommitDeadline: deadline}),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.node.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: w.topic,
		Name: "orders", Partitions: partitions}})
	if err == nil {
		w.writer, err = ingest.New(ingest.Options{Store: store, Node: w.node, Logger: slog.New(slog.DiscardHandler),
			FlushBytes: 64 << 10})
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) close() {
	w.t.Helper()
	if err := w.writer.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
	if err := w.node.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// write writes a batch to each of some partitions, of a few records each, and returns when they are
// acknowledged.
func (w *world) write(random *rand.Rand, parts ...int32) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var batches []ingest.Batch
	for _, i := range parts {
		records := make([]batch.Record, 1+random.IntN(5))
		for j := range records {
			r := &records[j]
			r.Offset = int64(len(w.written[i]) + j)
			r.Timestamp = time.Now().UnixMilli()
			r.Value = fmt.Appendf(nil, `{"id":%d,"pad":%q}`, r.Offset, bytes.Repeat([]byte("x"), random.IntN(300)))
			switch random.IntN(4) {
			case 0:
				r.Key = []byte{0xff, byte(j)}
			case 1:
				r.Key, r.Headers = []byte("k"), []batch.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}
			case 2:
				r.Value = nil
			}
		}
		b, err := batch.Build(records, batch.NoProducer(batch.None))
		if err != nil {
			w.t.Fatal(err)
		}
		h, err := batch.Check(b)
		if err != nil {
			w.t.Fatal(err)
		}
		batches = append(batches, ingest.Batch{Partition: segments.Partition{Topic: w.topic, Index: i}, Header: h, Bytes: b})
		w.written[i] = append(w.written[i], records...)
	}
	p, err := w.writer.Append(w.t.Context(), batches)
	if err != nil {
		w.t.Fatal(err)
	}
	results, err := p.Wait(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range results {
		if results[i].Err != nil {
			w.t.Fatal(results[i].Err)
		}
	}
}

// fill writes n times, to random partitions.
func (w *world) fill(n int, between time.Duration) {
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		var parts []int32
		for i := range w.partitions {
			if random.IntN(2) == 0 {
				parts = append(parts, i)
			}
		}
		if len(parts) > 0 {
			w.write(random, parts...)
		}
		time.Sleep(between)
	}
}

// clean starts a Cleaner.
func (w *world) clean() (stop func()) {
	c, err := cleanup.New(cleanup.Options{Node: w.node, Store: w.store, Pace: cleanup.NewPace(64 << 20),
		CommitDeadline: deadline, Grace: time.Minute, TargetBytes: 256 << 10})
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := c.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) model() [][]batch.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	model := make([][]batch.Record, len(w.written))
	for i := range w.written {
		model[i] = slices.Clone(w.written[i])
	}
	return model
}

func (w *world) open(o replay.Options) *replay.Replay {
	w.t.Helper()
	o.Topic, o.Memory = "orders", replay.MinMemory
	if o.Store == nil {
		o.Store = w.store
	}
	r, err := replay.Open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// kept is an Output that keeps everything.
type kept struct {
	mu      sync.Mutex
	records map[int32][]batch.Record
	next    map[int32]int64
	note    func() // called for each Write
}

func newKept() *kept { return &kept{records: map[int32][]batch.Record{}, next: map[int32]int64{}} }

func (k *kept) Memory() int64 { return 1 << 20 }
func (k *kept) Open(_ context.Context, r replay.Range) (replay.Sink, error) {
	return &keptSink{k, r.Partition}, nil
}

type keptSink struct {
	k         *kept
	partition int32
}

func (s *keptSink) Write(records []batch.Record, next int64) error {
	if s.k.note != nil {
		s.k.note()
	}
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	s.k.records[s.partition] = append(s.k.records[s.partition], records...)
	s.k.next[s.partition] = next
	return nil
}
func (*keptSink) Idle() error  { return nil }
func (*keptSink) Close() error { return nil }
func (*keptSink) Abort()       {}

// same compares what came with the model, from some offsets on.
func same(t *testing.T, got map[int32][]batch.Record, want [][]batch.Record, ranges []replay.Range) {
	t.Helper()
	for _, r := range ranges {
		part := want[r.Partition][r.From:min(r.To, int64(len(want[r.Partition])))]
		have := got[r.Partition]
		if len(have) != len(part) {
			t.Errorf("partition %d: %d records, want %d", r.Partition, len(have), len(part))
			continue
		}
		for i := range part {
			if !equal(have[i], part[i]) {
				t.Errorf("partition %d: record %d is %+v, want %+v", r.Partition, i, have[i], part[i])
				break
			}
		}
	}
}

func equal(a, b batch.Record) bool {
	return a.Offset == b.Offset && a.Timestamp == b.Timestamp && bytes.Equal(a.Key, b.Key) &&
		bytes.Equal(a.Value, b.Value) &&
		(a.Key == nil) == (b.Key == nil) && (a.Value == nil) == (b.Value == nil) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y batch.RecordHeader) bool {
			return x.Key == y.Key && bytes.Equal(x.Value, y.Value) && (x.Value == nil) == (y.Value == nil)
		})
}

// stores are those that tests run on.
func stores(t *testing.T) map[string]segments.Store {
	t.Helper()
	f, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return map[string]segments.Store{"memory": memory.New(), "file": f}
}
