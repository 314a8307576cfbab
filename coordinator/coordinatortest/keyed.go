package coordinatortest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunKeys runs the part of the suite that is about requests with a key.
func RunKeys(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"Duplicates":   testKeyDuplicates,
		"SameSegment":  testKeySameSegment,
		"Facts":        testKeyFacts,
		"Rejected":     testKeyRejected,
		"AtOnce":       testKeyAtOnce,
		"Recovery":     testKeyRecovery,
		"Hole":         testKeyHole,
		"Many":         testKeyMany,
		"DeletedTopic": testKeyDeletedTopic,
		"GrownTopic":   testKeyGrownTopic,
	} {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t, open(t))) })
	}
}

// RunKeyExpiration makes a coordinator that remembers keys for so long forget them. Its commit
// deadline is longer than that.
func RunKeyExpiration(t *testing.T, s Subject, expiration time.Duration) {
	f := newFixture(t, s)
	at := segments.Partition{Topic: f.topic("a", 1)}
	key := newKey(1, 1)
	f.confirm(f.commit(request(at, withKey(3, key))).Entry)
	f.Advance(expiration + time.Millisecond)
	other := newKey(1, 2)
	f.wantBatches("a key that has had its time is new", f.commit(request(at, withKey(2, other))), 3)
	again := f.commit(request(at, withKey(2, other)))
	f.wantBatches("and remembered anew", again, coordinator.ErrDuplicate)
	if again.Runs[0][0].BaseOffset != 3 {
		t.Errorf("the duplicate's original is at %d, should be at 3", again.Runs[0][0].BaseOffset)
	}
	f.wantBatches("the request that had it before", f.commit(request(at, withKey(3, key))), coordinator.ErrKeyReused)
}

func newKey(id, body byte) *coordinator.RequestKey {
	return &coordinator.RequestKey{ID: [16]byte{id}, Body: [16]byte{body}, Partitions: 2,
		Timestamp: 1_700_000_000_000 + int64(body)}
}

func withKey(records int32, key *coordinator.RequestKey) coordinator.CommitBatch {
	return coordinator.CommitBatch{Records: records, ProducerID: -1, Key: key}
}

// wantDuplicate wants the first batch to be a duplicate of one at offset.
func (f *fixture) wantDuplicate(what string, answer coordinator.CommitAnswer, offset int64) {
	f.t.Helper()
	if a := answer.Runs[0][0]; !errors.Is(a.Err, coordinator.ErrDuplicate) || a.BaseOffset != offset {
		f.t.Errorf("%s: got %+v, want a duplicate of offset %d", what, a, offset)
	}
}

