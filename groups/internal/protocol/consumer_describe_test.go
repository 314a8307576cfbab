package protocol

import (
	"encoding/json"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// matching is the first heartbeat of a member that subscribes to all topics of which it may know.
func matching(id string, describes func(topic string) bool) ConsumerHeartbeat {
	r := joining(id)
	r.Names, r.Regex, r.Describes = nil, new(".*"), describes
	return r
}

// A regular expression finds the topics that the member's client may describe, and no others: when
// it joins, when topics come, when it is another client, and a minute after permissions change.
func TestRegexFindsWhatTheMemberMayDescribe(t *testing.T) {
	s := newScene(t, nil)
	allowed := map[string]bool{"log": true}
	some := func(topic string) bool { return allowed[topic] }
	heartbeat := func(describes func(string) bool) int {
		t.Helper()
		r := beating("a", s.kind.(*consumerGroup).members["a"].epoch)
		r.Describes, r.Names, r.Owned, r.RebalanceTimeout = describes, []string{}, []segments.Partition{}, time.Minute
		for at := range s.kind.(*consumerGroup).members["a"].assigned {
			r.Owned = append(r.Owned, at)
		}
		a := s.say(r)
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		return len(a.Assigned)
	}
	wantReads := func(when string, describes func(string) bool, want int) {
		t.Helper()
		heartbeat(describes) // it may have to give up something first
		if got := heartbeat(describes); got != want {
			t.Errorf("%s: %d partitions, want %d", when, got, want)
		}
	}
	s.want(matching("a", some), 1, []int32{0, 1})
	third := &coordinator.Topic{ID: segments.TopicID{3}, Name: "third", Partitions: 4}
	hidden := &coordinator.Topic{ID: segments.TopicID{4}, Name: "hidden", Partitions: 8}
	allowed["third"] = true
	s.topics = NewCatalog(2, []*coordinator.Topic{logTopic, otherTopic, third, hidden})
	s.kind.(*consumerGroup).see(s.topics)
	wantReads("topics have come", some, 6)
	delete(allowed, "third")
	wantReads("just after a permission is gone", some, 6)
	s.now = s.now.Add(regexRefresh)
	wantReads("a minute after", some, 2)

	stored, err := json.Marshal(storedGroup{Format: storedFormat, Consumer: s.kind.(*consumerGroup).export()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(s.now, stored, s.topics); err != nil {
		t.Fatal(err)
	}
	s.topics = NewCatalog(3, []*coordinator.Topic{logTopic, otherTopic, third, hidden,
		{ID: segments.TopicID{5}, Name: "new"}})
	s.kind.(*consumerGroup).see(s.topics)
	if d := s.described(); len(d.Members) != 1 || len(d.Members[0].Target) != 2 {
		t.Errorf("on another node, before the member says who it is: %+v", d)
	}
	allowed["third"] = true
	wantReads("and after", some, 6)
	s.now = s.now.Add(regexRefresh)
	wantReads("where everything is allowed", nil, 15)
}

// Members of two clients with one expression do not see each other's topics.
func TestRegexOfTwoClients(t *testing.T) {
	s := newScene(t, nil)
	s.want(matching("a", func(topic string) bool { return topic == "log" }), 1, []int32{0, 1})
	if a := s.say(matching("b", func(topic string) bool { return topic == "other" })); a.Err != nil ||
		len(a.Assigned) != 1 || a.Assigned[0].Topic != otherTopic.ID {
		t.Errorf("the other client's member: %+v", a)
	}
	for _, m := range s.described().Members {
		for _, at := range m.Target {
			if (m.ID == "a") != (at.Topic == logTopic.ID) {
				t.Errorf("%s is to read %s", m.ID, at)
			}
		}
	}
}
