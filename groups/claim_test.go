package groups_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// claimOne claims one partition of a topic, as a client does: again and again while nobody is the
// group's owner yet.
func claimOne(t *testing.T, o *owner, group, holder string, topic segments.TopicID) (groups.Claim, bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		claimed, err := o.manager.Claim(t.Context(), group, groups.ClaimRequest{Holder: holder,
			Topics: []segments.TopicID{topic}, Max: 1, TTL: 5 * time.Second})
		if err == nil && len(claimed) > 0 {
			return claimed[0], true
		}
		if err == nil {
			return groups.Claim{}, false
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("group %s has no owner: %v", group, err)
		}
	}
}

// commitClaim commits under a claim, and says what came of it.
func commitClaim(o *owner, group string, c groups.Claim, offset int64, release bool) *kerr.Error {
	commit := groups.ClaimCommit{Held: groups.Held{Partition: c.Partition, Epoch: c.Epoch}, Offset: offset,
		LeaderEpoch: -1, Metadata: fmt.Sprintf("%020d", c.Epoch), Release: release}
	answers, err := o.manager.CommitClaims(context.Background(), group, c.Holder, []groups.ClaimCommit{commit})
	if err != nil {
		return err
	}
	return answers[0]
}

func single(t *testing.T, n *coordinator.Node) segments.TopicID {
	t.Helper()
	id := segments.NewTopicID()
	if _, err := n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: "one",
		Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	fill(t, n, segments.Partition{Topic: id}, 100)
	return id
}

// Claims end with the group's owner. Holders of before can commit nothing, neither there nor with
// the next owner, whose claims have higher epochs and begin where the last commit was.
func TestClaimsEndWithTheirOwner(t *testing.T) {
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
		if err := commitClaim(a, group, first, 5, false); err != nil || first.Offset != -1 {
			t.Fatalf("the claim is %+v, its commit answered %v", first, err)
		}

		a.cut.Store(true)
		second, _ := claimOne(t, b, group, "y", topic)
		if second.Offset != 5 || second.Epoch <= first.Epoch {
			t.Errorf("behind %+v the next owner grants %+v", first, second)
		}
		if err := commitClaim(b, group, first, 6, false); err != kerr.FencedMemberEpoch {
			t.Errorf("the former holder commits with the next owner: %v", err)
		}
		if err := commitClaim(b, group, second, 9, false); err != nil {
			t.Error(err)
		}
		if err := commitClaim(a, group, first, 6, false); err == nil {
			t.Error("the former holder commits with the former owner")
		}
		a.cut.Store(false)
		if err := commitClaim(a, group, first, 6, false); err == nil {
			t.Error("the former holder commits with the former owner, who is back")
		}
		time.Sleep(20 * time.Second) // the group goes back to a
		third, _ := claimOne(t, a, group, "z", topic)
		if third.Offset != 9 || third.Epoch <= second.Epoch {
			t.Errorf("behind %+v the first owner grants %+v", second, third)
		}
		if err := commitClaim(a, group, second, 10, false); err != kerr.FencedMemberEpoch {
			t.Errorf("the holder of before commits: %v", err)
		}
	})
}

