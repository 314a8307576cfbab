package groups

import (
	"bytes"
	"testing"
	"time"
)

// TestStoredMembersAreBroughtBack wants a group that is brought back to be the one that was stored, and its members to go on.
func TestStoredMembersAreBroughtBack(t *testing.T) {
	opts := Options{}.withDefaults()
	now := time.Unix(1000, 0)
	classic := newParty(&opts)
	m := classic.kind.(*machine)
	for i, id := range []string{"a", "b"} {
		m.join(now, &JoinRequest{MemberID: "", InstanceID: "i" + id, ClientID: "c", ClientHost: "/h", SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
			ProtocolType: consumerProtocol, Protocols: []Protocol{{"range", []byte{1, 2}}}, spare: 1 << 30}, id, Ticket(i+1))
	}
	if stored, ok := classic.export(); ok {
		t.Fatalf("in the middle of a rebalance %s would be stored", stored)
	}
	for range 5 { // the first rebalance waits for more members to come
		now = now.Add(opts.InitialRebalanceDelay)
		classic.tick(now)
	}
	m.sync(now, &SyncRequest{MemberID: "b", InstanceID: "ib", Generation: 1}, 4)
	m.sync(now, &SyncRequest{MemberID: m.leader, InstanceID: "i" + m.leader, Generation: 1, Assignments: map[string][]byte{"a": {7}, "b": {8}}}, 5)

	s := newScene(t, nil)
	s.say(joining("a", "log"))
	s.say(joining("b", "log"))

	for name, g := range map[string]*party{"classic": classic, "consumer": s.party} {
		stored, ok := g.export()
		if !ok || len(stored) == 0 {
			t.Fatalf("%s: nothing is stored", name)
		}
		next := newParty(&opts)
		if err := next.restore(now, stored, s.topics); err != nil {
			t.Fatal(err)
		}
		again, ok := next.export()
		if !ok || !bytes.Equal(stored, again) {
			t.Errorf("%s: stored was\n%s\nbrought back it is\n%s", name, stored, again)
		}
		members, size, generation := next.weight()
		if m, b, g := g.weight(); m != members || b != size || g != generation {
			t.Errorf("%s: %d members of %d bytes in generation %d; brought back %d, %d, %d", name, m, b, g, members, size, generation)
		}
		for id := range map[string]bool{"a": true, "b": true} {
			if k, classic := next.kind.(*machine); classic {
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
