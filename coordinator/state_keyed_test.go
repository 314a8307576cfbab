package coordinator

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// keysFact is a commit of one batch of each of n requests, from number first on, at the end of
// partitions that have as many already.
func keysFact(first, n, partitions int) *Fact {
	f := &Fact{Incarnation: 1, Commit: &Commit{Segment: segments.NewID(time.Now())}}
	for at := range partitions {
		s := CommitSpan{Partition: segments.Partition{Topic: benchTopic, Index: int32(at)}}
		s.Span = Span{Segment: f.Commit.Segment, Base: int64(first), Last: int64(first + n - 1),
			Position: int64(at), Length: 1}
		for i := range n {
			k := Keyed{Partition: s.Partition, BaseOffset: int64(first + i), Records: 1, Time: 1_700_000_000_000}
			k.Partitions, k.Timestamp = 12, k.Time
			binary.BigEndian.PutUint64(k.ID[:], uint64(first+i)*0x9e3779b97f4a7c15)
			s.Keyed = append(s.Keyed, k)
		}
		f.Commit.Spans = append(f.Commit.Spans, s)
	}
	return f
}

func stateWithKeys(tb testing.TB, n, partitions int) *State {
	s := benchState(1)
	for first := 0; first < n/partitions; first += 100 {
		if err := s.Apply(keysFact(first, min(100, n/partitions-first), partitions)); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// A view finds requests in all partitions of a topic, counts them, and forgets them after a day,
// or with their topic.
func TestViewKeyed(t *testing.T) {
	state := stateWithKeys(t, 24, 12)
	v := NewView(state)
	k := keysFact(0, 2, 1).Commit.Spans[0].Keyed[1]
	found := v.Keyed(benchTopic, k.ID)
	if len(found) != 12 {
		t.Fatalf("found %d, should be 12", len(found))
	}
	k.Partition = segments.Partition{Topic: benchTopic, Index: 3}
	if found[3] != k {
		t.Errorf("found %+v", found)
	}
	if found := v.Keyed(benchTopic, [16]byte{1}); found != nil {
		t.Errorf("a request that nobody made: %+v", found)
	}
	if n := v.KeyCount(); n != 24 {
		t.Errorf("%d are remembered, should be 24", n)
	}
	again, err := decodeSnapshotObject((&snapshotObject{incarnation: 1, state: state}).encode())
	if err != nil || again.state.keys != 24 || state.clone(true).keys != 24 {
		t.Errorf("a snapshot remembers %d, a clone %d, %v", again.state.keys, state.clone(true).keys, err)
	}
	v.forget(func(newest time.Time) time.Time { return newest.Add(KeyExpiration) })
	if n := v.KeyCount(); n != 24 {
		t.Errorf("%d are left at the end of their time, should be 24", n)
	}
	v.forget(func(newest time.Time) time.Time { return newest.Add(KeyExpiration + time.Millisecond) })
	if n := v.KeyCount(); n != 0 || v.Keyed(benchTopic, k.ID) != nil {
		t.Errorf("%d are left after their time", n)
	}
	deletion := &TopicFact{ID: benchTopic, Name: "bench", Version: 2, Deleted: true}
	err = again.state.Apply(&Fact{Incarnation: 1, Topic: deletion})
	if err != nil || again.state.keys != 0 {
		t.Errorf("%d are left of a deleted topic, %v", again.state.keys, err)
	}
}

// A node whose clock is years ahead of the coordinator's does not forget what the coordinator
// remembers, in its view or in the snapshots that it writes.
func TestForgettingGoesByTheCoordinatorsClock(t *testing.T) {
	then := time.UnixMilli(1_700_000_000_000)
	store := memory.New()
	e := NewEmbedded(EmbeddedOptions{Clock: func() time.Time { return then }})
	n, err := Join(t.Context(), NodeOptions{Store: store, Coordinator: e})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	at := segments.Partition{Topic: segments.NewTopicID()}
	create := &CreateTopic{ID: at.Topic, Name: "a", Partitions: 1}
	if _, err := n.Change(t.Context(), Change{CreateTopic: create}); err != nil {
		t.Fatal(err)
	}
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch := CommitBatch{Length: 100, Records: 1, ProducerID: -1, Key: &RequestKey{Partitions: 1}}
	answer, err := life.Commit(t.Context(), oneBatch(segments.NewID(then), at, batch))
	if err == nil {
		err = life.Settle(t.Context(), answer.Entry)
	}
	if err == nil {
		err = n.CatchUp(t.Context())
	}
	if err == nil {
		err = n.snapshots.write(t.Context(), life)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.view.forget(n.commitClock.passed)
	if keys := n.view.KeyCount(); keys != 1 {
		t.Errorf("the view remembers %d requests, not 1", keys)
	}
	l := loader{store, 1}
	if s, err := l.newestSnapshot(t.Context(), life.incarnation); err != nil || s.n == 0 || s.state.keys != 1 {
		t.Errorf("snapshot %+v does not remember the request, %v", s, err)
	}
}

// What lies beyond a hole is not remembered before the hole is filled, nor when a
// recovery drops it.
func TestKeysBeyondAHole(t *testing.T) {
	s := benchState(1)
	if err := s.Apply(keysFact(5, 1, 1)); err != nil || s.keys != 0 {
		t.Errorf("beyond a hole %d are remembered, %v", s.keys, err)
	}
	filled, dropped := s.clone(false), s.clone(false)
	if err := filled.Apply(keysFact(0, 5, 1)); err != nil || filled.keys != 6 {
		t.Errorf("%d are remembered once the hole is filled, %v", filled.keys, err)
	}
	dropped.truncate()
	if err := dropped.Apply(keysFact(0, 5, 1)); err != nil || dropped.keys != 5 {
		t.Errorf("%d are remembered after a recovery, %v", dropped.keys, err)
	}
}

// BenchmarkKeys measures what a remembered request takes: in the memory of each State, and
// in snapshots and facts.
func BenchmarkKeys(b *testing.B) {
	for _, partitions := range []int{1, 12} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			const n = 240_000
			var heap float64
			var snapshot int
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				s := stateWithKeys(b, n, partitions)
				runtime.GC()
				runtime.ReadMemStats(&after)
				heap = float64(after.HeapAlloc - before.HeapAlloc)
				o := snapshotObject{incarnation: 1, state: s}
				snapshot = len(o.encode())
			}
			b.ReportMetric(heap/n, "heap-B/key")
			b.ReportMetric(float64(snapshot)/n, "snapshot-B/key")
			with, without := len(AppendFact(nil, keysFact(0, 100, 1))), len(AppendFact(nil, keysFact(0, 0, 1)))
			b.ReportMetric(float64(with-without)/100, "fact-B/key")
		})
	}
}

// BenchmarkCommitKeyed is BenchmarkCommit with a new request in each partition.
func BenchmarkCommitKeyed(b *testing.B) {
	e := NewEmbedded(EmbeddedOptions{})
	if err := e.Open(b.Context(), benchState(1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	number := uint64(0)
	for b.Loop() {
		req := benchRequest(0)
		for i := range req.Runs {
			number++
			batch, key := &req.Runs[i].Batches[0], &RequestKey{Partitions: 12}
			binary.BigEndian.PutUint64(key.ID[:], number)
			batch.ProducerID, batch.BaseSequence, batch.Key = -1, 0, key
		}
		answer, err := e.Commit(b.Context(), 1, req)
		if err != nil || answer.Runs[0][0].Err != nil {
			b.Fatal(err, answer.Runs)
		}
		if err := e.Confirm(b.Context(), 1, []uint64{answer.Entry.Seq}); err != nil {
			b.Fatal(err)
		}
	}
}