// recover opens the next incarnation with the state of a journal of these entries, up to the first
// hole of each partition.
func (f *fixture) recover(journal ...coordinator.Entry) {
	f.t.Helper()
	state, err := coordinator.Recover(f.t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	if err != nil {
		f.t.Fatal(err)
	}
	ends := map[segments.Partition]int64{}
	for _, e := range journal {
		fact := *e.Fact
		fact.Incarnation = state.Incarnation()
		if fact.Commit != nil {
			kept := *fact.Commit
			beyond := func(s coordinator.CommitSpan) bool { return s.Span.Base != ends[s.Partition] }
			kept.Spans = slices.DeleteFunc(slices.Clone(kept.Spans), beyond)
			for _, s := range kept.Spans {
				ends[s.Partition] = s.Span.Last + 1
			}
			fact.Commit = &kept
		}
		if err := state.Apply(&fact); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.Open(f.t.Context(), state); err != nil {
		f.t.Fatal(err)
	}
	f.in = state.Incarnation()
}

// newTopic creates a topic and returns the entry as well.
func (f *fixture) newTopic(partitions int32) (segments.TopicID, coordinator.Entry) {
	f.t.Helper()
	id := segments.NewTopicID()
	create := &coordinator.CreateTopic{ID: id, Name: id.String(), Partitions: partitions}
	return id, f.change(coordinator.Change{CreateTopic: create})
}

func testKeyDuplicates(t *testing.T, f *fixture) {
	topic := f.topic("a", 2)
	at, other := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}
	f.commit(request(at, plain(5)))
	first := f.commit(request(at, withKey(3, newKey(1, 1))))
	f.wantBatches("the first try", first, 5)

	pending := f.commit(request(at, withKey(3, newKey(1, 1))))
	f.wantDuplicate("the same key and body, pending", pending, 5)
	if pending.Entry.Seq != 0 {
		t.Errorf("a duplicate became entry %d", pending.Entry.Seq)
	}
	f.wantBatches("another body, pending", f.commit(request(at, withKey(3, newKey(1, 2)))), coordinator.ErrKeyReused)
	f.confirm(first.Entry)
	f.wantDuplicate("the same key and body, confirmed", f.commit(request(at, withKey(3, newKey(1, 1)))), 5)
	reused := f.commit(request(at, withKey(3, newKey(1, 2))))
	f.wantBatches("another body, confirmed", reused, coordinator.ErrKeyReused)
	if reused.Runs[0][0].BaseOffset != -1 {
		t.Errorf("a key that is refused has offset %d", reused.Runs[0][0].BaseOffset)
	}

	f.wantBatches("the same key in another partition", f.commit(request(other, withKey(3, newKey(1, 1)))), 0)
	f.wantBatches("another key", f.commit(request(at, withKey(1, newKey(2, 1)))), 8)
	retried := newKey(1, 1)
	retried.Timestamp = 9
	f.wantDuplicate("another timestamp does not tell requests apart", f.commit(request(at, withKey(3, retried))), 5)
	retried.Partitions = 7
	f.wantBatches("the same, spread over more partitions", f.commit(request(at, withKey(3, retried))),
		coordinator.ErrOtherPartitions)

	both := withKey(1, newKey(3, 1))
	both.ProducerID = 1
	_, err := f.Commit(t.Context(), f.in, request(at, both))
	f.want("a key and a producer id", err, coordinator.ErrMalformed)
}

// testKeyGrownTopic has a request made again after its topic grew: to a partition that it did not
// touch, because its records were distributed anew.
func testKeyGrownTopic(t *testing.T, f *fixture) {
	topic, created := f.newTopic(3)
	part := func(index int32) segments.Partition { return segments.Partition{Topic: topic, Index: index} }
	grown := newKey(1, 1)
	grown.Partitions = 3
	before := f.commit(request(part(0), withKey(3, newKey(1, 1)))).Entry
	for _, when := range []string{"pending", "confirmed"} {
		more, other := request(part(2), withKey(3, grown)), request(part(1), withKey(3, newKey(1, 2)))
		f.wantBatches("for more partitions, "+when, f.commit(more), coordinator.ErrOtherPartitions)
		f.wantBatches("another body in another partition, "+when, f.commit(other), coordinator.ErrKeyReused)
		f.confirm(before)
	}
	rest := f.commit(request(part(1), withKey(2, newKey(1, 1)))).Entry
	f.recover(created, before, rest)
	f.wantBatches("for more partitions, after a recovery", f.commit(request(part(2), withKey(3, grown))),
		coordinator.ErrOtherPartitions)
	f.wantDuplicate("as it was, after a recovery", f.commit(request(part(1), withKey(2, newKey(1, 1)))), 0)
	f.recover(created)
	f.wantBatches("once nothing of it is left", f.commit(request(part(2), withKey(3, grown))), 0)
	f.wantBatches("as it was first", f.commit(request(part(0), withKey(3, newKey(1, 1)))), coordinator.ErrOtherPartitions)
}

// testKeySameSegment has tries of one request that meet in one segment, between other batches.
func testKeySameSegment(t *testing.T, f *fixture) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	req := request(at, plain(1), withKey(2, newKey(1, 1)), plain(1), withKey(2, newKey(1, 1)),
		withKey(2, newKey(1, 2)), idempotent(0, 0, 1), withKey(1, newKey(2, 1)))
	second := request(at, withKey(2, newKey(1, 1)), withKey(1, newKey(3, 1)))
	second.Runs[0].Position = 2000
	req.Runs = append(req.Runs, second.Runs...)
	answer := f.commit(req)
	want := []any{0, 1, 3, coordinator.ErrDuplicate, coordinator.ErrKeyReused, 4, 5}
	f.wantBatches("tries in one segment", answer, want...)
	if got := answer.Runs[0][3].BaseOffset; got != 1 {
		t.Errorf("the duplicate's original is at %d, should be at 1", got)
	}
	original := answer.Runs[1][0]
	if !errors.Is(original.Err, coordinator.ErrDuplicate) || original.BaseOffset != 1 {
		t.Errorf("another run of the partition got %+v", original)
	}
	if a := answer.Runs[1][1]; a.Err != nil || a.BaseOffset != 6 {
		t.Errorf("another run of the partition got %+v", a)
	}
	f.wantBatches("the same segment again", f.commit(req), want...)
	if spans := answer.Entry.Fact.Commit.Spans; len(spans) != 3 {
		t.Errorf("%d spans, should be 3: %+v", len(spans), spans)
	}
}

