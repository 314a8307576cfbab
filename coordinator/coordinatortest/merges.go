package coordinatortest

import (
	"reflect"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunMerges runs the part of the suite that is about merges. open returns a new coordinator, each
// time it is called.
func RunMerges(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"OneAfterTheOther":       testMergesInTurn,
		"UnderALease":            testMergesUnderLease,
		"OverConfirmedSpansOnly": testMergesOverConfirmed,
		"OfNewObjectsOnly":       testMergesOfNewObjects,
		"OfOldSegmentsOnly":      testMergesOfOldSegments,
		"IntoOtherKindsOfSpans":  testMergesOfKinds,
		"GoWithTheirTopic":       testMergesGoWithTopic,
	} {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t, open(t))) })
	}
	t.Run("CountOnAfterARecovery", func(t *testing.T) { testMergesCountOn(t, &fixture{Subject: open(t), t: t, in: 1}) })
}

// merged asks for a merge of offsets base to last into one span.
func (f *fixture) merged(
	l coordinator.Lease, at segments.Partition, after uint64, base, last int64,
) (coordinator.Entry, error) {
	p := &coordinator.ProposeMerge{Lease: l.Name, Epoch: l.Epoch, After: after, Segment: segments.NewID(time.Now())}
	p.Merge = coordinator.Merge{Partition: at, Base: base, Last: last,
		Spans: []coordinator.Span{{Segment: p.Segment, Base: base, Last: last, Position: 32, Length: 100}}}
	return f.Propose(f.t.Context(), f.in, coordinator.Change{ID: segments.NewID(time.Now()), Merge: p})
}

// filled is a partition with so many confirmed records.
func (f *fixture) filled(name string, records int32) segments.Partition {
	at := segments.Partition{Topic: f.topic(name, 1)}
	f.confirm(f.commit(request(at, plain(records))).Entry)
	return at
}

func testMergesInTurn(t *testing.T, f *fixture) {
	at, other := f.filled("a", 10), f.filled("b", 10)
	lease := acquire(t, f, f.in, "a")
	first, err := f.merged(lease, at, 0, 0, 4)
	f.want("first merge", err, nil)
	m := first.Fact.Merge
	if m == nil || m.Partition != at || m.Version != 1 || m.Base != 0 || m.Last != 4 {
		t.Fatalf("decided was %+v", m)
	}
	if len(m.Spans) != 1 || m.Spans[0].Version != 1 {
		t.Fatalf("decided was %+v", m)
	}
	_, err = f.merged(lease, at, 0, 5, 9)
	f.want("a merge planned without knowing the first", err, coordinator.ErrMergedMeanwhile)
	_, err = f.merged(lease, at, 1, 5, 9)
	f.want("a merge before the first is confirmed", err, coordinator.ErrMergedMeanwhile)
	_, err = f.merged(lease, at, 2, 5, 9)
	f.want("a merge that knows more than there is", err, coordinator.ErrMergedMeanwhile)
	beside, err := f.merged(lease, other, 0, 0, 9)
	f.want("a merge of another partition", err, nil)
	f.confirm(first, beside)
	id := segments.NewID(time.Now())
	empty := coordinator.Change{ID: id, Merge: &coordinator.ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch, After: 1,
		Merge: coordinator.Merge{Partition: at, Base: 0, Last: 9}}}
	second, err := f.Propose(t.Context(), f.in, empty)
	f.want("second merge", err, nil)
	if m := second.Fact.Merge; m == nil || m.Version != 2 || len(m.Spans) != 0 {
		t.Errorf("decided was %+v", m)
	}
	again, err := f.Propose(t.Context(), f.in, empty)
	f.want("the second merge again", err, nil)
	if !reflect.DeepEqual(again, second) {
		t.Errorf("proposed again it is %+v, was %+v", again, second)
	}
	seen := f.entries(second.Seq-1, second.Seq)
	if !reflect.DeepEqual(seen[0].Fact, second.Fact) {
		t.Errorf("followers see %+v, decided was %+v", seen[0].Fact.Merge, second.Fact.Merge)
	}
}

