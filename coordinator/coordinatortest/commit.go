package coordinatortest

import (
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

func testCommit(t *testing.T, f *fixture) {
	topic := f.topic("a", 2)
	at, other := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}

	req := request(at, plain(3), plain(2))
	run := func(at segments.Partition, position int64, b coordinator.CommitBatch) {
		b.Length, b.ProducerID = 70, -1
		batches := []coordinator.CommitBatch{b}
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: at, Position: position, Batches: batches})
	}
	run(other, 500, coordinator.CommitBatch{Records: 4, MaxTimestamp: 9})
	run(segments.Partition{Topic: segments.NewTopicID()}, 300, coordinator.CommitBatch{Records: 1})
	run(at, 700, coordinator.CommitBatch{Records: 1})
	first := f.commit(req)
	f.wantBatches("first commit", first, 0, 3)
	if b := first.Runs[1][0]; b.Err != nil || b.BaseOffset != 0 {
		t.Errorf("other partition: %+v", b)
	}
	f.want("unknown topic", first.Runs[2][0].Err, coordinator.ErrUnknownPartition)
	if b := first.Runs[3][0]; b.Err != nil || b.BaseOffset != 5 {
		t.Errorf("second run of the partition: %+v", b)
	}
	spans := first.Entry.Fact.Commit.Spans
	here := coordinator.Span{Segment: req.Segment, Base: 0, Last: 4, Position: 32, Length: 200}
	there := coordinator.Span{Segment: req.Segment, Base: 0, Last: 3, Position: 500, Length: 70, MaxTimestamp: 9}
	if len(spans) != 3 || spans[0].Span != here || spans[1].Span != there {
		t.Errorf("spans are %+v", spans)
	}

	again := f.commit(req)
	f.wantBatches("the same, pending", again, 0, 3)
	if again.Entry.Seq != first.Entry.Seq {
		t.Errorf("the same segment became entry %d, was %d", again.Entry.Seq, first.Entry.Seq)
	}
	f.confirm(first.Entry)
	again = f.commit(req)
	f.wantBatches("the same, confirmed", again, 0, 3)
	if again.Entry.Seq != 0 {
		t.Errorf("a confirmed commit needs entry %d", again.Entry.Seq)
	}
	f.wantBatches("the next", f.commit(request(at, plain(1))), 6)

	for _, index := range []int32{-1, 2} {
		beyond := segments.Partition{Topic: topic, Index: index}
		f.wantBatches("no such partition", f.commit(request(beyond, plain(1))), coordinator.ErrUnknownPartition)
	}
	late := request(at, plain(1))
	late.Segment = segments.NewID(time.Now().Add(-f.Deadline - time.Minute))
	_, err := f.Commit(t.Context(), f.in, late)
	f.want("a segment older than the deadline", err, coordinator.ErrTooOld)
}

// testProducersReopened has producers go on after a recovery: a batch that was written is known
// again, in whatever segment it comes, and the next one continues the sequence.
func testProducersReopened(t *testing.T, f *fixture) {
	topic, created := f.newTopic(2)
	at, other := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}
	entries := []coordinator.Entry{
		created,
		f.commit(request(at, idempotent(2, 0, 3), idempotent(2, 3, 1))).Entry,
		f.commit(request(other, plain(1), idempotent(2, 0, 5))).Entry,
	}
	f.recover(entries...)
	f.wantDuplicate("the first batch again", f.commit(request(at, idempotent(2, 0, 3))), 0)
	f.wantDuplicate("the last batch again", f.commit(request(at, idempotent(2, 3, 1))), 3)
	f.wantDuplicate("a batch of another partition again", f.commit(request(other, idempotent(2, 0, 5))), 1)
	f.wantBatches("an older epoch", f.commit(request(at, idempotent(1, 4, 1))), coordinator.ErrProducerEpoch)
	f.wantBatches("a gap", f.commit(request(at, idempotent(2, 5, 1))), coordinator.ErrOutOfOrder)
	f.wantBatches("the next batch", f.commit(request(at, idempotent(2, 4, 1))), 4)
}