// testKeyFacts looks at what the commit stream says of keyed batches.
func testKeyFacts(t *testing.T, f *fixture) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	begin := f.settled()
	entry := f.commit(request(at, plain(4), withKey(2, newKey(1, 1)), withKey(1, newKey(2, 2)))).Entry
	got := f.entries(begin, entry.Seq)[0].Fact.Commit.Spans
	if len(got) != 1 || len(got[0].Keyed) != 2 {
		t.Fatalf("spans are %+v", got)
	}
	for i, want := range []coordinator.Keyed{
		{RequestKey: *newKey(1, 1), Partition: at, BaseOffset: 4, Records: 2},
		{RequestKey: *newKey(2, 2), Partition: at, BaseOffset: 6, Records: 1},
	} {
		k := got[0].Keyed[i]
		if age := time.Since(time.UnixMilli(k.Time)); age.Abs() > time.Minute {
			t.Errorf("it was committed %s ago", age)
		}
		if k.Time = 0; k != want {
			t.Errorf("the fact has\n%+v, should have\n%+v", k, want)
		}
	}
}

func testKeyRejected(t *testing.T, f *fixture) {
	topic := f.topic("a", 1)
	beyond := segments.Partition{Topic: topic, Index: 1}
	f.wantBatches("no such partition", f.commit(request(beyond, withKey(1, newKey(1, 1)))),
		coordinator.ErrUnknownPartition)
	f.change(coordinator.Change{Grow: &coordinator.Grow{Topic: topic, Partitions: 2}})
	f.wantBatches("a key that was rejected is not used", f.commit(request(beyond, withKey(1, newKey(1, 2)))), 0)
	reused := request(beyond, withKey(1, newKey(1, 3)))
	f.wantBatches("another body", f.commit(reused), coordinator.ErrKeyReused)
	f.wantBatches("the same segment", f.commit(reused), coordinator.ErrKeyReused)
	f.wantDuplicate("is not remembered", f.commit(request(beyond, withKey(1, newKey(1, 2)))), 0)
}

// testKeyAtOnce has one request tried from many sides: one writes it, for all others it is a
// duplicate of that one.
func testKeyAtOnce(t *testing.T, f *fixture) {
	const tries = 16
	at := segments.Partition{Topic: f.topic("a", 1)}
	answers := make([]coordinator.BatchAnswer, tries)
	var trying sync.WaitGroup
	for i := range tries {
		trying.Go(func() {
			answer, err := f.Commit(t.Context(), f.in, request(at, plain(1), withKey(2, newKey(1, 1))))
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = answer.Runs[0][1]
		})
	}
	trying.Wait()
	first := slices.IndexFunc(answers, func(a coordinator.BatchAnswer) bool { return a.Err == nil })
	if first < 0 {
		t.Fatalf("nobody has written it: %+v", answers)
	}
	for i, a := range answers {
		if i != first && (!errors.Is(a.Err, coordinator.ErrDuplicate) || a.BaseOffset != answers[first].BaseOffset) {
			t.Errorf("one try got offset %d, another %+v", answers[first].BaseOffset, a)
		}
	}
}

