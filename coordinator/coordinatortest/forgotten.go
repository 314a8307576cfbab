package coordinatortest

import (
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunForgotten lets the coordinator's clock run ahead, so that it forgets commits, and then be
// set back: what it does not know any more it must refuse, or it would write it a second time. A
// subject comes with a function that returns the coordinator as it is when its clock is set back.
func RunForgotten(t *testing.T, open func(t *testing.T) (Subject, func() coordinator.Coordinator)) {
	for name, test := range map[string]func(*testing.T, *fixture, func() coordinator.Coordinator){
		"Expired":  testForgottenExpired,
		"Merged":   testForgottenMerged,
		"Reopened": testForgottenReopened,
	} {
		t.Run(name, func(t *testing.T) {
			s, back := open(t)
			test(t, newFixture(t, s), back)
		})
	}
}

// RunAhead is by how much the clock is wrong: enough to merge what was committed when it was right,
// and for Redis to forget it.
func RunAhead(deadline time.Duration) time.Duration { return deadline + deadline/5 + 3*time.Second }

func (f *fixture) ahead() time.Duration { return RunAhead(f.Deadline) }

func (f *fixture) wantForgotten(what string, c coordinator.Coordinator, req coordinator.CommitRequest) {
	f.t.Helper()
	_, err := c.Commit(f.t.Context(), f.in, req)
	f.want(what, err, coordinator.ErrTooOld)
}

func testForgottenExpired(t *testing.T, f *fixture, back func() coordinator.Coordinator) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	committed := request(at, plain(1))
	f.confirm(f.commit(committed).Entry)
	f.Advance(f.ahead())
	f.wantForgotten("a commit again while the clock is ahead", f, committed)
	c := back()
	f.wantForgotten("the same when it is right again", c, committed)
	next := request(at, plain(1))
	next.Segment = segments.NewID(time.Now().Add(2 * time.Second))
	_, err := c.Commit(t.Context(), f.in, next)
	f.want("one that was sealed after it", err, nil)
}

func testForgottenMerged(t *testing.T, f *fixture, back func() coordinator.Coordinator) {
	at := segments.Partition{Topic: f.topic("a", 1)}
	merged := request(at, plain(1))
	f.confirm(f.commit(merged).Entry)
	f.Advance(f.ahead())
	lease := acquire(t, f, f.in, "a")
	_, err := f.Propose(t.Context(), f.in, coordinator.Change{ID: segments.NewID(time.Now()),
		Merge: &coordinator.ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch, Youngest: merged.Segment,
			Merge: coordinator.Merge{Partition: at}}})
	f.want("a merge while the clock is ahead", err, nil)
	again, err := back().Commit(t.Context(), f.in, merged)
	if err == nil {
		f.wantBatches("what was merged, when it is right again and the commit not forgotten", again, 0)
	} else {
		f.want("what was merged, when it is right again", err, coordinator.ErrTooOld)
	}
}

func testForgottenReopened(t *testing.T, f *fixture, back func() coordinator.Coordinator) {
	topic, created := f.newTopic(1)
	committed := request(segments.Partition{Topic: topic}, plain(1))
	entry := f.commit(committed).Entry
	f.Advance(f.ahead())
	f.recover(created, entry)
	f.wantForgotten("what was recovered while the clock was ahead", back(), committed)
}