func testProducers(t *testing.T, f *fixture) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	f.wantBatches("an unknown producer may begin anywhere", f.commit(request(at, idempotent(0, 7, 3))), 0)
	f.wantBatches("it must go on there", f.commit(request(at, idempotent(0, 10, 1), idempotent(0, 11, 1))), 3, 4)
	f.wantBatches("a gap", f.commit(request(at, idempotent(0, 13, 1))), coordinator.ErrOutOfOrder)

	duplicate := f.commit(request(at, idempotent(0, 7, 3)))
	f.wantBatches("a duplicate", duplicate, coordinator.ErrDuplicate)
	if duplicate.Runs[0][0].BaseOffset != 0 || duplicate.Entry.Seq != 0 {
		t.Errorf("a duplicate got %+v", duplicate)
	}
	f.wantBatches("half of an earlier batch", f.commit(request(at, idempotent(0, 8, 2))), coordinator.ErrOutOfOrder)

	split := f.commit(request(at, idempotent(0, 12, 1), idempotent(0, 7, 3), idempotent(0, 99, 1), idempotent(0, 13, 2)))
	f.wantBatches("rejected batches in the middle", split, 5, coordinator.ErrDuplicate, coordinator.ErrOutOfOrder, 6)
	spans := split.Entry.Fact.Commit.Spans
	if len(spans) != 2 {
		t.Fatalf("a split run has spans %+v", spans)
	}
	a, b := spans[0].Span, spans[1].Span
	if a.Position != 32 || a.Length != 100 || b.Position != 332 || b.Base != 6 {
		t.Errorf("a split run has spans %+v", spans)
	}
	if p := spans[1].Producers; len(p) != 1 || p[0].BaseSequence != 13 || p[0].LastSequence != 14 || p[0].BaseOffset != 6 {
		t.Errorf("producers of the second span are %+v", p)
	}

	f.wantBatches("six batches ago", f.commit(request(at, idempotent(0, 15, 1))), 8)
	f.wantBatches("six batches ago", f.commit(request(at, idempotent(0, 7, 3))), coordinator.ErrOutOfOrder)
	f.wantBatches("five batches ago", f.commit(request(at, idempotent(0, 10, 1))), coordinator.ErrDuplicate)

	f.wantBatches("a new epoch begins with 0", f.commit(request(at, idempotent(1, 16, 1))), coordinator.ErrOutOfOrder)
	f.wantBatches("a new epoch", f.commit(request(at, idempotent(1, 0, 1))), 9)
	f.wantBatches("the old epoch", f.commit(request(at, idempotent(0, 16, 1))), coordinator.ErrProducerEpoch)

	f.wantBatches("sequence numbers wrap", f.commit(request(at,
		coordinator.CommitBatch{ProducerID: 2, BaseSequence: 1<<31 - 2, Records: 3},
		coordinator.CommitBatch{ProducerID: 2, BaseSequence: 1, Records: 1})), 10, 13)

	req := request(at, idempotent(1, 2, 1))
	f.wantBatches("too early", f.commit(req), coordinator.ErrOutOfOrder)
	f.wantBatches("what was missing", f.commit(request(at, idempotent(1, 1, 1))), 14)
	f.wantBatches("a segment gets its first answer again", f.commit(req), coordinator.ErrOutOfOrder)
}

func testTopics(t *testing.T, f *fixture) {
	id := segments.NewTopicID()
	create := coordinator.Change{ID: segments.NewID(time.Now()), CreateTopic: &coordinator.CreateTopic{
		ID: id, Name: "a", Partitions: 1, Configs: map[string]string{"k": "v"},
	}}
	created, err := f.propose(create)
	f.want("create", err, nil)
	again, err := f.propose(create)
	if err != nil || again.Seq != created.Seq {
		t.Errorf("the same change became entry %d, %v; was %d", again.Seq, err, created.Seq)
	}
	at := segments.Partition{Topic: id}
	f.wantBatches("a topic is used once it is confirmed", f.commit(request(at, plain(1))), coordinator.ErrUnknownPartition)
	f.confirm(created)
	f.wantBatches("confirmed", f.commit(request(at, plain(1))), 0)
	another := func() error {
		create := &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: "a", Partitions: 1}
		_, err := f.propose(coordinator.Change{CreateTopic: create})
		return err
	}
	f.want("the same name", another(), coordinator.ErrTopicExists)

	_, err = f.propose(coordinator.Change{Grow: &coordinator.Grow{Topic: id, Partitions: 1}})
	f.want("grow to the same", err, coordinator.ErrPartitionCount)
	_, err = f.propose(coordinator.Change{Grow: &coordinator.Grow{Topic: segments.NewTopicID(), Partitions: 2}})
	f.want("grow an unknown topic", err, coordinator.ErrUnknownTopic)
	grown, err := f.propose(coordinator.Change{Grow: &coordinator.Grow{Topic: id, Partitions: 3}})
	f.want("grow", err, nil)
	last := segments.Partition{Topic: id, Index: 2}
	f.wantBatches("a partition is used once it is confirmed", f.commit(request(last, plain(1))),
		coordinator.ErrUnknownPartition)
	f.confirm(grown)
	f.wantBatches("confirmed", f.commit(request(last, plain(1))), 0)

	w := "w"
	configure := &coordinator.Configure{Topic: id, Set: map[string]*string{"l": &w, "k": nil}}
	configured := f.change(coordinator.Change{Configure: configure}).Fact.Topic
	changed := len(configured.Configs) == 1 && configured.Configs["l"] == "w"
	if !changed || configured.Partitions != 3 || configured.Name != "a" {
		t.Errorf("configured topic is %+v", configured)
	}
	testAssignments(t, f, id)
	testLogStart(t, f, at)
	testProducerIDs(t, f)

	deleted, err := f.propose(coordinator.Change{DeleteTopic: &id})
	f.want("delete", err, nil)
	f.wantBatches("a deleted topic", f.commit(request(at, plain(1))), coordinator.ErrUnknownPartition)
	f.want("a name is free once the deletion is confirmed", another(), coordinator.ErrTopicExists)
	f.confirm(deleted)
	if f.topic("a", 1) == id {
		t.Error("a topic came back")
	}
	_, err = f.propose(coordinator.Change{DeleteTopic: &id})
	f.want("delete again", err, coordinator.ErrUnknownTopic)
}

