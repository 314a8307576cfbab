package coordinatortest

import (
	"slices"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunTransactions runs the part of the suite that is about transactions. open returns a new
// coordinator, each time it is called.
func RunTransactions(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, *txnFixture){
		"Fences":      testFences,
		"OneEnding":   testOneEnding,
		"WholeEnding": testWholeEnding,
		"Complete":    testComplete,
		"Old":         testOldProtocol,
		"Offsets":     testStagedOffsets,
		"Deleted":     testDeletedMeanwhile,
		"Exhausted":   testEpochsExhausted,
		"Again":       testEndingAgain,
		"Reopened":    testTransactionsReopened,
		"Forgotten":   testForgottenID,
		"Timeout":     testExpired,
	} {
		t.Run(name, func(t *testing.T) {
			f := &txnFixture{fixture: newFixture(t, open(t))}
			f.topicID, f.created = f.newTopic(3)
			test(t, f)
		})
	}
}

// txnFixture is a fixture with a topic of three partitions.
type txnFixture struct {
	*fixture
	topicID segments.TopicID
	created coordinator.Entry
}

func (f *txnFixture) at(index int32) segments.Partition {
	return segments.Partition{Topic: f.topicID, Index: index}
}

const txnID = "id"

// fence raises the epoch, or makes the id, and confirms.
func (f *txnFixture) fence() coordinator.Producer {
	f.t.Helper()
	fact := f.change(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, TimeoutMillis: 1000,
		NewProducerID: 1}}).Fact.TransactionalID
	return coordinator.Producer{ProducerID: fact.ProducerID, Epoch: fact.Epoch}
}

func (f *txnFixture) look() coordinator.DecidedID {
	f.t.Helper()
	now, err := f.TransactionalID(f.t.Context(), f.in, txnID)
	if err != nil {
		f.t.Fatal(err)
	}
	return now
}

// wantOpen compares where the transaction is open, and whether the ending before is complete.
func (f *txnFixture) wantOpen(what string, complete bool, indexes ...int32) {
	f.t.Helper()
	now := f.look()
	var open []int32
	for _, at := range now.Open {
		open = append(open, at.Index)
	}
	if now.Complete != complete || !slices.Equal(open, indexes) {
		f.t.Errorf("%s: open in %v, complete %v; want %v, %v", what, open, now.Complete, indexes, complete)
	}
}

// of is a transactional batch.
func of(p coordinator.Producer, protocol coordinator.Protocol, sequence, records int32) coordinator.CommitBatch {
	return coordinator.CommitBatch{Records: records, ProducerID: p.ProducerID, ProducerEpoch: p.Epoch,
		BaseSequence: sequence, Protocol: protocol}
}

func transactional(p coordinator.Producer, sequence, records int32) coordinator.CommitBatch {
	return of(p, coordinator.Transactional, sequence, records)
}

// ending builds the commit of an ending, with markers for these partitions.
func (f *txnFixture) ending(p coordinator.Producer, result coordinator.Result,
	indexes ...int32) coordinator.CommitRequest {
	now := f.look()
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now()),
		Endings: []coordinator.Ending{{Incarnation: f.in, ID: txnID, Producer: p,
			Ordinal: now.Ordinal, Result: result, ByOwner: now.Aborting, Bump: !now.Aborting, NewProducerID: -1}}}
	for i, index := range indexes {
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: f.at(index), Position: int64(32 + 100*i),
			Batches: []coordinator.CommitBatch{
				{Length: 78, Records: 1, ProducerID: p.ProducerID, ProducerEpoch: p.Epoch, BaseSequence: -1, Ending: 1}}})
	}
	return req
}

// end ends the transaction, in these partitions, and confirms.
func (f *txnFixture) end(p coordinator.Producer, result coordinator.Result, indexes ...int32) coordinator.CommitAnswer {
	f.t.Helper()
	answer := f.commit(f.ending(p, result, indexes...))
	f.want("an ending", answer.Endings[0], nil)
	f.confirm(answer.Entry)
	return answer
}

