package coordinatortest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunAtomic runs the part of the suite that is about atomic requests.
func RunAtomic(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, *atomicFixture){
		"Whole":        testAtomicWhole,
		"Refused":      testAtomicRefused,
		"Lease":        testAtomicLease,
		"Duplicate":    testAtomicDuplicate,
		"Again":        testAtomicAgain,
		"Side by side": testAtomicSideBySide,
		"Reopened":     testAtomicReopened,
		"Malformed":    testAtomicMalformed,
	} {
		t.Run(name, func(t *testing.T) {
			f := &atomicFixture{fixture: newFixture(t, open(t))}
			f.topicID, f.created = f.newTopic(3)
			test(t, f)
		})
	}
}

// atomicFixture is a fixture with a topic of three partitions.
type atomicFixture struct {
	*fixture
	topicID segments.TopicID
	created coordinator.Entry
}

func (f *atomicFixture) at(index int32) segments.Partition {
	return segments.Partition{Topic: f.topicID, Index: index}
}

// lease is one that lasts.
func (f *atomicFixture) lease() coordinator.Lease {
	f.t.Helper()
	lease, err := f.Acquire(f.t.Context(), f.in, "groups/7", "a", time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	return lease
}

// atomic is a commit of a request with that key and two records for each of these partitions.
func (f *atomicFixture) atomic(key byte, indexes ...int32) coordinator.CommitRequest {
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now()),
		Atomic: []coordinator.Atomic{{Batches: len(indexes)}}}
	for i, index := range indexes {
		b := withKey(2, newKey(key, 1))
		b.Length, b.Atomic = 90, 1
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: f.at(index), Position: int64(32 + 90*i),
			Batches: []coordinator.CommitBatch{b}})
	}
	return req
}

// with adds offsets.
func (f *atomicFixture) with(req coordinator.CommitRequest, lease coordinator.Lease, version uint64,
	offset int64) coordinator.CommitRequest {
	req.Atomic = slices.Clone(req.Atomic)
	req.Atomic[0].Offsets = &coordinator.CommitOffsets{Lease: lease.Name, Epoch: lease.Epoch, Version: version, Group: "g",
		Offsets: []coordinator.GroupOffset{{Partition: f.at(2), Offset: offset, LeaderEpoch: -1},
			{Partition: f.at(0), Offset: 1, LeaderEpoch: -1}}}
	return req
}

// wantRuns compares the answers of runs of one batch: offsets, or errors.
func (f *atomicFixture) wantRuns(what string, answer coordinator.CommitAnswer, want ...any) {
	f.t.Helper()
	if len(answer.Runs) != len(want) {
		f.t.Fatalf("%s: %d runs are answered, should be %d", what, len(answer.Runs), len(want))
	}
	for i := range want {
		f.wantBatches(fmt.Sprintf("%s, run %d", what, i), coordinator.CommitAnswer{Runs: answer.Runs[i:]}, want[i])
	}
}

func testAtomicWhole(t *testing.T, f *atomicFixture) {
	lease := f.lease()
	f.confirm(f.commit(request(f.at(1), plain(5))).Entry)
	req := f.with(f.atomic(1, 0, 1), lease, 40, 7)
	answer := f.commit(req)
	f.wantRuns("a request", answer, 0, 5)
	c := answer.Entry.Fact.Commit
	if len(c.Spans) != 2 || c.Spans[0].Atomic != 1 || c.Spans[1].Atomic != 1 || len(c.Spans[1].Keyed) != 1 ||
		c.Spans[1].Keyed[0].BaseOffset != 5 || c.Spans[1].Keyed[0].Time == 0 || c.Spans[1].Span.Position != 122 {
		t.Fatalf("decided was %+v", c)
	}
	if len(c.Atomic) != 1 || c.Atomic[0].Number != 1 || c.Atomic[0].Time != c.Spans[0].Keyed[0].Time ||
		c.Atomic[0].Group != "g" || c.Atomic[0].Epoch != lease.Epoch || len(c.Atomic[0].Partitions) != 2 ||
		c.Atomic[0].Partitions[0].Partition != f.at(0) || c.Atomic[0].Partitions[1].Version != 40 ||
		c.Atomic[0].Partitions[1].Offset != 7 {
		t.Errorf("its offsets are %+v", c.Atomic)
	}
	if followed := f.entries(answer.Entry.Seq-1, answer.Entry.Seq); string(coordinator.AppendFact(nil,
		followed[0].Fact)) != string(coordinator.AppendFact(nil, answer.Entry.Fact)) {
		t.Errorf("the stream has %+v", followed[0].Fact.Commit)
	}
	if v := commitOffsets(t, f.fixture, f.in, lease).Fact.Offsets.Version; v <= 40 {
		t.Errorf("a barrier has version %d, a request's offsets have 40", v)
	}
	f.confirm(answer.Entry)
	bare := f.commit(f.atomic(2, 2))
	f.wantRuns("a request without offsets", bare, 0)
	if len(bare.Entry.Fact.Commit.Atomic) > 0 {
		t.Errorf("it lets %+v count", bare.Entry.Fact.Commit.Atomic)
	}
}

