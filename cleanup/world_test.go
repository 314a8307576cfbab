package cleanup_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// world is a node on a store, with one topic, what was written to it, and maybe a Cleaner.
type world struct {
	t      *testing.T
	store  segments.Store
	coord  coordinator.Coordinator
	node   *coordinator.Node
	topic  segments.TopicID
	random *rand.Rand

	clock   func() time.Time // of the node; nil: the right one
	writers func() time.Time // the clock of those that write

	written map[segments.Partition][]byte // batches with their offsets
	ends    map[segments.Partition]int64
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// deadline is the tests' commit deadline.
const deadline = time.Minute

// inMemory is a coordinator with the tests' deadline.
func inMemory() coordinator.Coordinator {
	return embedded.New(embedded.Options{CommitDeadline: deadline})
}

func newWorld(t *testing.T, store segments.Store, partitions int32, configs map[string]string) *world {
	t.Helper()
	return newWorldWith(t, store, partitions, configs, inMemory())
}

func newWorldWith(t *testing.T, store segments.Store, partitions int32, configs map[string]string,
	coord coordinator.Coordinator) *world {
	t.Helper()
	w := &world{t: t, store: store, coord: coord, topic: segments.NewTopicID(), random: rand.New(rand.NewPCG(1, 2)),
		writers: time.Now,
		written: map[segments.Partition][]byte{}, ends: map[segments.Partition]int64{}}
	w.node = w.join()
	time.Sleep(2 * time.Second) // until it has heard of itself
	_, err := w.node.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: w.topic, Name: "a",
		Partitions: partitions, Configs: configs}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// join joins as the only node of a cluster.
func (w *world) join() *coordinator.Node {
	w.t.Helper()
	n, err := coordinator.Join(w.t.Context(), coordinator.NodeOptions{
		Store: w.store, Coordinator: w.coord, CommitDeadline: deadline,
		Info: coordinator.NodeInfo{ID: 1}, Clock: w.clock,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) close() {
	w.t.Helper()
	if err := w.node.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// clean starts a Cleaner, which the test closes.
func (w *world) clean(change func(*cleanup.Options)) *cleanup.Cleaner {
	w.t.Helper()
	o := cleanup.Options{Node: w.node, Store: w.store, Pace: cleanup.NewPace(64 * mib), CommitDeadline: deadline,
		Grace: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	c, err := cleanup.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) stop(c *cleanup.Cleaner) {
	w.t.Helper()
	if err := c.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) part(i int32) segments.Partition { return segments.Partition{Topic: w.topic, Index: i} }

// write writes one segment with a batch of about that size for each of these partitions.
func (w *world) write(size int, parts ...int32) segments.ID {
	w.t.Helper()
	now := w.writers()
	id := segments.NewID(now)
	var data []segments.RunData
	for _, i := range parts {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(w.random.Uint32())
		}
		b, err := batch.Build([]batch.Record{{Timestamp: now.UnixMilli(), Value: value},
			{Timestamp: now.UnixMilli(), Value: []byte("x")}}, batch.NoProducer(batch.None))
		if err != nil {
			w.t.Fatal(err)
		}
		data = append(data, segments.RunData{Partition: w.part(i), Batches: [][]byte{b}})
		at := w.part(i)
		b = slices.Clone(b)
		batch.SetBaseOffset(b, w.ends[at])
		w.ends[at] += 2
		w.written[at] = append(w.written[at], b...)
	}
	object, index, err := segments.EncodeMixed(id, data)
	if err == nil {
		err = w.store.Put(w.t.Context(), id.Key(), object)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(id, index)
	return id
}

func (w *world) commit(id segments.ID, index []segments.Run) {
	w.t.Helper()
	req := coordinator.CommitRequest{Segment: id}
	for _, run := range index {
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: run.Partition, Position: run.Position,
			Batches: []coordinator.CommitBatch{{Length: int32(run.Length), Records: int32(run.Records),
				MaxTimestamp: run.MaxTimestamp, ProducerID: -1}}})
	}
	life, err := w.node.Life(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := life.Commit(w.t.Context(), req)
	if err == nil {
		err = life.Settle(w.t.Context(), answer.Entry)
	}
	if err == nil {
		err = w.node.CatchUp(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// spans are those of a partition.
func (w *world) spans(i int32) []coordinator.Span { return w.node.View().Spans(w.part(i), 0, 1<<20) }

// read reads what a partition holds from the bucket.
func (w *world) read(i int32) ([]byte, error) {
	var all []byte
	var list []coordinator.Span
	info, _ := w.node.View().Partition(w.part(i))
	for s, err := range coordinator.Expand(w.t.Context(), w.store, w.part(i), w.spans(i), info.LogStart) {
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	for b, err := range (&spans.Reader{Store: w.store}).Batches(w.t.Context(), list) {
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// same checks that all partitions hold what was written, from the log start on.
func (w *world) same() {
	w.t.Helper()
	for at, want := range w.written {
		got, err := w.read(at.Index)
		if err != nil {
			w.t.Errorf("partition %d: %v", at.Index, err)
			continue
		}
		info, _ := w.node.View().Partition(at)
		if info.HighWatermark != w.ends[at] {
			w.t.Errorf("partition %d ends at %d, not %d", at.Index, info.HighWatermark, w.ends[at])
		}
		if rest, whole := bytes.CutSuffix(want, got); !whole {
			w.t.Errorf("partition %d: %d bytes, not the last of the %d that were written", at.Index, len(got), len(want))
		} else if info.LogStart == 0 && len(rest) > 0 {
			w.t.Errorf("partition %d: the first %d bytes are missing", at.Index, len(rest))
		}
	}
}

// audit checks that the bucket holds what is needed, and how much that nothing needs any more.
func (w *world) audit(garbage int) {
	w.t.Helper()
	report, err := coordinator.Audit(w.t.Context(), w.store,
		coordinator.AuditOptions{CommitDeadline: deadline, Grace: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(report.Missing) > 0 || len(report.Leaked) > 0 {
		w.t.Errorf("missing %v, leaked %v", report.Missing, report.Leaked)
	}
	if n := report.Tallies[coordinator.Young].Objects + report.Tallies[coordinator.Uncollected].Objects; n != garbage {
		w.t.Errorf("%d objects are garbage, not %d: %v", n, garbage, fmt.Sprint(report.Tallies))
	}
}
