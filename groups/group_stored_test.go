package groups

import (
	"bytes"
	"testing"
	"time"
)

// TestStoredMembersAreBroughtBack wants a group that is brought back to be the one that was stored,
// and its members to go on.
func TestStoredMembersAreBroughtBack(t *testing.T) {
	opts := Options{}.withDefaults().ofGroups()
	now := time.Unix(1000, 0)
	classic := newAnyGroup(&opts)
	m := classic.kind.(*classicGroup)
	for i, id := range []string{"a", "b"} {
		m.join(now, &JoinRequest{MemberID: "", InstanceID: "i" + id, ClientID: "c", ClientHost: "/h",
			SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
			ProtocolType: consumerProtocol, Protocols: []Protocol{{"range", []byte{1, 2}}}, spare: 1 << 30}, id, Ticket(i+1))
	}
	if stored, ok := classic.export(); ok {
		t.Fatalf("in the middle of a rebalance %s would be stored", stored)
	}
	for range 5 { // the first rebalance waits for more members to come
		now = now.Add(opts.initialRebalanceDelay)
		classic.tick(now)
	}
	m.sync(now, &SyncRequest{MemberID: "b", InstanceID: "ib", Generation: 1}, 4)
	m.sync(now, &SyncRequest{MemberID: m.leader, InstanceID: "i" + m.leader, Generation: 1,
		Assignments: map[string][]byte{"a": {7}, "b": {8}}}, 5)

	s := newScene(t, nil)
	s.say(joining("a", "log"))
	s.say(joining("b", "log"))

	for name, g := range map[string]*anyGroup{"classic": classic, "consumer": s.anyGroup} {
		stored, ok := g.export()
		if !ok || len(stored) == 0 {
			t.Fatalf("%s: nothing is stored", name)
		}
		next := newAnyGroup(&opts)
		if err := next.restore(now, stored, s.topics); err != nil {
			t.Fatal(err)
		}
		again, ok := next.export()
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
				if err := k.heartbeat(now, who{id, "i" + id}, 1); err != nil {
					t.Errorf("%s: %s is told %v", name, id, err)
				}
			}
		}
		next.tick(now.Add(time.Hour))
		if next.members() > 0 {
			t.Errorf("%s: members of whom nothing is heard stay", name)
		}
	}
}

// A group that its members have left is what it was for the next owner, too.
func TestEmptyGroupsAreBroughtBack(t *testing.T) {
	opts := Options{}.withDefaults().ofGroups()
	now := time.Unix(1000, 0)
	classic := newAnyGroup(&opts)
	classic.kind.(*classicGroup).join(now, &JoinRequest{ClientID: "c",
		SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, ProtocolType: "connect",
		Protocols: []Protocol{{"sessioned", nil}}, spare: 1 << 30}, "a", 1)
	classic.tick(now.Add(opts.initialRebalanceDelay))
	classic.tick(now.Add(2 * time.Minute)) // it never asked for its assignment

	s := newScene(t, nil)
	joined := s.say(joining("a", "log"))
	s.say(ConsumerHeartbeat{MemberID: joined.MemberID, Epoch: leaving, RebalanceTimeout: -1})

	for name, c := range map[string]struct {
		g    *anyGroup
		want Description
	}{
		"classic": {classic, Description{State: Empty, ProtocolType: "connect"}},
		"consumer": {s.anyGroup, Description{State: Empty, Type: Consumer, ProtocolType: "consumer", Protocol: "uniform",
			Epoch: 2}},
	} {
		stored, ok := c.g.export()
		if !ok || !c.g.idle() || c.g.inUse() {
			t.Fatalf("%s: the group is not empty, but %+v", name, c.g.kind)
		}
		next := newAnyGroup(&opts)
		if err := next.restore(now, stored, s.topics); err != nil {
			t.Fatal(err)
		}
		var got Description
		next.describe(&got)
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
	opts := Options{}.withDefaults().ofGroups()
	g := newAnyGroup(&opts)
	if stored, _ := g.export(); stored != nil {
		t.Errorf("of a group that nobody was ever in %s is stored", stored)
	}
	g.kind.(*classicGroup).generation = 3
	if stored, _ := g.export(); !bytes.HasPrefix(stored, []byte(`{"format":2,`)) {
		t.Errorf("stored is %s", stored)
	}
}