func testMergesUnderLease(t *testing.T, f *fixture) {
	at := f.filled("a", 10)
	_, err := f.merged(coordinator.Lease{Name: "never held", Epoch: 1}, at, 0, 0, 9)
	f.want("a merge under a lease that nobody held", err, coordinator.ErrLeaseLost)
	first := acquire(t, f, f.in, "a")
	f.want("release", f.Release(t.Context(), f.in, first.Name, first.Holder, first.Epoch), nil)
	second := acquire(t, f, f.in, "b")
	_, err = f.merged(first, at, 0, 0, 9)
	f.want("a merge under a lease that another holds", err, coordinator.ErrLeaseLost)
	f.Advance(TTL + TTL/5)
	_, err = f.merged(second, at, 0, 0, 9)
	f.want("a merge under a lease that has run out", err, coordinator.ErrLeaseLost)
}

func testMergesOverConfirmed(t *testing.T, f *fixture) {
	at := f.filled("a", 5)
	lease := acquire(t, f, f.in, "a")
	pending := f.commit(request(at, plain(5))).Entry
	_, err := f.merged(lease, at, 0, 0, 9)
	f.want("a merge beyond the high watermark", err, coordinator.ErrOffsetRange)
	_, err = f.merged(lease, segments.Partition{Topic: at.Topic, Index: 7}, 0, 0, 0)
	f.want("a merge of no partition", err, coordinator.ErrUnknownPartition)
	_, err = f.merged(lease, at, 0, 3, 2)
	f.want("a merge of nothing", err, coordinator.ErrMalformed)
	f.confirm(pending)
	_, err = f.merged(lease, at, 0, 0, 9)
	f.want("a merge up to the high watermark", err, nil)
}

func testMergesOfNewObjects(t *testing.T, f *fixture) {
	at := f.filled("a", 5)
	lease := acquire(t, f, f.in, "a")
	propose := func(age time.Duration, spans ...coordinator.Span) error {
		p := &coordinator.ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch, Segment: segments.NewID(time.Now().Add(-age)),
			Merge: coordinator.Merge{Partition: at, Base: 0, Last: 4, Spans: spans}}
		for i := range spans {
			spans[i].Segment = p.Segment
		}
		_, err := f.Propose(t.Context(), f.in, coordinator.Change{ID: segments.NewID(time.Now()), Merge: p})
		return err
	}
	allowed, span := coordinator.MergeDeadline(f.Deadline), coordinator.Span{Last: 4, Length: 9}
	f.want("a merge into an object that may be gone", propose(allowed+f.Deadline, span), coordinator.ErrTooOld)
	f.want("a merge into an object of the future", propose(-2*f.Deadline, span), coordinator.ErrTooOld)
	f.want("a merge into an object that is older than a commit's may be", propose(allowed/2, span), nil)
}

// Whatever the planner takes the time to be: a segment that may be committed again is not merged.
func testMergesOfOldSegments(t *testing.T, f *fixture) {
	at := f.filled("a", 5)
	lease := acquire(t, f, f.in, "a")
	propose := func(age time.Duration) error {
		p := &coordinator.ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch,
			Youngest: segments.NewID(time.Now().Add(-age)), Merge: coordinator.Merge{Partition: at, Base: 0, Last: 4}}
		_, err := f.Propose(t.Context(), f.in, coordinator.Change{ID: segments.NewID(time.Now()), Merge: p})
		return err
	}
	f.want("a merge of a segment that was written now", propose(0), coordinator.ErrTooYoung)
	f.want("a merge of a segment whose writer's clock is ahead", propose(-f.Deadline/2), coordinator.ErrTooYoung)
	f.want("a merge of a segment that may be committed again", propose(f.Deadline), coordinator.ErrTooYoung)
	f.want("a merge of a segment that is too old to be committed", propose(f.Deadline+f.Deadline/5), nil)
}

