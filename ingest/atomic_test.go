package ingest

import (
	"errors"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// atomicRequest is the batches of a request with that number, for some partitions.
func atomicRequest(request int32, offsets *coordinator.CommitOffsets, ps ...segments.Partition) []Batch {
	a := &coordinator.Atomic{Batches: len(ps), Offsets: offsets}
	batches := make([]Batch, len(ps))
	for i, p := range ps {
		batches[i] = keyedBatch(p, request, 2)
		batches[i].Atomic = a
	}
	return batches
}

// wantAtomic compares what became of a request.
func wantAtomic(t *testing.T, what string, w *Writer, want error, batches ...Batch) []Result {
	t.Helper()
	results := answers(t, w, batches...)
	if err := AtomicError(results); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	return results
}

// An atomic request goes through the writer, among others' batches, and survives a restart; what is
// refused leaves nothing behind.
func TestAtomicEmbedded(t *testing.T) {
	store := memory.New()
	n := openNode(t, store)
	ps, others := createTopic(t, n, 3), createTopic(t, n, 2)
	w := openWriter(t, store, n, nil)
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := life.Acquire(t.Context(), "group/7", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	offsets := func(version uint64, epoch uint64) *coordinator.CommitOffsets {
		return &coordinator.CommitOffsets{Lease: lease.Name, Epoch: epoch, Version: version, Group: "g",
			Offsets: []coordinator.GroupOffset{{Partition: ps[2], Offset: int64(version), LeaderEpoch: -1}}}
	}
	plain, err := w.Append(t.Context(), []Batch{newBatch(ps[0], -1, 0, 3, 50)})
	if err != nil {
		t.Fatal(err)
	}
	first := wantAtomic(t, "a request", w, nil, atomicRequest(1, offsets(40, lease.Epoch), ps[0], others[1])...)
	if first[0].BaseOffset != 3 || first[1].BaseOffset != 0 {
		t.Errorf("it is answered with %+v", first)
	}
	<-plain.Done()
	committed := func(n *coordinator.Node) int64 {
		o, _ := n.View().Committed("g", ps[2])
		return o.Offset
	}
	if committed(n) != 40 {
		t.Errorf("when it is answered its offset is %d", committed(n))
	}
	again := wantAtomic(t, "the same again", w, coordinator.ErrDuplicate,
		atomicRequest(1, offsets(41, lease.Epoch), ps[0], others[1])...)
	if again[0].BaseOffset != 3 || again[1].BaseOffset != 0 || committed(n) != 40 {
		t.Errorf("a duplicate is answered with %+v, its offset is %d", again, committed(n))
	}
	wantAtomic(t, "a lease that is not held", w, coordinator.ErrLeaseLost,
		atomicRequest(2, offsets(42, lease.Epoch+1), ps[1], others[0])...)
	nowhere := others[0]
	nowhere.Index = 7
	wantAtomic(t, "a partition that does not exist", w, coordinator.ErrUnknownPartition,
		atomicRequest(2, offsets(43, lease.Epoch), ps[1], nowhere)...)
	if info, _ := n.View().Partition(ps[1]); info.HighWatermark != 0 || committed(n) != 40 {
		t.Errorf("what is refused leaves %+v, and offset %d", info, committed(n))
	}
	closeWriter(t, w)
	closeNode(t, n)

	n = openNode(t, store)
	defer closeNode(t, n)
	w = openWriter(t, store, n, nil)
	defer closeWriter(t, w)
	if committed(n) != 40 {
		t.Errorf("after a restart its offset is %d", committed(n))
	}
	wantAtomic(t, "the same after a restart", w, coordinator.ErrDuplicate, atomicRequest(1, nil, ps[0], others[1])...)
	wantAtomic(t, "a lease of before the restart", w, coordinator.ErrLeaseLost,
		atomicRequest(2, offsets(44, lease.Epoch), ps[1], others[0])...)
}

// Many requests at once share segments with each other, two with one key do not; each is whole.
func TestAtomicManyAtOnce(t *testing.T) {
	store := memory.New()
	n := openNode(t, store)
	defer closeNode(t, n)
	ps := createTopic(t, n, 4)
	w := openWriter(t, store, n, func(o *Options) { o.FlushBytes = 2000 })
	defer closeWriter(t, w)
	const requests = 100
	var pending []*Pending
	for i := range int32(requests) {
		for range 2 { // each twice
			p, err := w.Append(t.Context(), atomicRequest(i, nil, ps[i%4], ps[(i+1)%4]))
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, p)
		}
	}
	written := 0
	for i, p := range pending {
		results, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch err := AtomicError(results); {
		case err == nil:
			written++
		case !errors.Is(err, coordinator.ErrDuplicate):
			t.Errorf("append %d: %v", i, err)
		}
	}
	records := int64(0)
	for _, at := range ps {
		info, _ := n.View().Partition(at)
		records += info.HighWatermark
	}
	if written != requests || records != 4*requests {
		t.Errorf("%d requests and %d records are written, should be %d and %d", written, records, requests, 4*requests)
	}
}

// Batches that do not make an atomic request are refused before they share a segment with others.
func TestAtomicIsChecked(t *testing.T) {
	p, other := segments.Partition{}, segments.Partition{Index: 1}
	good := func() []Batch { return atomicRequest(1, nil, p, other) }
	if err := checkAtomic(good()); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func([]Batch){
		"one partition twice":    func(b []Batch) { b[1].Partition = p },
		"another key":            func(b []Batch) { b[1].Key = keyedBatch(p, 2, 2).Key },
		"no key":                 func(b []Batch) { b[1].Key = nil },
		"a batch of nobody":      func(b []Batch) { b[1].Atomic = nil },
		"a batch of another":     func(b []Batch) { b[1].Atomic = &coordinator.Atomic{Batches: 2} },
		"another number of them": func(b []Batch) { b[0].Atomic.Batches = 3 },
	} {
		b := good()
		change(b)
		if err := checkAtomic(b); !errors.Is(err, batch.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bad := atomicRequest(1, &coordinator.CommitOffsets{Group: "g"}, p)
	if err := checkAtomic(bad); err == nil {
		t.Error("offsets without a lease are taken")
	}
}

// Of what became of the batches of a request, the reason for it counts.
func TestAtomicError(t *testing.T) {
	for want, of := range map[error][]error{
		nil:                             {nil, nil},
		coordinator.ErrDuplicate:        {coordinator.ErrDuplicate, coordinator.ErrDuplicate},
		coordinator.ErrKeyReused:        {coordinator.ErrNotWhole, coordinator.ErrKeyReused, coordinator.ErrNotWhole},
		coordinator.ErrUnknownPartition: {coordinator.ErrDuplicate, coordinator.ErrUnknownPartition},
		ErrInDoubt:                      {ErrInDoubt, ErrInDoubt},
	} {
		var results []Result
		for _, err := range of {
			results = append(results, Result{Err: err})
		}
		if got := AtomicError(results); got != want {
			t.Errorf("%v: %v, want %v", of, got, want)
		}
	}
}
