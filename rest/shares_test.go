package rest_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/rest"
	"firn.dev/segments"
)

// A node that does not own a share group asks the owner, and gets what the owner's own clients get.
func TestShareGroupsAreTheirOwners(t *testing.T) {
	nodes := startFirn(t, 2, nil)
	topic := nodes[0].makeTopic(t, "tasks", 1)
	nodes[0].writeValues(t, topic, 0, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	at := segments.Partition{Topic: topic.ID}
	asks := func(f *firn, group string) bool {
		_, another := f.RemoteShares(group, access.Client{})
		return another
	}
	group, owner, other := "", nodes[0], nodes[1]
	for i := 0; group == ""; i++ {
		if name := fmt.Sprint("work-", i); asks(other, name) {
			group = name
		}
	}
	ctx := t.Context()
	remote, _ := other.RemoteShares(group, access.Client{Principal: access.Anonymous, Host: "127.0.0.1"})
	if _, _, _, err := remote.Shares(ctx, group, []segments.Partition{at}); err != kerr.GroupIDNotFound {
		t.Fatalf("a group that is not there: %v", err)
	}
	joined := owner.opts.Groups.ShareHeartbeat(ctx, group, groups.ShareHeartbeat{MemberID: "m", Names: []string{"tasks"}})
	if joined.Err != nil {
		t.Fatal(joined.Err)
	}
	states, errs, _, err := remote.Shares(ctx, group, []segments.Partition{at, {Topic: topic.ID, Index: 9}})
	if err != nil || errs[0] != nil || errs[1] != kerr.UnknownTopicOrPartition || !states[0].New {
		t.Fatalf("states %+v, errors %v, %v", states, errs, err)
	}
	if err := remote.BeginShares(ctx, group, []groups.ShareBeginning{{Partition: at, Offset: 0}}); err != nil {
		t.Fatal(err)
	}
	got, err := remote.AcquireShares(ctx, group, "m", []groups.ShareAcquire{{Partition: at, From: 0, To: 9,
		Batches: []groups.LogRange{{First: 0, Last: 4}, {First: 5, Last: 9}}}},
		groups.AcquireBounds{Most: 7, Exactly: true})
	want := [][]groups.AcquiredRange{{{LogRange: groups.LogRange{First: 0, Last: 6}, Deliveries: 1}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("acquired: %v\n%s", err, diff)
	}
	acks := func(first, last int64, types ...groups.AckType) []groups.ShareAcks {
		ack := groups.ShareAck{LogRange: groups.LogRange{First: first, Last: last}, Types: types}
		return []groups.ShareAcks{{Partition: at, Acks: []groups.ShareAck{ack}}}
	}
	for _, c := range []struct {
		said []groups.ShareAcks
		want *kerr.Error
	}{
		{acks(0, 2, groups.AckAccept), nil},
		{acks(3, 4, groups.AckReject, groups.AckRelease), nil},
		{acks(0, 0, groups.AckAccept), kerr.InvalidRecordState},
	} {
		if answers, err := remote.AcknowledgeShares(ctx, group, "m", c.said); err != nil || answers[0] != c.want {
			t.Errorf("%+v: %v, %v", c.said, answers, err)
		}
	}
	if err := remote.ReleaseShares(ctx, group, "m", []segments.Partition{at}); err != nil {
		t.Fatal(err)
	}
	offsets, err := owner.opts.Groups.ShareOffsets(ctx, group)
	if diff := cmp.Diff(map[segments.Partition]groups.ShareState{at: {Offset: 4, InFlight: 3}}, offsets); err != nil ||
		diff != "" {
		t.Errorf("the group is at (-want +got): %v\n%s", err, diff)
	}
}

// A question that is longer than its owner takes is asked in parts. A member gets as much as it
// asked for of all of them together.
func TestLongQuestionsAboutShares(t *testing.T) {
	t.Parallel()
	other, owner, group := cluster(t, func(*rest.Options) {})
	topic := owner.makeTopic(t, "wide", 100)
	for i := range int32(2) {
		owner.writeValues(t, topic, 99*i, "0", "1", "2", "3")
	}
	if err := other.node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	heartbeat := groups.ShareHeartbeat{MemberID: "m", Names: []string{"wide"}}
	if joined := owner.opts.Groups.ShareHeartbeat(ctx, group, heartbeat); joined.Err != nil {
		t.Fatal(joined.Err)
	}
	remote, _ := other.RemoteShares(group, access.Client{Principal: access.Anonymous, Host: "127.0.0.1"})
	var begin []groups.ShareBeginning
	var read []groups.ShareAcquire
	for i := range int32(100) {
		at := segments.Partition{Topic: topic.ID, Index: i}
		begin = append(begin, groups.ShareBeginning{Partition: at})
		read = append(read, groups.ShareAcquire{Partition: at, To: 3, Batches: []groups.LogRange{{First: 0, Last: 3}}})
		for n := range int64(1000) { // that are not there
			r := groups.LogRange{First: 1e15 + n, Last: 1e15 + n}
			read[i].Batches = append(read[i].Batches, r)
		}
	}
	if err := remote.BeginShares(ctx, group, begin); err != nil {
		t.Fatal(err)
	}
	got, err := remote.AcquireShares(ctx, group, "m", read, groups.AcquireBounds{Most: 6, Exactly: true})
	if err != nil || len(got) != 100 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i, last := range map[int]int64{0: 3, 99: 1} {
		if len(got[i]) != 1 || got[i][0].Last != last {
			t.Errorf("partition %d: %v", i, got[i])
		}
	}
}

// Where nodes have a secret, what they ask the owner of a share group is theirs alone, and nobody
// can have a node ask it.
func TestOnlyNodesAskAboutShares(t *testing.T) {
	t.Parallel()
	other, owner, group := cluster(t, func(*rest.Options) {})
	path, body := "/v1/groups/"+group+"/shares", `{"ask": "release", "member": "m", "partitions": []}`
	for _, f := range []*firn{other, owner} {
		if status, text := f.send(t, "POST", path, body); status != 403 {
			t.Errorf("a client asks: %d %s", status, text)
		}
	}
	proved := other.proof(t, "POST", path, body, owner.node.Info().ID)
	if status, text := owner.send(t, "POST", path, body, proved); status != 200 {
		t.Errorf("a node asks: %d %s", status, text)
	}
}
