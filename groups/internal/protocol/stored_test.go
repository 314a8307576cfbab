package protocol

import (
	"bytes"
	"testing"
	"time"
)

// TestStoredMembersAreBroughtBack wants a group that is brought back to be the one that was stored,
// and its members to go on.
func TestStoredMembersAreBroughtBack(t *testing.T) {
	opts := testOptions()
	now := time.Unix(1000, 0)
	classic := NewGroup(opts)
	m := classic.kind.(*classicGroup)
	for i, id := range []string{"a", "b"} {
		m.Join(now, &JoinRequest{MemberID: "", InstanceID: "i" + id, ClientID: "c", ClientHost: "/h",
			SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
			ProtocolType: consumerProtocol, Protocols: []Protocol{{"range", []byte{1, 2}}}, Spare: 1 << 30}, id, Ticket(i+1))
	}
	if stored, ok := classic.Export(); ok {
		t.Fatalf("in the middle of a rebalance %s would be stored", stored)
	}
	for range 5 { // the first rebalance waits for more members to come
		now = now.Add(opts.InitialRebalanceDelay)
		classic.Tick(now)
	}
	m.Sync(now, &SyncRequest{MemberID: "b", InstanceID: "ib", Generation: 1}, 4)
	m.Sync(now, &SyncRequest{MemberID: m.leader, InstanceID: "i" + m.leader, Generation: 1,
		Assignments: map[string][]byte{"a": {7}, "b": {8}}}, 5)

	s := newScene(t, nil)
	s.say(joining("a", "log"))
	s.say(joining("b", "log"))

	for name, g := range map[string]*Group{"classic": classic, "consumer": s.Group} {
		stored, ok := g.Export()
		if !ok || len(stored) == 0 {
			t.Fatalf("%s: nothing is stored", name)
		}
		next := NewGroup(opts)
		if err := next.Restore(now, stored, s.topics); err != nil {
			t.Fatal(err)
		}
		again, ok := next.Export()
		if !ok || !bytes.Equal(stored, again) {
			t.Errorf("%s: stored was\n%s\nbrought back it is\n%s", name, stored, again)
		}
		members, size, generation := next.weight()
		if m, b, g := g.weight(); m != members || b != size || g != generation {
			t.Errorf("%s: %d members of %d bytes in generation %d; brought back %d, %d, %d", name, m, b, g, members, size,
				generation)
		}
		for id := range map[string]bool{"a": true, "b": true} {
			if k, classic := next.kind.(*classicGroup); classic {
				if err := k.Heartbeat(now, Identity{id, "i" + id}, 1); err != nil {
					t.Errorf("%s: %s is told %v", name, id, err)
				}
			}
		}
		next.Tick(now.Add(time.Hour))
		if next.Members() > 0 {
			t.Errorf("%s: members of whom nothing is heard stay", name)
		}
	}
}

// A group that its members have left is what it was for the next owner, too.
func TestEmptyGroupsAreBroughtBack(t *testing.T) {
	opts := testOptions()
	now := time.Unix(1000, 0)
	classic := NewGroup(opts)
	classic.kind.(*classicGroup).Join(now, &JoinRequest{ClientID: "c",
		SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, ProtocolType: "connect",
		Protocols: []Protocol{{"sessioned", nil}}, Spare: 1 << 30}, "a", 1)
	classic.Tick(now.Add(opts.InitialRebalanceDelay))
	classic.Tick(now.Add(2 * time.Minute)) // it never asked for its assignment

	s := newScene(t, nil)
	joined := s.say(joining("a", "log"))
	s.say(ConsumerHeartbeat{MemberID: joined.MemberID, Epoch: leaving, RebalanceTimeout: -1})

	for name, c := range map[string]struct {
		g    *Group
		want Description
	}{
		"classic": {classic, Description{State: Empty, ProtocolType: "connect"}},
		"consumer": {s.Group, Description{State: Empty, Type: Consumer, ProtocolType: "consumer", Protocol: "uniform",
			Epoch: 2}},
	} {
		stored, ok := c.g.Export()
		if !ok || !c.g.Idle() || c.g.InUse() {
			t.Fatalf("%s: the group is not empty, but %+v", name, c.g.kind)
		}
		next := NewGroup(opts)
		if err := next.Restore(now, stored, s.topics); err != nil {
			t.Fatal(err)
		}
		var got Description
		next.Describe(&got)
		if got.State != c.want.State || got.Type != c.want.Type || got.ProtocolType != c.want.ProtocolType ||
			got.Protocol != c.want.Protocol || got.Epoch != c.want.Epoch {
			t.Errorf("%s: brought back as %+v, want %+v", name, got, c.want)
		}
		_, _, before := c.g.weight()
		if _, _, generation := next.weight(); generation != before || generation == 0 {
			t.Errorf("%s: the generation was %d and is %d", name, before, generation)
		}
	}
}

// A program that only knows groups with members must not take an empty one for one of those.
func TestEmptyGroupsHaveAFormatOfTheirOwn(t *testing.T) {
	opts := testOptions()
	g := NewGroup(opts)
	if stored, _ := g.Export(); stored != nil {
		t.Errorf("of a group that nobody was ever in %s is stored", stored)
	}
	g.kind.(*classicGroup).generation = 3
	if stored, _ := g.Export(); !bytes.HasPrefix(stored, []byte(`{"format":2,`)) {
		t.Errorf("stored is %s", stored)
	}
}