// What a merge says of its spans reaches those who follow; what no span can be is refused.
func testMergesOfKinds(t *testing.T, f *fixture) {
	at := f.filled("a", 10)
	lease := acquire(t, f, f.in, "a")
	segment := segments.NewID(time.Now())
	propose := func(after uint64, spans ...coordinator.Span) (coordinator.Entry, error) {
		p := &coordinator.ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch, After: after, Segment: segment}
		p.Merge = coordinator.Merge{Partition: at, Last: 9, Spans: spans}
		return f.Propose(t.Context(), f.in, coordinator.Change{ID: segments.NewID(time.Now()), Merge: p})
	}
	compacted := coordinator.Span{Segment: segment, Base: 1, Last: 4, Position: 32, Length: 9,
		Compacted: true, Horizon: 77}
	rest := coordinator.Span{Segment: segment, Base: 6, Last: 9, Position: 41, Length: 9, Compacted: true}
	listed := coordinator.Span{Segment: segment, Base: 0, Last: 9, Length: 1 << 40, MaxTimestamp: 5, Listed: 10}
	_, err := propose(0, listed, compacted)
	f.want("a span that stands for others, and another", err, coordinator.ErrMalformed)
	first, err := propose(0, compacted, rest)
	f.want("compaction", err, nil)
	f.confirm(first)
	second, err := propose(1, listed)
	f.want("archiving", err, nil)
	for i, entry := range f.entries(first.Seq-1, second.Seq) {
		if entry.Fact == nil || entry.Fact.Merge == nil {
			continue
		}
		want := []coordinator.Span{compacted, rest}
		if entry.Seq == second.Seq {
			want = []coordinator.Span{listed}
		}
		for i := range want {
			want[i].Version = entry.Fact.Merge.Version
		}
		if !reflect.DeepEqual(entry.Fact.Merge.Spans, want) {
			t.Errorf("entry %d: followers see %+v, proposed was %+v", i, entry.Fact.Merge.Spans, want)
		}
	}
}

func testMergesGoWithTopic(t *testing.T, f *fixture) {
	at := f.filled("a", 5)
	lease := acquire(t, f, f.in, "a")
	first, err := f.merged(lease, at, 0, 0, 4)
	f.want("merge", err, nil)
	deleted := f.change(coordinator.Change{DeleteTopic: &at.Topic})
	f.confirm(first, deleted)
	_, err = f.merged(lease, at, 1, 0, 4)
	f.want("a merge of a topic that is deleted", err, coordinator.ErrUnknownPartition)
}

func testMergesCountOn(t *testing.T, f *fixture) {
	at := segments.Partition{Topic: segments.NewTopicID()}
	state := coordinator.NewState(f.in, "cluster")
	for _, fact := range []coordinator.Fact{
		{Topic: &coordinator.TopicFact{ID: at.Topic, Name: "a", Version: 1, Partitions: 1}},
		{Commit: &coordinator.Commit{Spans: []coordinator.CommitSpan{
			{Partition: at, Span: coordinator.Span{Last: 9, Length: 9}},
		}}},
		{Merge: &coordinator.Merge{Partition: at, Version: 1, Last: 9}},
	} {
		fact.Incarnation = f.in
		f.want("apply", state.Apply(&fact), nil)
	}
	f.want("open", f.Open(t.Context(), state), nil)
	lease := acquire(t, f, f.in, "a")
	_, err := f.merged(lease, at, 0, 0, 9)
	f.want("a merge that does not know of the one in the bucket", err, coordinator.ErrMergedMeanwhile)
	entry, err := f.merged(lease, at, 1, 0, 9)
	f.want("a merge that does", err, nil)
	if entry.Fact == nil || entry.Fact.Merge.Version != 2 {
		t.Errorf("decided was %+v", entry.Fact)
	}
}
