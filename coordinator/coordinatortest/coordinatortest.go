// Package coordinatortest is the suite that every coordinator.Coordinator has to pass. It knows
// nothing of how one keeps its state, and of time only that it can be made to pass.
package coordinatortest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// Subject is a coordinator under test. It holds no state yet.
type Subject struct {
	coordinator.Coordinator
	// Advance makes the coordinator's clock move on by d at least: by waiting, if it cannot be done
	// otherwise. It is not called with much more than TTL.
	Advance func(d time.Duration)
	// Deadline is the commit deadline.
	Deadline time.Duration
}

// TTL is how long the suite takes leases and registrations for; short, for coordinators whose
// clock cannot be set.
const TTL = 300 * time.Millisecond

// Run runs the suite. open returns a new coordinator, each time it is called.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"Commit":    testCommit,
		"Producers": testProducers,
		"Reopened":  testProducersReopened,
		"Topics":    testTopics,
		"Stream":    testStream,
		"Leases":    testLeases,
		"Registry":  testRegistry,
		"Recovery":  testRecovery,
		"Lookups":   testLookups,
		"Settings":  testSettings,
	} {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t, open(t))) })
	}
	t.Run("Incarnations", func(t *testing.T) { testIncarnations(t, open) })
	t.Run("OpensOnce", func(t *testing.T) { testOpensOnce(t, open) })
}

// fixture is a coordinator that was opened on an empty bucket.
type fixture struct {
	Subject
	t     *testing.T
	store segments.Store
	in    coordinator.Incarnation
}

func newFixture(t *testing.T, s Subject) *fixture {
	f := &fixture{Subject: s, t: t, store: memory.New()}
	f.open()
	return f
}

// open recovers the bucket and opens the coordinator with what is in it.
func (f *fixture) open() {
	f.t.Helper()
	state, err := coordinator.Recover(f.t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.Open(f.t.Context(), state); err != nil {
		f.t.Fatal(err)
	}
	f.in = state.Incarnation()
}

func (f *fixture) propose(c coordinator.Change) (coordinator.Entry, error) {
	if c.ID == (segments.ID{}) {
		c.ID = segments.NewID(time.Now())
	}
	return f.Propose(f.t.Context(), f.in, c)
}

func (f *fixture) confirm(entries ...coordinator.Entry) {
	f.t.Helper()
	var seqs []uint64
	for _, e := range entries {
		seqs = append(seqs, e.Seq)
	}
	if err := f.Confirm(f.t.Context(), f.in, seqs); err != nil {
		f.t.Fatal(err)
	}
}

// change proposes and confirms.
func (f *fixture) change(c coordinator.Change) coordinator.Entry {
	f.t.Helper()
	e, err := f.propose(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.confirm(e)
	return e
}

// topic creates a topic and confirms it.
func (f *fixture) topic(name string, partitions int32) segments.TopicID {
	f.t.Helper()
	id := segments.NewTopicID()
	f.change(coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: name, Partitions: partitions}})
	return id
}