// testKeyRecovery takes what the bucket remembers into the next incarnation.
func testKeyRecovery(t *testing.T, f *fixture) {
	topic, created := f.newTopic(2)
	at := segments.Partition{Topic: topic}
	req := request(at, plain(1), withKey(2, newKey(1, 1)))
	journaled := f.commit(req).Entry
	lost := request(at, withKey(4, newKey(2, 1)))
	f.wantBatches("what will be lost", f.commit(lost), 3)
	f.recover(created, journaled)
	f.wantDuplicate("what was journaled", f.commit(request(at, withKey(2, newKey(1, 1)))), 1)
	f.wantBatches("another body", f.commit(request(at, withKey(2, newKey(1, 2)))), coordinator.ErrKeyReused)
	f.wantBatches("a segment that survived, again", f.commit(req), 0, 1)
	retried := f.commit(request(at, withKey(4, newKey(2, 1))))
	f.wantBatches("the retry of what was lost", retried, 3)
	f.wantDuplicate("what was lost, by its first try", f.commit(lost), 3)
	f.recover(created, journaled, retried.Entry)
	f.wantDuplicate("after a second recovery", f.commit(request(at, withKey(2, newKey(1, 1)))), 1)
	f.wantDuplicate("the retry, after a second recovery", f.commit(request(at, withKey(4, newKey(2, 1)))), 3)
}

// testKeyHole has a recovery drop one partition's part of a request, because it lies behind a hole:
// its retry writes that part, once, and the segment of the first try, when it is committed again,
// is a duplicate there.
func testKeyHole(t *testing.T, f *fixture) {
	topic, created := f.newTopic(2)
	at, other := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}
	f.commit(request(other, plain(2))) // is never journaled
	first := request(at, withKey(1, newKey(1, 1)))
	part := coordinator.CommitBatch{Length: 100, Records: 3, ProducerID: -1, Key: newKey(1, 1)}
	first.Runs = append(first.Runs, coordinator.CommitRun{
		Partition: other, Position: 500, Batches: []coordinator.CommitBatch{part},
	})
	answer := f.commit(first)
	if got := answer.Runs[1][0].BaseOffset; got != 2 {
		t.Errorf("before the recovery the second part has offset %d, want 2", got)
	}
	f.recover(created, answer.Entry)
	retry := first
	retry.Segment = segments.NewID(time.Now())
	answer = f.commit(retry)
	f.wantDuplicate("the part that survived", answer, 0)
	if b := answer.Runs[1][0]; b.Err != nil || b.BaseOffset != 0 {
		t.Errorf("the part that was dropped got %+v, want offset 0", b)
	}
	answer = f.commit(first)
	f.wantBatches("the first try's part that survived", answer, 0)
	if b := answer.Runs[1][0]; !errors.Is(b.Err, coordinator.ErrDuplicate) || b.BaseOffset != 0 {
		t.Errorf("the first try's part that was dropped got %+v, want a duplicate of offset 0", b)
	}
}

// testKeyMany has more keys than one command takes, in one segment and in a state that is loaded.
func testKeyMany(t *testing.T, f *fixture) {
	const many = 2500
	topic, created := f.newTopic(1)
	at := segments.Partition{Topic: topic}
	batches := func() []coordinator.CommitBatch {
		b := make([]coordinator.CommitBatch, many)
		for i := range b {
			b[i] = withKey(1, &coordinator.RequestKey{ID: [16]byte{byte(i), byte(i >> 8)}, Partitions: 1})
		}
		return b
	}
	answer := f.commit(request(at, batches()...))
	f.wantBatches("many", answer, 0, 1, 2)
	f.recover(created, answer.Entry)
	for i, a := range f.commit(request(at, batches()...)).Runs[0] {
		if !errors.Is(a.Err, coordinator.ErrDuplicate) || a.BaseOffset != int64(i) {
			t.Fatalf("key %d after a recovery: %+v", i, a)
		}
	}
}

func testKeyDeletedTopic(t *testing.T, f *fixture) {
	for i := range 2 {
		topic := f.topic(fmt.Sprint("a", i), 1)
		at := segments.Partition{Topic: topic}
		f.wantBatches("in a topic", f.commit(request(at, withKey(1, newKey(1, byte(i))))), 0)
		f.change(coordinator.Change{DeleteTopic: &topic})
		f.wantBatches("in a deleted topic", f.commit(request(at, withKey(1, newKey(1, byte(i))))),
			coordinator.ErrUnknownPartition)
	}
}