// written commits a transactional batch into each of these partitions, and confirms.
func (f *txnFixture) written(p coordinator.Producer, indexes ...int32) (entries []coordinator.Entry) {
	f.t.Helper()
	for _, index := range indexes {
		answer := f.commit(request(f.at(index), transactional(p, 0, 2)))
		if err := answer.Runs[0][0].Err; err != nil {
			f.t.Fatal(err)
		}
		f.confirm(answer.Entry)
		entries = append(entries, answer.Entry)
	}
	return entries
}

func testFences(t *testing.T, f *txnFixture) {
	_, err := f.TransactionalID(t.Context(), f.in, txnID)
	f.want("an id that nobody has", err, coordinator.ErrTransactionalID)
	p := coordinator.Producer{ProducerID: 1}
	f.wantBatches("a transactional batch of nobody", f.commit(request(f.at(0), transactional(p, 0, 1))),
		coordinator.ErrTransactionalID)

	entry, err := f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, TimeoutMillis: 1000,
		NewProducerID: 1}})
	if id := entry.Fact.TransactionalID; err != nil || id.ProducerID != 1 || id.Epoch != 0 || id.Ordinal != 1 ||
		id.TimeoutMillis != 1000 || id.Time == 0 {
		t.Fatalf("a new id is %+v, %v", entry.Fact.TransactionalID, err)
	}
	f.wantBatches("before the fence is confirmed", f.commit(request(f.at(0), transactional(p, 0, 1))),
		coordinator.ErrConcurrentTransactions)
	_, err = f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, NewProducerID: 2}})
	f.want("another fence before it is", err, coordinator.ErrConcurrentTransactions)
	f.confirm(entry)
	data := f.commit(request(f.at(0), transactional(p, 0, 1)))
	f.wantBatches("after it is", data, 0)
	f.confirm(data.Entry)
	f.wantBatches("not transactional", f.commit(request(f.at(0), idempotent(0, 1, 1))), coordinator.ErrTransactionState)

	next := f.fence()
	if next != (coordinator.Producer{ProducerID: 1, Epoch: 1}) || !f.look().Aborting {
		t.Errorf("after a fence the producer is %v, aborting %v", next, f.look().Aborting)
	}
	f.wantBatches("the older epoch, elsewhere", f.commit(request(f.at(1), transactional(p, 0, 1))),
		coordinator.ErrProducerEpoch)
	f.wantBatches("a later epoch", f.commit(request(f.at(1), transactional(coordinator.Producer{ProducerID: 1,
		Epoch: 7}, 0, 1))),
		coordinator.ErrProducerEpoch)
	_, err = f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, Held: &p, NewProducerID: 2}})
	f.want("the next epoch for an older one", err, coordinator.ErrProducerEpoch)
	f.wantBatches("the new epoch before the abort", f.commit(request(f.at(1), transactional(next, 0, 1))),
		coordinator.ErrConcurrentTransactions)
	f.want("the zombie's ending", f.commit(f.ending(p, coordinator.Aborted, 0)).Endings[0], coordinator.ErrProducerEpoch)
	f.end(next, coordinator.Aborted, 0)
	if now := f.look(); now.Epoch != 1 || now.Aborting || now.Ordinal != 2 || now.Result != coordinator.Aborted ||
		now.EndedEpoch != -1 {
		t.Errorf("after the abort the id is %+v", now)
	}
	f.written(next, 1)

	third := f.change(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, Held: &next,
		NewProducerID: 2}}).Fact.TransactionalID
	if third.Epoch != 2 || third.PreviousEpoch != 1 {
		t.Errorf("its next epoch, asked for by the producer: %+v", third)
	}
	if again := f.change(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, Held: &next,
		NewProducerID: 2}}).Fact.TransactionalID; again.Epoch != 3 {
		t.Errorf("asked for again: %+v", again)
	}
}