func (f *fixture) commit(req coordinator.CommitRequest) coordinator.CommitAnswer {
	f.t.Helper()
	answer, err := f.Commit(f.t.Context(), f.in, req)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// request is a new segment with one run of these batches, each 100 bytes long.
func request(at segments.Partition, batches ...coordinator.CommitBatch) coordinator.CommitRequest {
	for i := range batches {
		batches[i].Length = 100
	}
	return coordinator.CommitRequest{
		Segment: segments.NewID(time.Now()),
		Runs:    []coordinator.CommitRun{{Partition: at, Position: 32, Batches: batches}},
	}
}

// plain is a batch without a producer id.
func plain(records int32) coordinator.CommitBatch {
	return coordinator.CommitBatch{Records: records, ProducerID: -1}
}

// idempotent is a batch of producer 1.
func idempotent(epoch int16, sequence, records int32) coordinator.CommitBatch {
	return coordinator.CommitBatch{Records: records, ProducerID: 1, ProducerEpoch: epoch, BaseSequence: sequence}
}

func (f *fixture) want(what string, got, want error) {
	f.t.Helper()
	if !errors.Is(got, want) {
		f.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantBatches compares the answers of the first run with offsets and errors.
func (f *fixture) wantBatches(what string, answer coordinator.CommitAnswer, want ...any) {
	f.t.Helper()
	for i, w := range want {
		got := answer.Runs[0][i]
		switch w := w.(type) {
		case int:
			if got.Err != nil || got.BaseOffset != int64(w) {
				f.t.Errorf("%s: batch %d got %+v, want offset %d", what, i, got, w)
			}
		case error:
			if !errors.Is(got.Err, w) {
				f.t.Errorf("%s: batch %d got %+v, want %v", what, i, got, w)
			}
		}
	}
}

// entries follows the stream from after on until it has seen the entry numbered last.
func (f *fixture) entries(after, last uint64) []coordinator.Entry {
	f.t.Helper()
	var got []coordinator.Entry
	for e, err := range f.Follow(f.t.Context(), f.in, after) {
		if err != nil {
			f.t.Fatal(err)
		}
		if got = append(got, e); e.Seq >= last {
			break
		}
	}
	return got
}

// settled waits for nothing: it returns the number up to which all is confirmed.
func (f *fixture) settled() uint64 {
	f.t.Helper()
	n, err := f.Settled(f.t.Context(), f.in)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

func testStream(t *testing.T, f *fixture) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	begin := f.settled()
	first, second := f.commit(request(at, plain(1))).Entry, f.commit(request(at, plain(2))).Entry
	if got, err := f.Latest(t.Context(), f.in); got != second.Seq || err != nil {
		t.Errorf("the newest entry is %d (%v), want %d", got, err, second.Seq)
	}
	if got := f.settled(); got != first.Seq-1 {
		t.Errorf("settled up to %d, the first fact that is not is %d", got, first.Seq)
	}
	f.confirm(second)
	if got := f.settled(); got != first.Seq-1 {
		t.Errorf("settled up to %d, the first fact that is not is %d", got, first.Seq)
	}
	f.confirm(first)
	f.confirm(first, second) // again: no news
	last := f.commit(request(at, plain(3))).Entry
	got := f.entries(begin, last.Seq)
	var confirmed []uint64
	for i, e := range got {
		if e.Seq != begin+uint64(i)+1 {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
		confirmed = append(confirmed, e.Confirmed...)
	}
	if !slices.Equal(confirmed, []uint64{second.Seq, first.Seq}) {
		t.Errorf("confirmed are %v, should be %d and %d", confirmed, second.Seq, first.Seq)
	}
	if s := got[0].Fact.Commit.Spans[0].Span; s.Base != 0 || s.Last != 0 || s.Position != 32 || s.Length != 100 {
		t.Errorf("first span is %+v", s)
	}

	// A follower that waits hears of what comes, and of its context's end.
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan error)
	go func() {
		for e, err := range f.Follow(ctx, f.in, last.Seq) {
			if err == nil && e.Fact == nil {
				err = errors.New("no fact")
			}
			heard <- err
		}
		close(heard)
	}()
	f.commit(request(at, plain(1)))
	f.want("waiting follower", <-heard, nil)
	cancel()
	f.want("cancelled follower", <-heard, context.Canceled)
	if _, more := <-heard; more {
		t.Error("a follower goes on after an error")
	}
}

func testIncarnations(t *testing.T, open func(t *testing.T) Subject) {
	s := open(t)
	if _, err := s.Generation(t.Context()); !errors.Is(err, coordinator.ErrNotOpen) {
		t.Errorf("a coordinator without state: %v", err)
	}
	f := newFixture(t, s)
	at := segments.Partition{Topic: f.topic("a", 1)}
	old, oldState := f.in, coordinator.NewState(f.in, "x")
	f.want("opening with the same incarnation", f.Open(t.Context(), oldState), coordinator.ErrIncarnation)

	settled, follower := f.settled(), make(chan error)
	go func() {
		var last error
		for _, err := range s.Follow(t.Context(), old, settled) {
			last = err
		}
		follower <- last
	}()
	f.open()
	if now, err := f.Generation(t.Context()); err != nil || now.Incarnation != f.in || now.Incarnation <= old {
		t.Errorf("incarnation is %d, %v after %d was opened", now, err, f.in)
	}
	f.want("follower of the old incarnation", <-follower, coordinator.ErrIncarnation)
	_, err := f.Commit(t.Context(), old, request(at, plain(1)))
	f.want("commit in the old incarnation", err, coordinator.ErrIncarnation)
	_, err = f.Propose(t.Context(), old, coordinator.Change{ProducerIDs: 1})
	f.want("propose in the old incarnation", err, coordinator.ErrIncarnation)
	f.want("confirm in the old incarnation", f.Confirm(t.Context(), old, []uint64{1}), coordinator.ErrIncarnation)
	_, err = f.Latest(t.Context(), old)
	f.want("latest in the old incarnation", err, coordinator.ErrIncarnation)
	_, err = f.Settled(t.Context(), old)
	f.want("settled in the old incarnation", err, coordinator.ErrIncarnation)
	_, err = f.Acquire(t.Context(), old, "l", "h", TTL)
	f.want("acquire in the old incarnation", err, coordinator.ErrIncarnation)
	f.want("release in the old incarnation", f.Release(t.Context(), old, "l", "h", 1), coordinator.ErrIncarnation)
	err = f.Register(t.Context(), old, coordinator.NodeInfo{}, TTL)
	f.want("register in the old incarnation", err, coordinator.ErrIncarnation)
	_, err = f.Nodes(t.Context(), old)
	f.want("nodes in the old incarnation", err, coordinator.ErrIncarnation)
	f.want("opening with an older incarnation", f.Open(t.Context(), oldState), coordinator.ErrIncarnation)
}