// What cannot be written refuses all of it, and nothing of it is kept.
func testAtomicRefused(t *testing.T, f *atomicFixture) {
	req := f.with(f.atomic(1, 0, 7, 1), f.lease(), 9, 3)
	answer := f.commit(req)
	f.wantRuns("a partition that does not exist", answer, coordinator.ErrNotWhole, coordinator.ErrUnknownPartition,
		coordinator.ErrNotWhole)
	if answer.Entry.Seq != 0 {
		t.Errorf("it became entry %d", answer.Entry.Seq)
	}
	f.wantRuns("once more", f.commit(req), coordinator.ErrNotWhole, coordinator.ErrUnknownPartition,
		coordinator.ErrNotWhole)
	f.wantRuns("the same key, possible", f.commit(f.atomic(1, 0, 1)), 0, 0)
	few := f.atomic(2, 0, 1)
	few.Atomic[0].Batches = 3
	f.wantRuns("a batch too few", f.commit(few), coordinator.ErrNotWhole, coordinator.ErrNotWhole)
	f.wantBatches("what comes next", f.commit(request(f.at(1), plain(1))), 2)
}

// A lease that is lost refuses records and offsets.
func testAtomicLease(t *testing.T, f *atomicFixture) {
	lease := f.lease()
	lost := lease
	lost.Epoch++
	f.wantRuns("an epoch that nobody has", f.commit(f.with(f.atomic(1, 0, 1), lost, 9, 3)), coordinator.ErrLeaseLost,
		coordinator.ErrLeaseLost)
	lost.Epoch = lease.Epoch - 1<<32
	f.wantRuns("of another incarnation", f.commit(f.with(f.atomic(2, 0, 1), lost, 9, 3)), coordinator.ErrLeaseLost,
		coordinator.ErrLeaseLost)
	late := f.with(f.atomic(3, 0, 1), lease, 9, 3)
	f.want("giving it up", f.Release(t.Context(), f.in, lease.Name, "a", lease.Epoch), nil)
	refused := f.commit(late)
	f.wantRuns("one that was given up", refused, coordinator.ErrLeaseLost, coordinator.ErrLeaseLost)
	if refused.Entry.Seq != 0 {
		t.Errorf("it became entry %d", refused.Entry.Seq)
	}
	next := f.lease()
	if next.Epoch == lease.Epoch {
		t.Fatal("a lease that was given up has the same epoch again")
	}
	f.wantRuns("the same commit again", f.commit(late), coordinator.ErrLeaseLost, coordinator.ErrLeaseLost)
	answer := f.commit(f.with(f.atomic(3, 0, 1), next, 9, 3))
	f.wantRuns("the next holder's, with the same key", answer, 0, 0)
	f.confirm(answer.Entry)
	f.wantRuns("a duplicate, under a lost lease", f.commit(f.with(f.atomic(3, 0, 1), lease, 10, 3)),
		coordinator.ErrDuplicate, coordinator.ErrDuplicate)
	short, err := f.Acquire(t.Context(), f.in, "groups/8", "a", TTL)
	if err != nil {
		t.Fatal(err)
	}
	f.Advance(TTL + time.Millisecond)
	f.wantRuns("a lease that has expired", f.commit(f.with(f.atomic(4, 0, 1), short, 11, 3)), coordinator.ErrLeaseLost,
		coordinator.ErrLeaseLost)
}

// A key that any partition knows refuses all of the request.
func testAtomicDuplicate(t *testing.T, f *atomicFixture) {
	f.commit(request(f.at(0), plain(5)))
	f.wantRuns("the first try", f.commit(f.atomic(1, 0, 1)), 5, 0)
	again := f.commit(f.atomic(1, 0, 1))
	f.wantRuns("the second", again, coordinator.ErrDuplicate, coordinator.ErrDuplicate)
	if again.Entry.Seq != 0 || again.Runs[0][0].BaseOffset != 5 || again.Runs[1][0].BaseOffset != 0 {
		t.Errorf("a duplicate is answered %+v", again)
	}
	f.wantRuns("with one more partition", f.commit(f.atomic(1, 0, 1, 2)), coordinator.ErrDuplicate,
		coordinator.ErrDuplicate, coordinator.ErrNotWhole)
	reused := f.atomic(1, 2, 1)
	for i := range reused.Runs {
		reused.Runs[i].Batches[0].Key = newKey(1, 2)
	}
	f.wantRuns("another body", f.commit(reused), coordinator.ErrKeyReused, coordinator.ErrKeyReused)
}