func testOneEnding(t *testing.T, f *txnFixture) {
	p := f.fence()
	f.written(p, 0, 1)
	f.wantOpen("written", true, 0, 1)
	req := f.ending(p, coordinator.Committed, 0, 1)
	answer := f.commit(req)
	f.want("the ending", answer.Endings[0], nil)
	for i := range req.Runs {
		if b := answer.Runs[i][0]; b.Err != nil || b.BaseOffset != 2 {
			t.Errorf("marker %d: %+v", i, b)
		}
	}
	c := answer.Entry.Fact.Commit
	want := coordinator.Marker{ProducerID: 1, Ordinal: 1, Result: coordinator.Committed}
	if len(c.Endings) != 1 || len(c.Spans) != 2 || c.Spans[0].Marker == nil || *c.Spans[0].Marker != want ||
		c.Spans[1].Span.Position != 132 {
		t.Fatalf("decided was %+v", c)
	}
	if id := c.Endings[0]; id.Epoch != 1 || id.Ordinal != 2 || id.Result != coordinator.Committed ||
		id.EndedEpoch != 0 || id.EndedProducerID != 1 {
		t.Errorf("the ending is %+v", id)
	}
	next := coordinator.Producer{ProducerID: 1, Epoch: 1}
	f.wantOpen("decided", false)
	f.wantBatches("the next transaction before it is complete", f.commit(request(f.at(2), transactional(next, 0, 1))),
		coordinator.ErrConcurrentTransactions)
	f.wantBatches("the epoch before", f.commit(request(f.at(2), transactional(p, 0, 1))), coordinator.ErrProducerEpoch)
	f.confirm(answer.Entry)
	f.wantOpen("confirmed", true)
	f.wantBatches("the next transaction", f.commit(request(f.at(2), transactional(next, 0, 1))), 0)
	f.wantOpen("the next", true, 2)
	empty := f.commit(f.ending(next, coordinator.Aborted))
	f.want("an ending without its marker", empty.Endings[0], coordinator.ErrBuildAnew)
	if empty.Entry.Seq != 0 {
		t.Errorf("it became entry %d", empty.Entry.Seq)
	}
}

func testWholeEnding(t *testing.T, f *txnFixture) {
	p := f.fence()
	f.written(p, 0, 1)
	few := f.ending(p, coordinator.Committed, 0)
	answer := f.commit(few)
	f.want("an ending with a marker too few", answer.Endings[0], coordinator.ErrBuildAnew)
	f.wantBatches("its marker", answer, coordinator.ErrNotOpenThere)
	f.wantOpen("after that", true, 0, 1)
	many := f.commit(f.ending(p, coordinator.Committed, 0, 2, 1))
	f.want("an ending with a marker too many", many.Endings[0], nil)
	f.want("that marker", many.Runs[1][0].Err, coordinator.ErrNotOpenThere)
	if n := len(many.Entry.Fact.Commit.Spans); n != 2 || many.Runs[0][0].BaseOffset != 2 ||
		many.Runs[2][0].BaseOffset != 2 {
		t.Errorf("%d spans, %+v", n, many.Runs)
	}
	f.confirm(many.Entry)
	f.written(coordinator.Producer{ProducerID: 1, Epoch: 1}, 0)
	f.want("the ending with too few once more", f.commit(few).Endings[0], nil) // it has ended so, by another
	f.wantOpen("after that", true, 0)
}

// An ending is complete when it is confirmed and the high watermarks have passed all of it; a
// commit is decided when all records are below them.
func testComplete(t *testing.T, f *txnFixture) {
	p := f.fence()
	data := f.commit(request(f.at(0), transactional(p, 0, 1))).Entry
	f.want("a commit before its record is confirmed", f.commit(f.ending(p, coordinator.Committed, 0)).Endings[0],
		coordinator.ErrConcurrentTransactions)
	hole := f.commit(request(f.at(0), plain(1))).Entry
	f.confirm(data)
	answer := f.commit(f.ending(p, coordinator.Committed, 0))
	f.want("after that", answer.Endings[0], nil)
	f.confirm(answer.Entry)
	f.wantOpen("its marker is beyond a hole", false)
	next := coordinator.Producer{ProducerID: 1, Epoch: 1}
	f.wantBatches("the next transaction", f.commit(request(f.at(1), transactional(next, 0, 1))),
		coordinator.ErrConcurrentTransactions)
	_, err := f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, NewProducerID: 2}})
	f.want("a fence", err, coordinator.ErrConcurrentTransactions)
	f.confirm(hole)
	f.wantOpen("the hole is filled", true)
	data = f.commit(request(f.at(1), transactional(next, 0, 1))).Entry
	abort := f.commit(f.ending(next, coordinator.Aborted, 1))
	f.want("an abort does not wait", abort.Endings[0], nil)
	f.confirm(abort.Entry)
	f.wantOpen("its record is not confirmed", false)
	f.confirm(data)
	f.wantOpen("all is", true)
}

