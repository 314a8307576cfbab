package groups_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// process begins a request under a claim that lets offset count.
func process(t *testing.T, o *owner, group string, c groups.Claim, offset int64, release bool) (*groups.Processing,
	*kerr.Error) {
	t.Helper()
	p, answers, err := o.manager.Process(t.Context(), group, c.Holder, []groups.ClaimCommit{{
		Held: groups.Held{Partition: c.Partition, Epoch: c.Epoch}, Offset: offset, LeaderEpoch: -1, Release: release}})
	if err != nil {
		return nil, err
	}
	if (p == nil) != (answers[0] != nil) {
		t.Fatalf("a request is answered with %v, %v", p, answers)
	}
	return p, answers[0]
}

// write has the request of a Processing decided, with a record.
func write(t *testing.T, o *owner, p *groups.Processing, at segments.Partition) (coordinator.Entry, error) {
	t.Helper()
	life, err := o.node.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := segments.NewID(time.Now())
	answer, err := life.Commit(t.Context(), coordinator.CommitRequest{Segment: id,
		Atomic: []coordinator.Atomic{{Batches: 1, Offsets: &p.Offsets}},
		Runs: []coordinator.CommitRun{{Partition: at, Batches: []coordinator.CommitBatch{{Length: 1, Records: 1,
			ProducerID: -1, Key: &coordinator.RequestKey{ID: id, Partitions: 1}, Atomic: 1}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Entry, answer.Runs[0][0].Err
}

func settle(t *testing.T, o *owner, e coordinator.Entry) {
	t.Helper()
	life, err := o.node.Life(t.Context())
	if err == nil {
		err = life.Settle(t.Context(), e)
	}
	if err == nil {
		err = o.node.CatchUp(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// While a request under a claim is on its way nobody else gets the claim, also when its time is
// over, and nothing else is committed under it. The next holder begins behind it.
func TestARequestKeepsItsClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{})
		defer a.stop(t)
		topic := single(t, a.node)
		const group = "functions"
		c, _ := claimOne(t, a, group, "x", topic)
		if _, err := process(t, a, group, c, 1000, false); err != kerr.OffsetOutOfRange {
			t.Errorf("a request beyond the end: %v", err)
		}
		p, err := process(t, a, group, c, 5, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := process(t, a, group, c, 5, true); err != kerr.ConcurrentTransactions {
			t.Errorf("a second request: %v", err)
		}
		if err := commitClaim(a, group, c, 7, false); err != kerr.ConcurrentTransactions {
			t.Errorf("a commit meanwhile: %v", err)
		}
		time.Sleep(time.Hour)
		if other, got := claimOne(t, a, group, "y", topic); got {
			t.Errorf("another gets %+v meanwhile", other)
		}
		if err := a.manager.Delete(t.Context(), group); err != kerr.NonEmptyGroup {
			t.Errorf("the group can be deleted meanwhile: %v", err)
		}
		entry, refused := write(t, a, p, c.Partition)
		if refused != nil {
			t.Fatal(refused)
		}
		settle(t, a, entry)
		p.End(groups.Done)
		next, _ := claimOne(t, a, group, "y", topic)
		if next.Offset != 5 {
			t.Errorf("the next holder gets %+v", next)
		}
		if _, err := process(t, a, group, c, 6, true); err != kerr.FencedMemberEpoch {
			t.Errorf("a request of the holder before: %v", err)
		}
		former := int64(3)
		_, answers, _ := a.manager.Process(t.Context(), group, "y", []groups.ClaimCommit{{Held: groups.Held{
			Partition: next.Partition, Epoch: next.Epoch}, Offset: 8, From: &former, LeaderEpoch: -1}})
		if answers[0] != kerr.FencedMemberEpoch {
			t.Errorf("a request of a holder that began elsewhere: %v", answers)
		}
		p, _ = process(t, a, group, next, 6, true)
		if again, got := claimOne(t, a, group, "y", topic); got {
			t.Errorf("a holder that comes again while its request is on its way gets %+v", again)
		}
		p.End(groups.Undone)
		if again, _ := claimOne(t, a, group, "y", topic); again.Epoch != next.Epoch || again.Offset != 5 {
			t.Errorf("after a request that was not written the holder has %+v", again)
		}
	})
}

// What becomes of a request that is in doubt is settled before the group goes on: what arrives of
// it later is refused.
func TestARequestInDoubtOutdatesItsLease(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "when the lease has expired": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{})
				defer a.stop(t)
				topic := single(t, a.node)
				const group = "functions"
				c, _ := claimOne(t, a, group, "x", topic)
				p, err := process(t, a, group, c, 5, true)
				if err != nil {
					t.Fatal(err)
				}
				a.cut.Store(true)
				time.Sleep(wait)
				p.End(groups.Doubtful)
				time.Sleep(time.Minute)
				a.cut.Store(false)
				next, _ := claimOne(t, a, group, "y", topic)
				if next.Offset != -1 {
					t.Errorf("the next holder gets %+v", next)
				}
				if _, refused := write(t, a, p, c.Partition); !errors.Is(refused, coordinator.ErrLeaseLost) {
					t.Errorf("the request arrives afterwards: %v", refused)
				}
			})
		})
	}
}

// A new owner of a group grants nothing before it knows what was decided under the owner before,
// and what that sends from then on is refused.
func TestTheNextOwnerWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		defer a.stop(t)
		topic := single(t, a.node)
		time.Sleep(6 * time.Second) // until both have heard of each other
		group := groupOf(t, a)
		first, _ := claimOne(t, a, group, "x", topic)
		p, err := process(t, a, group, first, 5, true)
		if err != nil {
			t.Fatal(err)
		}
		entry, refused := write(t, a, p, first.Partition)
		if refused != nil {
			t.Fatal(refused)
		}
		a.cut.Store(true)
		granted := make(chan groups.Claim)
		go func() {
			second, _ := claimOne(t, b, group, "y", topic)
			granted <- second
		}()
		select {
		case second := <-granted:
			t.Fatalf("while a request is decided and not confirmed the next owner grants %+v", second)
		case <-time.After(40 * time.Second):
		}
		settle(t, b, entry)
		if second := <-granted; second.Offset != 5 {
			t.Errorf("when it is confirmed the next owner grants %+v", second)
		}
		if _, refused := write(t, a, p, first.Partition); !errors.Is(refused, coordinator.ErrLeaseLost) {
			t.Errorf("a request of the owner before: %v", refused)
		}
		p.End(groups.Undone)
	})
}
