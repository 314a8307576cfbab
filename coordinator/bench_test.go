package coordinator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/segments/memory"
)

var benchTopic = segments.TopicID{9}

// benchRequest is a segment with one idempotent batch for each of 12 partitions.
func benchRequest(sequence int32) CommitRequest {
	req := CommitRequest{Segment: segments.NewID(time.Now())}
	for i := range int32(12) {
		batch := CommitBatch{Length: 10_000, Records: 10, MaxTimestamp: 1e12, ProducerID: int64(i), BaseSequence: sequence}
		req.Runs = append(req.Runs, CommitRun{
			Partition: segments.Partition{Topic: benchTopic, Index: i},
			Position:  int64(i) * 10_000,
			Batches:   []CommitBatch{batch},
		})
	}
	return req
}

func benchState(in Incarnation) *State {
	s := NewState(in, "cluster")
	s.applyTopic(&TopicFact{ID: benchTopic, Name: "bench", Version: 1, Partitions: 12})
	return s
}

// benchFacts are commits of n segments with 12 partitions each.
func benchFacts(tb testing.TB, n int) []*Fact {
	e := NewEmbedded(EmbeddedOptions{Retain: 1 << 30})
	if err := e.Open(context.Background(), benchState(1)); err != nil {
		tb.Fatal(err)
	}
	facts := make([]*Fact, n)
	for i := range facts {
		answer, err := e.Commit(context.Background(), 1, benchRequest(int32(i*10)))
		if err != nil {
			tb.Fatal(err)
		}
		facts[i] = answer.Entry.Fact
	}
	return facts
}

func BenchmarkCommit(b *testing.B) {
	e := NewEmbedded(EmbeddedOptions{})
	if err := e.Open(b.Context(), benchState(1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	sequence := int32(0)
	for b.Loop() {
		answer, err := e.Commit(b.Context(), 1, benchRequest(sequence))
		if err != nil || answer.Runs[0][0].Err != nil {
			b.Fatal(err, answer.Runs)
		}
		if err := e.Confirm(b.Context(), 1, []uint64{answer.Entry.Seq}); err != nil {
			b.Fatal(err)
		}
		sequence = lastSequence(sequence, 11)
	}
}

func BenchmarkApply(b *testing.B) {
	facts := benchFacts(b, 10_000)
	b.ReportAllocs()
	var s *State
	i := 0
	for b.Loop() {
		if i%len(facts) == 0 {
			s = benchState(1)
		}
		if err := s.Apply(facts[i%len(facts)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkAppendFact(b *testing.B) {
	fact := benchFacts(b, 1)[0]
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendFact(buf[:0], fact)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeFact(b *testing.B) {
	buf := AppendFact(nil, benchFacts(b, 1)[0])
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := DecodeFact(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func benchView(b *testing.B) *View {
	s := benchState(1)
	for _, f := range benchFacts(b, 10_000) {
		if err := s.Apply(f); err != nil {
			b.Fatal(err)
		}
	}
	return NewView(s)
}

func BenchmarkView(b *testing.B) {
	v := benchView(b)
	at := segments.Partition{Topic: benchTopic, Index: 5}
	for name, lookup := range map[string]func(i int64) bool{
		"Spans":      func(i int64) bool { return len(v.Spans(at, i*7919%100_000, 4)) > 0 },
		"SpanByTime": func(int64) bool { _, ok := v.SpanByTime(at, 1e12); return ok },
		"Partition":  func(int64) bool { _, ok := v.Partition(at); return ok },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				if !lookup(i) {
					b.Fatal("nothing found")
				}
			}
		})
	}
}

// BenchmarkSnapshot is the state of a million records in 10,000 segments: 120,000 spans.
func BenchmarkSnapshot(b *testing.B) {
	o := snapshotObject{incarnation: 1, state: benchView(b).state}
	object := o.encode()
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(object)))
		for b.Loop() {
			o.encode()
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(object)))
		for b.Loop() {
			if _, err := decodeSnapshotObject(object); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAcknowledge is the whole way of a commit through a node, on a store that takes no time:
// commit, journal, confirm, follow, wait.
func BenchmarkAcknowledge(b *testing.B) {
	store := memory.New()
	opts := NodeOptions{Store: store, Coordinator: NewEmbedded(EmbeddedOptions{}), SnapshotObjects: 1 << 30}
	n, err := Join(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close(context.Background())
	create := &CreateTopic{ID: benchTopic, Name: "bench", Partitions: 12}
	if _, err := n.Change(b.Context(), Change{CreateTopic: create}); err != nil {
		b.Fatal(err)
	}
	life, err := n.Life(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	sequence := int32(0)
	for b.Loop() {
		req := benchRequest(sequence)
		answer, err := life.Commit(b.Context(), req)
		if err == nil {
			err = life.Settle(b.Context(), answer.Entry)
		}
		if err == nil {
			err = n.CatchUp(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		sequence = lastSequence(sequence, 11)
	}
}

// BenchmarkJoin is the start of a process on the file store: with an empty directory, and
// with a million records in 10,000 segments, of which the journal has the last facts in
// objects of one commit each.
func BenchmarkJoin(b *testing.B) {
	for name, facts := range map[string]int{"Empty": 0, "Million": 10_000} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				store, err := file.Open(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				if facts > 0 {
					fill(b, store, facts)
				}
				b.StartTimer()
				n, err := Join(b.Context(), NodeOptions{Store: store, Coordinator: NewEmbedded(EmbeddedOptions{})})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				got, _ := n.View().Partition(segments.Partition{Topic: benchTopic, Index: 1})
				if got.HighWatermark != int64(facts*10) {
					b.Fatalf("partition is %+v", got)
				}
				if err := errors.Join(n.Close(context.Background()), store.Close()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// fill puts into the bucket a cluster that has written n segments, the last thousand of them
// since its newest snapshot.
func fill(b *testing.B, store segments.Store, n int) {
	put := func(key string, body []byte) {
		if err := store.Put(b.Context(), key, body); err != nil {
			b.Fatal(err)
		}
	}
	first, opening := incarnationObject{n: 1}, snapshotObject{incarnation: 1, state: benchState(1)}
	put(incarnationKey(1), first.encode())
	put(snapshotKey(1, 0), opening.encode())
	c := chain{store: store, life: "life", generation: Generation{Incarnation: 1}, clock: time.Now}
	if _, err := c.begin(b.Context(), ""); err != nil {
		b.Fatal(err)
	}
	facts := benchFacts(b, n)
	snapshot := snapshotObject{incarnation: 1, n: 1, covers: map[string]cover{"life": {upTo: 0}}, state: benchState(1)}
	for _, f := range facts[:n-1000] {
		if err := snapshot.state.Apply(f); err != nil {
			b.Fatal(err)
		}
	}
	put(snapshotKey(1, 1), snapshot.encode())
	for i, f := range facts[n-1000:] {
		if err := c.put(b.Context(), c.object([][]byte{AppendFact(nil, f)})); err != nil {
			b.Fatal(fmt.Errorf("object %d: %w", i, err))
		}
	}
}