// A group has members or claims, never both. Tools see holders as members, with what they have.
func TestMembersOrClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{})
		defer a.stop(t)
		topic := createTopic(t, a.node)
		const group = "workers"
		c, _ := claimOne(t, a, group, "x", topic)
		fill(t, a.node, c.Partition, 3)
		if err := commitClaim(a, group, c, 4, false); err != kerr.OffsetOutOfRange {
			t.Errorf("beyond the end is committed: %v", err)
		}
		if err := commitClaim(a, group, c, 3, false); err != nil {
			t.Fatal(err)
		}
		if got := join(t, a, group, ""); got.Err != kerr.InconsistentGroupProtocol {
			t.Errorf("a member joins claims: %v", got.Err)
		}
		if err := a.commit(t, group, outsider, c.Partition, 0); err != kerr.UnknownMemberID {
			t.Errorf("offsets are reset below a holder: %v", err)
		}
		if err := a.manager.Delete(t.Context(), group); err != kerr.NonEmptyGroup {
			t.Errorf("a group with claims is deleted: %v", err)
		}
		wantHolder(t, a, group, "x")
		held := []groups.Held{{Partition: c.Partition, Epoch: c.Epoch}}
		if answers, err := a.manager.ReleaseClaims(t.Context(), group, "x", held); err != nil || answers[0] != nil {
			t.Fatal(err, answers)
		}
		if answers, err := a.manager.RenewClaims(t.Context(), group, "x", held, time.Minute); err != nil ||
			answers[0] != kerr.FencedMemberEpoch {
			t.Errorf("what was given up is renewed: %v, %v", err, answers)
		}
		if d, err := a.manager.Describe(t.Context(), group); err != nil || d.State != groups.Empty {
			t.Errorf("without claims the group is %s, %v", d.State, err)
		}
		if got := join(t, a, group, ""); got.Err != nil {
			t.Errorf("a member joins what has no claims: %v", got.Err)
		}
		_, err := a.manager.Claim(t.Context(), group, groups.ClaimRequest{Holder: "x", Topics: []segments.TopicID{topic},
			Max: 1, TTL: time.Second})
		if err != kerr.InconsistentGroupProtocol {
			t.Errorf("a partition is claimed while there are members: %v", err)
		}
	})
}

// wantHolder wants a group of which one holder has one partition, as tools see it.
func wantHolder(t *testing.T, o *owner, group, holder string) {
	t.Helper()
	d, err := o.manager.Describe(t.Context(), group)
	if err != nil || d.State != groups.Stable || d.ProtocolType != "consumer" || len(d.Members) != 1 ||
		d.Members[0].ID != holder {
		t.Fatalf("the group is %+v, %v", d, err)
	}
	var has kmsg.ConsumerMemberAssignment
	if err := has.ReadFrom(d.Members[0].Assignment); err != nil || len(has.Topics) != 1 || has.Topics[0].Topic != "log" ||
		len(has.Topics[0].Partitions) != 1 {
		t.Errorf("the holder has %+v, %v", has, err)
	}
	if listed := o.manager.List(); len(listed) != 1 || listed[0].State != groups.Stable {
		t.Errorf("listed are %+v", listed)
	}
}

// Whoever asks for what is not there, or for too much, is told so.
func TestClaimsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1,
			groups.Options{Limits: groups.Limits{MaxClaims: 3, OffsetMetadataBytes: 30}})
		defer a.stop(t)
		topics := []segments.TopicID{createTopic(t, a.node)}
		good := groups.ClaimRequest{Holder: "x", Topics: topics, Max: 9, TTL: time.Minute}
		change := func(f func(r *groups.ClaimRequest)) groups.ClaimRequest {
			r := good
			f(&r)
			return r
		}
		for _, c := range []struct {
			r    groups.ClaimRequest
			want *kerr.Error
		}{
			{change(func(r *groups.ClaimRequest) { r.Holder = "" }), kerr.InvalidRequest},
			{change(func(r *groups.ClaimRequest) { r.Holder = string(make([]byte, 256)) }), kerr.InvalidRequest},
			{change(func(r *groups.ClaimRequest) { r.Max = 0 }), kerr.InvalidRequest},
			{change(func(r *groups.ClaimRequest) { r.TTL = time.Millisecond }), kerr.InvalidSessionTimeout},
			{change(func(r *groups.ClaimRequest) { r.TTL = time.Hour }), kerr.InvalidSessionTimeout},
			{change(func(r *groups.ClaimRequest) { r.Topics = []segments.TopicID{segments.NewTopicID()} }),
				kerr.UnknownTopicOrPartition},
			{change(func(r *groups.ClaimRequest) { r.Partitions = []segments.Partition{{Topic: topics[0], Index: 4}} }),
				kerr.UnknownTopicOrPartition},
		} {
			if _, err := a.manager.Claim(t.Context(), "g", c.r); err != c.want {
				t.Errorf("%+v: %v, want %v", c.r, err, c.want)
			}
		}
		claimed, err := a.manager.Claim(t.Context(), "g", good)
		if err != nil || len(claimed) != 3 {
			t.Fatalf("of four partitions, with room for three claims: %v, %v", claimed, err)
		}
		if _, err := a.manager.Claim(t.Context(), "flood", good); err != kerr.GroupMaxSizeReached {
			t.Errorf("beyond MaxClaims: %v", err)
		}
		held := groups.Held{Partition: claimed[0].Partition, Epoch: claimed[0].Epoch}
		fill(t, a.node, held.Partition, 2)
		answers, err := a.manager.CommitClaims(t.Context(), "g", "x",
			[]groups.ClaimCommit{{Held: held, Offset: -1}, {Held: held, Offset: 1, Metadata: string(make([]byte, 31))},
				{Held: held, Offset: 3}, {Held: held, Offset: 2}, {Held: held, Offset: 1},
				{Held: groups.Held{Partition: held.Partition}, Offset: 2}})
		want := []*kerr.Error{kerr.InvalidRequest, kerr.OffsetMetadataTooLarge, kerr.OffsetOutOfRange, nil,
			kerr.InvalidRequest, kerr.FencedMemberEpoch}
		if err != nil || fmt.Sprint(answers) != fmt.Sprint(want) {
			t.Errorf("answered %v, %v", answers, err)
		}
		wantCommitted(t, a, "g", held.Partition, 2)
	})
}