func testOldProtocol(t *testing.T, f *txnFixture) {
	p := f.fence()
	old := func(sequence int32) coordinator.CommitBatch { return of(p, coordinator.OldTransactional, sequence, 1) }
	f.wantBatches("a partition that was not added", f.commit(request(f.at(0), old(0))), coordinator.ErrTransactionState)
	added := f.change(coordinator.Change{Add: &coordinator.AddToTransaction{ID: txnID, Producer: p,
		Partitions: []segments.Partition{f.at(1), f.at(0)}}})
	if id := added.Fact.TransactionalID; !slices.Equal(id.Added, []segments.Partition{f.at(0), f.at(1)}) ||
		id.Started == 0 {
		t.Errorf("added are %v, since %d", id.Added, id.Started)
	}
	answer := f.commit(request(f.at(0), old(0)))
	f.wantBatches("one that was", answer, 0)
	f.confirm(answer.Entry)
	req := f.ending(p, coordinator.Aborted, 0)
	req.Endings[0].Bump = false
	ended := f.commit(req)
	f.confirm(ended.Entry)
	if now := f.look(); now.Epoch != 0 || now.EndedEpoch != 0 || len(now.Added) > 0 || now.Started != 0 || !now.Complete {
		t.Errorf("after the ending the id is %+v", now)
	}
	f.wantBatches("a late record of what was aborted", f.commit(request(f.at(1), old(0))), coordinator.ErrTransactionState)
	next := f.change(coordinator.Change{Add: &coordinator.AddToTransaction{ID: txnID, Producer: p,
		Partitions: []segments.Partition{f.at(1)}}})
	if next.Fact.TransactionalID.EndedEpoch != -1 {
		t.Error("a transaction that begins leaves the ended epoch")
	}
	f.wantBatches("the next", f.commit(request(f.at(1), old(0))), 0)
	_, err := f.propose(coordinator.Change{Add: &coordinator.AddToTransaction{ID: txnID,
		Producer: coordinator.Producer{ProducerID: 1, Epoch: 3}}})
	f.want("a partition for another epoch", err, coordinator.ErrProducerEpoch)
	many := make([]segments.Partition, coordinator.MaxTransactionPartitions+1)
	for i := range many {
		many[i] = f.at(int32(i))
	}
	_, err = f.propose(coordinator.Change{Add: &coordinator.AddToTransaction{ID: txnID, Producer: p, Partitions: many}})
	f.want("more partitions than are allowed", err, coordinator.ErrTransactionTooLarge)
}

func testStagedOffsets(t *testing.T, f *txnFixture) {
	p, lease := f.fence(), acquire(t, f.fixture, f.in, "a")
	stage := func(p coordinator.Producer, protocol coordinator.Protocol, version uint64,
		offset int64) (coordinator.Entry, error) {
		return f.propose(coordinator.Change{Stage: &coordinator.StageOffsets{ID: txnID, Producer: p,
			Protocol: protocol, Lease: lease.Name, Group: "g",
			Epoch: lease.Epoch, Version: version, Offsets: []coordinator.GroupOffset{{Partition: f.at(2), Offset: offset,
				LeaderEpoch: -1}}}})
	}
	_, err := stage(p, coordinator.OldTransactional, 10, 4)
	f.want("a group that was not added", err, coordinator.ErrTransactionState)
	first, err := stage(p, coordinator.Transactional, 10, 5)
	f.want("offsets", err, nil)
	second, err := stage(p, coordinator.Transactional, 12, 6)
	f.want("more of them", err, nil)
	_, err = stage(coordinator.Producer{ProducerID: 1, Epoch: 5}, coordinator.Transactional, 13, 7)
	f.want("those of another epoch", err, coordinator.ErrProducerEpoch)
	f.confirm(first, second)
	barrier := commitOffsets(t, f.fixture, f.in, lease)
	if v := barrier.Fact.Offsets.Version; v <= 12 {
		t.Errorf("a barrier has version %d, offsets were staged with 12", v)
	}
	answer := f.end(p, coordinator.Committed)
	c := answer.Entry.Fact.Commit
	if len(c.Spans) > 0 || len(c.Endings) != 1 || len(c.Endings[0].Offsets) != 1 || len(c.Endings[0].Staged) > 0 {
		t.Fatalf("the ending is %+v", c)
	}
	if o := c.Endings[0].Offsets[0]; o.Group != "g" || len(o.Partitions) != 1 || o.Partitions[0].Version != 12 ||
		o.Partitions[0].Offset != 6 {
		t.Errorf("what counts is %+v", o)
	}
	next := coordinator.Producer{ProducerID: 1, Epoch: 1}
	third, err := stage(next, coordinator.Transactional, 20, 9)
	f.want("offsets of the next", err, nil)
	f.confirm(third)
	if aborted := f.end(next, coordinator.Aborted).Entry.Fact.Commit; len(aborted.Endings[0].Offsets) > 0 {
		t.Errorf("an abort lets %+v count", aborted.Endings[0].Offsets)
	}
	if err := f.Release(t.Context(), f.in, lease.Name, lease.Holder, lease.Epoch); err != nil {
		t.Fatal(err)
	}
	_, err = stage(coordinator.Producer{ProducerID: 1, Epoch: 2}, coordinator.Transactional, 21, 9)
	f.want("offsets without the lease", err, coordinator.ErrLeaseLost)
}