// testLogStart expects one pending batch of one record in at.
func testLogStart(t *testing.T, f *fixture, at segments.Partition) {
	move := func(at segments.Partition, offset int64) error {
		change := &coordinator.LogStart{Offsets: map[segments.Partition]int64{at: offset}}
		_, err := f.propose(coordinator.Change{LogStart: change})
		return err
	}
	f.want("log start over what is pending", move(at, 1), coordinator.ErrOffsetRange)
	f.want("log start below zero", move(at, -1), coordinator.ErrOffsetRange)
	more := f.commit(request(at, plain(4)))
	f.confirm(more.Entry)
	f.want("log start over what is behind something pending", move(at, 1), coordinator.ErrOffsetRange)
	beyond := segments.Partition{Topic: at.Topic, Index: 9}
	f.want("log start of no partition", move(beyond, 0), coordinator.ErrUnknownPartition)
	fresh := segments.Partition{Topic: at.Topic, Index: 1}
	f.confirm(f.commit(request(fresh, plain(4))).Entry)
	f.want("log start over the end", move(fresh, 5), coordinator.ErrOffsetRange)
	f.change(coordinator.Change{LogStart: &coordinator.LogStart{Offsets: map[segments.Partition]int64{fresh: 3}}})
	if b := f.commit(request(fresh, plain(1))).Runs[0][0]; b.LogStartOffset != 3 || b.BaseOffset != 4 {
		t.Errorf("after the log start moved to 3: %+v", b)
	}
}

func testProducerIDs(t *testing.T, f *fixture) {
	first := f.change(coordinator.Change{ProducerIDs: 10}).Fact.ProducerIDs.End
	if second := f.change(coordinator.Change{ProducerIDs: 5}).Fact.ProducerIDs.End; first < 10 || second != first+5 {
		t.Errorf("blocks of producer ids end at %d and %d", first, second)
	}
}

// testAssignments assigns partitions of a topic that has 3: each change keeps what others assigned.
func testAssignments(t *testing.T, f *fixture, id segments.TopicID) {
	t.Helper()
	assign := func(brokers map[int32][]int32) error {
		_, err := f.propose(coordinator.Change{Configure: &coordinator.Configure{Topic: id, Assign: brokers}})
		return err
	}
	f.want("assign one", assign(map[int32][]int32{2: {3}}), nil)
	f.want("assign another", assign(map[int32][]int32{0: {1, 2}}), nil)
	long := map[int32][]int32{}
	for partition := range int32(10_000) {
		long[partition] = []int32{1_000_000}
	}
	f.want("assign too much", assign(long), coordinator.ErrAssignmentTooLong)
	grow := &coordinator.Grow{Topic: id, Partitions: 5, Assign: [][]int32{{9}}}
	_, err := f.propose(coordinator.Change{Grow: grow})
	f.want("grow by two, and assign one", err, coordinator.ErrPartitionCount)
	grow.Assign = append(grow.Assign, []int32{8})
	grown := f.change(coordinator.Change{Grow: grow}).Fact.Topic
	assigned := grown.Configs[coordinator.ReplicaAssignmentConfig]
	factor := grown.Configs[coordinator.ReplicationFactorConfig]
	if grown.Partitions != 5 || assigned != "1:2,,3,9,8" || factor != "2" || grown.Configs["l"] != "w" {
		t.Errorf("the topic with assignments is %+v", grown)
	}
}