// A commit that comes again has the answer that it had.
func testAtomicAgain(t *testing.T, f *atomicFixture) {
	lease := f.lease()
	req := f.with(f.atomic(1, 0, 1), lease, 9, 3)
	first := f.commit(req)
	again := f.commit(req)
	f.wantRuns("again", again, 0, 0)
	if again.Entry.Seq != first.Entry.Seq || len(again.Entry.Fact.Commit.Atomic) != 1 {
		t.Errorf("again it is %+v, was %+v", again.Entry, first.Entry)
	}
	f.confirm(first.Entry)
	again = f.commit(req)
	f.wantRuns("when it is confirmed", again, 0, 0)
	if again.Entry.Seq != 0 {
		t.Errorf("when it is confirmed it is entry %d", again.Entry.Seq)
	}
	part := req
	part.Runs = req.Runs[1:]
	f.wantRuns("a part of it", f.commit(part), 0)
}

// Requests share a segment with others' batches, and one that is refused refuses nobody else.
func testAtomicSideBySide(t *testing.T, f *atomicFixture) {
	req := f.atomic(1, 0, 1)
	second := f.atomic(2, 1, 5)
	req.Atomic = append(req.Atomic, second.Atomic[0])
	for i := range second.Runs {
		second.Runs[i].Position += 1000
		second.Runs[i].Batches[0].Atomic = 2
	}
	last := f.with(f.atomic(3, 1, 2), f.lease(), 9, 3)
	req.Atomic = append(req.Atomic, last.Atomic[0])
	for i := range last.Runs {
		last.Runs[i].Position += 2000
		last.Runs[i].Batches[0].Atomic = 3
	}
	other := plain(4)
	other.Length = 10
	last.Runs[0].Batches = append(last.Runs[0].Batches, other)
	last.Runs[1].Position += 10
	req.Runs = slices.Concat(req.Runs, second.Runs, last.Runs)
	answer := f.commit(req)
	f.wantRuns("three requests", answer, 0, 0, coordinator.ErrNotWhole, coordinator.ErrUnknownPartition, 2, 0)
	if a := answer.Runs[4][1]; a.Err != nil || a.BaseOffset != 4 {
		t.Errorf("the batch behind them has %+v", a)
	}
	c := answer.Entry.Fact.Commit
	if len(c.Spans) != 5 || c.Spans[1].Atomic != 1 || c.Spans[2].Atomic != 3 || c.Spans[3].Atomic != 0 ||
		len(c.Atomic) != 1 || c.Atomic[0].Number != 3 {
		t.Errorf("decided was %+v", c)
	}
}

// After a recovery the coordinator knows what was decided, and refuses what was not: leases are
// others.
func testAtomicReopened(t *testing.T, f *atomicFixture) {
	lease := f.lease()
	kept, lost := f.with(f.atomic(1, 0, 1), lease, 9, 3), f.with(f.atomic(2, 0, 1), lease, 10, 4)
	entry := f.commit(kept).Entry
	f.commit(lost)
	f.recover(f.created, entry)
	f.wantRuns("one that is in the journal", f.commit(kept), 0, 0)
	f.wantRuns("one that is not", f.commit(lost), coordinator.ErrLeaseLost, coordinator.ErrLeaseLost)
	f.wantRuns("the first with another segment", f.commit(f.atomic(1, 0, 1)), coordinator.ErrDuplicate,
		coordinator.ErrDuplicate)
	f.wantRuns("the second with the new lease", f.commit(f.with(f.atomic(2, 0, 1), f.lease(), 11,
		4)), 2, 2)
	if v := commitOffsets(t, f.fixture, f.in, f.lease()).Fact.Offsets.Version; v <= 11 {
		t.Errorf("a barrier has version %d, a request's offsets have 11", v)
	}
}

func testAtomicMalformed(t *testing.T, f *atomicFixture) {
	lease := f.lease()
	for name, req := range map[string]func() coordinator.CommitRequest{
		"two batches in one partition": func() coordinator.CommitRequest { return f.atomic(1, 0, 0) },
		"a batch of no request": func() coordinator.CommitRequest {
			req := f.atomic(1, 0)
			req.Atomic = nil
			return req
		},
		"a batch without a key": func() coordinator.CommitRequest {
			req := f.atomic(1, 0)
			req.Runs[0].Batches[0].Key = nil
			return req
		},
		"the key of another": func() coordinator.CommitRequest {
			req := f.atomic(1, 0)
			b := withKey(1, newKey(1, 1))
			b.Length = 10
			req.Runs[0].Batches = append(req.Runs[0].Batches, b)
			return req
		},
		"offsets without a version": func() coordinator.CommitRequest { return f.with(f.atomic(1, 0), lease, 0, 1) },
		"no batches": func() coordinator.CommitRequest {
			req := f.atomic(1, 0)
			req.Atomic[0].Batches = 0
			return req
		},
	} {
		_, err := f.Commit(t.Context(), f.in, req())
		f.want(name, err, coordinator.ErrMalformed)
	}
}