// slowly is a coordinator that takes its time to decide, and now and then does so only after it has
// failed to answer.
type slowly struct {
	coordinator.Coordinator

	mu     sync.Mutex
	chance *rand.Rand
	landed func(coordinator.GroupOffset)
	late   sync.WaitGroup
}

func (s *slowly) Propose(ctx context.Context, in coordinator.Incarnation, c coordinator.Change) (coordinator.Entry,
	error) {
	if c.Offsets == nil || c.Offsets.Group == "" {
		return s.Coordinator.Propose(ctx, in, c)
	}
	s.mu.Lock()
	delay, lost := time.Duration(s.chance.IntN(4000))*time.Millisecond, s.chance.IntN(8) == 0
	s.mu.Unlock()
	decide := func(ctx context.Context) (coordinator.Entry, error) {
		time.Sleep(delay)
		s.mu.Lock()
		defer s.mu.Unlock()
		entry, err := s.Coordinator.Propose(ctx, in, c)
		if err == nil {
			s.landed(c.Offsets.Offsets[0])
		}
		return entry, err
	}
	if lost {
		s.late.Go(func() { decide(context.WithoutCancel(ctx)) })
		return coordinator.Entry{}, coordinator.ErrUnavailable
	}
	return decide(ctx)
}

// However slow the coordinator is, and whatever it does not answer: no commit under a claim is
// decided once the partition was granted with a higher epoch. So holders that each add one to what
// they find, once, count without a gap.
func TestNoCommitBehindALaterClaim(t *testing.T) {
	all := int64(0)
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowly{Coordinator: embedded.New(embedded.Options{}), chance: rand.New(rand.NewPCG(seed, 0))}
			counted, granted := int64(0), uint64(0)
			slow.landed = func(o coordinator.GroupOffset) {
				if counted++; o.Offset != counted || o.Metadata < fmt.Sprintf("%020d", granted) {
					t.Errorf("seed %d: commit %d is of offset %d, epoch %s; granted is %d", seed, counted, o.Offset, o.Metadata,
						granted)
				}
			}
			a := start(t, memory.New(), slow, 1, groups.Options{})
			defer a.stop(t)
			topic := single(t, a.node)
			var holders sync.WaitGroup
			for i := range 3 {
				chance := rand.New(rand.NewPCG(seed, uint64(i)+1))
				holders.Go(func() {
					for n := range 30 {
						c, ok := claimOne(t, a, "g", fmt.Sprint(i, "-", n), topic)
						if !ok {
							time.Sleep(time.Second)
							continue
						}
						slow.mu.Lock()
						granted = max(granted, c.Epoch)
						slow.mu.Unlock()
						time.Sleep(time.Duration(chance.IntN(6000)) * time.Millisecond)
						commitClaim(a, "g", c, max(0, c.Offset)+1, chance.IntN(2) == 0)
					}
				})
			}
			holders.Wait()
			slow.late.Wait()
			all += counted
		})
	}
	if all < 100 {
		t.Errorf("%d commits: that shows little", all)
	}
}
