package cleanup

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
)

// BenchmarkMerge merges 240 MiB of one of four partitions out of 256 mixed segments in a directory,
// and then again what came of it, without a limit to the rate. It says how far the heap grew.
func BenchmarkMerge(b *testing.B) {
	store, err := file.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	const deadline = time.Second
	node, err := coordinator.Join(b.Context(), coordinator.NodeOptions{Store: store, CommitDeadline: deadline,
		Coordinator: embedded.New(embedded.Options{CommitDeadline: deadline}), Info: coordinator.NodeInfo{ID: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer node.Close(b.Context())
	at := segments.Partition{Topic: segments.NewTopicID()}
	if _, err := node.Change(b.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: at.Topic, Name: "a",
		Partitions: 4}}); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 64*kib)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	one, err := batch.Build([]batch.Record{{Value: value}}, batch.NoProducer(batch.None))
	if err != nil {
		b.Fatal(err)
	}
	for range 256 {
		writeMixed(b, node, store, at.Topic, slices.Repeat([][]byte{one}, 15))
	}
	if err := node.CatchUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	c, err := prepare(Options{Node: node, Store: store, Pace: NewPace(100 << 30), CommitDeadline: deadline})
	if err != nil {
		b.Fatal(err)
	}
	h, err := c.take(b.Context(), leaseOf(at))
	if err != nil {
		b.Fatal(err)
	}
	defer h.letGo()
	j := &job{hold: h, at: at}
	grown := heapGrowth()
	for b.Loop() {
		spans, after := node.View().Plan(at, 0, 1<<20)
		if err := j.merge(spans, after); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(sumLength(spans))
	}
	b.ReportMetric(float64(grown())/mib, "MiB-heap")
}

// writeMixed writes a mixed segment with the same batches, of a record each, for each of four
// partitions.
func writeMixed(b *testing.B, node *coordinator.Node, store segments.Store, topic segments.TopicID, batches [][]byte) {
	var data []segments.RunData
	for i := range int32(4) {
		data = append(data, segments.RunData{Partition: segments.Partition{Topic: topic, Index: i}, Batches: batches})
	}
	id := segments.NewID(time.Now())
	object, index, err := segments.EncodeMixed(id, data)
	if err != nil {
		b.Fatal(err)
	}
	req := coordinator.CommitRequest{Segment: id}
	for _, r := range index {
		run := coordinator.CommitRun{Partition: r.Partition, Position: r.Position}
		for range r.Batches {
			run.Batches = append(run.Batches, coordinator.CommitBatch{Length: int32(len(batches[0])), Records: 1,
				ProducerID: -1})
		}
		req.Runs = append(req.Runs, run)
	}
	life, err := node.Life(b.Context())
	if err == nil {
		err = store.Put(b.Context(), id.Key(), object)
	}
	if err != nil {
		b.Fatal(err)
	}
	answer, err := life.Commit(b.Context(), req)
	if err == nil {
		err = life.Settle(b.Context(), answer.Entry)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// heapGrowth watches how far the heap grows beyond what it is now.
func heapGrowth() (most func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	begun, highest := m.HeapAlloc, uint64(0)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapAlloc)
			}
		}
	})
	return func() uint64 {
		close(done)
		watching.Wait()
		return highest - min(begun, highest)
	}
}