func testDeletedMeanwhile(t *testing.T, f *txnFixture) {
	p := f.fence()
	f.written(p, 0)
	other := segments.Partition{Topic: f.topic("other", 1)}
	f.confirm(f.commit(request(other, transactional(p, 0, 1))).Entry)
	deletion, err := f.propose(coordinator.Change{DeleteTopic: &other.Topic})
	f.want("a deletion", err, nil)
	f.want("an ending before it is confirmed", f.commit(f.ending(p, coordinator.Aborted, 0)).Endings[0],
		coordinator.ErrConcurrentTransactions)
	f.confirm(deletion)
	f.wantOpen("after that", true, 0)
	f.end(p, coordinator.Committed, 0)
	f.wantOpen("the ending", true)
}

func testEpochsExhausted(t *testing.T, f *txnFixture) {
	p := f.fence()
	for p.Epoch < 32766 {
		p.Epoch++
		entry, err := f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, NewProducerID: 9}})
		if err != nil || entry.Fact.TransactionalID.Epoch != p.Epoch {
			t.Fatalf("epoch %d: %+v, %v", p.Epoch, entry.Fact, err)
		}
		f.confirm(entry)
		if p.Epoch == 3 {
			break // the suite need not count to the end everywhere
		}
	}
	f.written(p, 0)
	answer := f.end(p, coordinator.Committed, 0)
	if id := answer.Entry.Fact.Commit.Endings[0]; id.Epoch != p.Epoch+1 || id.ProducerID != 1 {
		t.Errorf("the next is %+v", id)
	}
}

func testEndingAgain(t *testing.T, f *txnFixture) {
	p := f.fence()
	f.written(p, 0)
	req, abort := f.ending(p, coordinator.Committed, 0), f.ending(p, coordinator.Aborted, 0)
	first := f.commit(req)
	again := f.commit(req)
	if again.Entry.Seq != first.Entry.Seq || again.Endings[0] != nil || again.Runs[0][0].BaseOffset != 2 ||
		again.Runs[0][0].Err != nil {
		t.Errorf("the same commit again: %+v", again)
	}
	f.want("another result", f.commit(abort).Endings[0], coordinator.ErrProducerEpoch)
	f.confirm(first.Entry)
	if again = f.commit(req); again.Entry.Seq != 0 || again.Endings[0] != nil || again.Runs[0][0].BaseOffset != 2 {
		t.Errorf("the same commit again, confirmed: %+v", again)
	}
	other := req
	other.Segment = segments.NewID(time.Now())
	twice := f.commit(other)
	f.want("the same ending, in another segment", twice.Endings[0], nil)
	f.wantBatches("its marker", twice, coordinator.ErrNotOpenThere)

	p.Epoch = 1
	f.written(p, 0)
	mixed := f.ending(p, coordinator.Committed, 0)
	mixed.Runs[0].Batches = append(mixed.Runs[0].Batches, coordinator.CommitBatch{Length: 70, Records: 3, ProducerID: -1})
	answer := f.commit(mixed)
	if b := answer.Runs[0]; b[0].BaseOffset != 5 || b[1].BaseOffset != 6 || len(answer.Entry.Fact.Commit.Spans) != 2 {
		t.Errorf("a marker before others' records: %+v", answer)
	}
	two := f.ending(p, coordinator.Committed)
	two.Endings = append(two.Endings, two.Endings[0])
	_, err := f.Commit(t.Context(), f.in, two)
	f.want("two endings of one id", err, coordinator.ErrMalformed)
}

