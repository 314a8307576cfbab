package groups_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// sharing is a member of the share group "work" at one owner.
type sharing struct {
	*owner
	t    *testing.T
	name string
	at   segments.Partition
}

// takes has the member acquire records up to an offset, and wants these.
func (s *sharing) takes(to int64, want string) {
	s.t.Helper()
	states, errs, _, err := s.manager.Shares(s.t.Context(), "work", []segments.Partition{s.at})
	if err != nil || errs[0] != nil {
		s.t.Fatalf("asking: %v, %v", errs, err)
	}
	from := states[0].Offset
	if states[0].New {
		from = 0
		if err := s.manager.BeginShares(s.t.Context(), "work",
			[]groups.ShareBeginning{{Partition: s.at, Offset: 0}}); err != nil {
			s.t.Fatal(err)
		}
	}
	got, err := s.manager.AcquireShares(s.t.Context(), "work", s.name, []groups.ShareAcquire{{Partition: s.at, From: from,
		To: to, Batches: []groups.LogRange{{First: from, Last: to}}}}, groups.AcquireBounds{Most: 100, Exactly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	text := ""
	for _, r := range got[0] {
		text += fmt.Sprintf("%d-%d×%d ", r.First, r.Last, r.Deliveries)
	}
	if text != want {
		s.t.Fatalf("%s acquired %q, want %q", s.name, text, want)
	}
}

func (s *sharing) says(first, last int64, what groups.AckType, want *kerr.Error) {
	s.t.Helper()
	answers, err := s.manager.AcknowledgeShares(s.t.Context(), "work", s.name, []groups.ShareAcks{{Partition: s.at,
		Acks: []groups.ShareAck{{LogRange: groups.LogRange{First: first, Last: last}, Types: []groups.AckType{what}}}}})
	if err != nil || answers[0] != want {
		s.t.Fatalf("%s acknowledges %d to %d: %v, %v", s.name, first, last, answers, err)
	}
}

// What members of a share group have acknowledged stays so at the next owner, also when all that
// is left is the bucket. What they had acquired can be had again.
func TestShareGroupsOutliveTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		at := segments.Partition{Topic: createTopic(t, a.node)}
		synctest.Wait() // until the manager has heard of the topic
		joined := a.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: "m", Names: []string{"log"}})
		if joined.Err != nil || len(joined.Assigned) == 0 {
			t.Fatalf("joined: %+v", joined)
		}
		m := &sharing{a, t, "m", at}
		m.takes(9, "0-9×1 ")
		m.says(0, 3, groups.AckAccept, nil)
		m.says(5, 5, groups.AckReject, nil)
		m.says(6, 7, groups.AckRelease, nil)
		time.Sleep(31 * time.Second) // 4, 8 and 9 are given back
		m.says(8, 9, groups.AckAccept, kerr.InvalidRecordState)
		m.takes(9, "4-4×2 6-9×2 ")
		m.says(8, 8, groups.AckAccept, nil)
		time.Sleep(time.Second)
		a.stop(t)

		b := start(t, store, embedded.New(embedded.Options{}), 2, groups.Options{})
		m = &sharing{b, t, "m", at}
		wantGroup(t, b, groups.Description{Group: "work", Type: groups.Share, State: groups.Stable, ProtocolType: "share",
			Epoch: 1})
		beat := b.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: "m", Epoch: joined.Epoch})
		if beat.Err != nil || beat.Epoch != joined.Epoch {
			t.Fatalf("the member is not known any more: %+v", beat)
		}
		m.says(9, 9, groups.AckAccept, kerr.InvalidRecordState)
		m.takes(12, "4-4×2 6-7×2 9-9×2 10-12×1 ") // the second delivery by a was not stored
		m.says(4, 12, groups.AckAccept, kerr.InvalidRecordState)
		left := groups.ShareHeartbeat{MemberID: "m", Epoch: -1}
		if beat := b.manager.ShareHeartbeat(t.Context(), "work", left); beat.Err != nil {
			t.Fatal(beat.Err)
		}
		if err := b.manager.Commit(t.Context(), "work", groups.Committer{Generation: -1}, nil); err != kerr.GroupIDNotFound {
			t.Errorf("committing offsets: %v", err)
		}
		if err := b.manager.Delete(t.Context(), "work"); err != nil {
			t.Errorf("deleting it: %v", err)
		}
		b.stop(t)
	})
}