func testTransactionsReopened(t *testing.T, f *txnFixture) {
	entries := []coordinator.Entry{f.created}
	entry, err := f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, TimeoutMillis: 5, NewProducerID: 1}})
	f.want("a fence", err, nil)
	f.confirm(entry)
	p := coordinator.Producer{ProducerID: 1}
	entries = append(append(entries, entry), f.written(p, 0, 2)...)
	before := f.ending(p, coordinator.Committed, 0, 2)
	f.recover(entries...)
	f.wantOpen("reopened", true, 0, 2)
	f.want("an ending of the incarnation before", f.commit(before).Endings[0], coordinator.ErrBuildAnew)
	f.wantBatches("its producer goes on", f.commit(request(f.at(2), transactional(p, 2, 1))), 2)
	f.wantBatches("another epoch", f.commit(request(f.at(1), transactional(coordinator.Producer{ProducerID: 1,
		Epoch: 1}, 0, 1))),
		coordinator.ErrProducerEpoch)
	f.want("an abort", f.commit(f.ending(p, coordinator.Aborted, 0, 2)).Endings[0], nil)
	if now := f.look(); now.Version <= entry.Fact.TransactionalID.Version || now.TimeoutMillis != 5 {
		t.Errorf("the id is %+v", now)
	}
}

func testForgottenID(t *testing.T, f *txnFixture) {
	p := f.fence()
	f.written(p, 0)
	forget := func() (coordinator.Entry, error) {
		return f.propose(coordinator.Change{Forget: &coordinator.ForgetTransactionalID{ID: txnID, Version: f.look().Version}})
	}
	_, err := forget()
	f.want("an id that is in use", err, coordinator.ErrTransactionState)
	f.end(p, coordinator.Aborted, 0)
	entry, err := forget()
	f.want("one that is not", err, nil)
	f.confirm(entry)
	f.wantBatches("its producer", f.commit(request(f.at(1), transactional(coordinator.Producer{ProducerID: 1,
		Epoch: 1}, 0, 1))),
		coordinator.ErrTransactionalID)
	next := f.change(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, NewProducerID: 2}}).Fact.TransactionalID
	if next.ProducerID != 2 || next.Epoch != 0 || next.Gone || next.Ordinal != 2 {
		t.Errorf("the id comes again as %+v", next)
	}
}

func testExpired(t *testing.T, f *txnFixture) {
	p := f.fence()
	expire := func(ordinal uint64) (coordinator.Entry, error) {
		return f.propose(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, NewProducerID: -1,
			Expired: &coordinator.Expired{Producer: p, Ordinal: ordinal}}})
	}
	_, err := expire(1)
	f.want("a timeout of nothing", err, coordinator.ErrTransactionState)
	f.written(p, 0)
	_, err = expire(2)
	f.want("a timeout of another transaction", err, coordinator.ErrTransactionState)
	entry, err := expire(1)
	f.want("a timeout", err, nil)
	if id := entry.Fact.TransactionalID; id.Epoch != 1 || id.PreviousEpoch != 0 || !id.Aborting ||
		id.TimeoutMillis != 1000 {
		t.Errorf("after a timeout the id is %+v", id)
	}
	f.confirm(entry)
	f.end(coordinator.Producer{ProducerID: 1, Epoch: 1}, coordinator.Aborted, 0)
	held := f.change(coordinator.Change{Fence: &coordinator.Fence{ID: txnID, Held: &p,
		NewProducerID: -1}}).Fact.TransactionalID
	if held.Epoch != 2 {
		t.Errorf("the producer that was silent goes on with %+v", held)
	}
}
