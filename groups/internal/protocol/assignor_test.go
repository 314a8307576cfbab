package protocol

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// drawTopics makes some topics.
func drawTopics(t *rapid.T) []*coordinator.Topic {
	var topics []*coordinator.Topic
	for i := range rapid.IntRange(0, 5).Draw(t, "topics") {
		topics = append(topics, &coordinator.Topic{ID: segments.TopicID{byte(i + 1)}, Name: fmt.Sprint("t", i),
			Partitions: int32(rapid.IntRange(1, 9).Draw(t, "partitions"))})
	}
	return topics
}

// drawSeats makes members: all with the same subscription, or each with its own.
func drawAssignees(t *rapid.T, topics []*coordinator.Topic, alike bool) []*assignee {
	var assignees []*assignee
	for i := range rapid.IntRange(1, 7).Draw(t, "members") {
		s := &assignee{id: fmt.Sprint("m", i)}
		if rapid.Bool().Draw(t, "static") {
			s.instance = fmt.Sprint("i", 9-i)
		}
		for _, topic := range topics {
			if alike || rapid.Bool().Draw(t, "subscribed") {
				s.topics = append(s.topics, topic)
			}
		}
		assignees = append(assignees, s)
	}
	return assignees
}

// wantDivided sees to it that every partition of a subscribed topic went to one subscriber.
func wantDivided(t *rapid.T, topics []*coordinator.Topic, assignees []*assignee) {
	owners := map[segments.Partition]*assignee{}
	for _, s := range assignees {
		for _, at := range s.gets {
			if owners[at] != nil {
				t.Fatalf("%s goes to %s and %s", at, owners[at].id, s.id)
			}
			if !slices.ContainsFunc(s.topics, func(topic *coordinator.Topic) bool {
				return topic.ID == at.Topic &&
					at.Index < topic.Partitions
			}) {
				t.Fatalf("%s goes to %s, who is not subscribed", at, s.id)
			}
			owners[at] = s
		}
	}
	for _, topic := range topics {
		subscribed := slices.ContainsFunc(assignees, func(s *assignee) bool { return slices.Contains(s.topics, topic) })
		for n := range topic.Partitions {
			if _, owned := owners[segments.Partition{Topic: topic.ID, Index: n}]; owned != subscribed {
				t.Fatalf("partition %d of %s: owned %t, subscribed %t", n, topic.Name, owned, subscribed)
			}
		}
	}
}

// Whoever is subscribed to what: uniform divides everything, no single move would make it more
// even, and with equal subscriptions nobody has two more than another and no more partitions move
// than that takes. Equal input has equal results.
func TestUniform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics, alike := drawTopics(t), rapid.Bool().Draw(t, "alike")
		assignees := drawAssignees(t, topics, alike)
		uniform(assignees)
		for range rapid.IntRange(0, 4).Draw(t, "rounds") {
			next := drawAssignees(t, topics, alike)
			for i := range min(len(assignees), len(next)) {
				next[i].had = assignees[i].gets
			}
			assignees = next
			uniform(assignees)
			again := make([]*assignee, len(assignees))
			for i, s := range assignees {
				again[i] = &assignee{id: s.id, instance: s.instance, topics: s.topics, had: s.had}
			}
			uniform(again)
			for i, s := range assignees {
				if !slices.Equal(s.gets, again[i].gets) {
					t.Fatalf("%s gets %v, and %v of the same", s.id, s.gets, again[i].gets)
				}
			}
			if alike {
				wantSticky(t, assignees)
			}
		}
		wantDivided(t, topics, assignees)
		for _, a := range assignees {
			for _, b := range assignees {
				for _, at := range a.gets {
					if len(a.gets)-len(b.gets) > 1 && slices.ContainsFunc(b.topics,
						func(topic *coordinator.Topic) bool { return topic.ID == at.Topic }) {
						t.Fatalf("%s has %d, %s has %d and could have %s", a.id, len(a.gets), b.id, len(b.gets), at)
					}
				}
			}
		}
	})
}

// wantSticky sees to it that members with the same subscriptions kept as much as an even division
// allows: each its share, and one more for as many as there are partitions over.
func wantSticky(t *rapid.T, assignees []*assignee) {
	total, kept, may, above := 0, 0, 0, 0
	for _, s := range assignees {
		total += len(s.gets)
	}
	least, over := total/len(assignees), total%len(assignees)
	for _, s := range assignees {
		may += min(len(s.had), least)
		if len(s.had) > least {
			above++
		}
		for _, at := range s.had {
			if slices.Contains(s.gets, at) {
				kept++
			}
		}
	}
	if may += min(above, over); kept != may {
		t.Fatalf("%d partitions stayed, %d could have", kept, may)
	}
}

// Range gives neighbouring partitions, in the order of instance ids and ids, and divides equal
// topics alike.
func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := drawTopics(t)
		assignees := drawAssignees(t, topics, rapid.Bool().Draw(t, "alike"))
		ranges(assignees)
		wantDivided(t, topics, assignees)
		for _, s := range assignees {
			for i := 1; i < len(s.gets); i++ {
				if a, b := s.gets[i-1], s.gets[i]; a.Topic == b.Topic && a.Index+1 != b.Index {
					t.Fatalf("%s gets %v", s.id, s.gets)
				}
			}
		}
	})
	a, b, c := &coordinator.Topic{ID: segments.TopicID{1}, Name: "a", Partitions: 5},
		&coordinator.Topic{ID: segments.TopicID{2}, Name: "b", Partitions: 5}, segments.TopicID{1}
	assignees := []*assignee{{id: "z", topics: []*coordinator.Topic{a, b}}, {id: "x", topics: []*coordinator.Topic{a, b}},
		{id: "y", instance: "i", topics: []*coordinator.Topic{a, b}}}
	ranges(assignees)
	for i, want := range [][]int32{{4}, {2, 3}, {0, 1}} {
		var got []int32
		for _, at := range assignees[i].gets {
			if at.Topic == c {
				got = append(got, at.Index)
			}
		}
		if !slices.Equal(got, want) || len(assignees[i].gets) != 2*len(want) {
			t.Errorf("%s gets %v, want %v of each topic", assignees[i].id, assignees[i].gets, want)
		}
	}
}

// A member joins a thousand others, who share ten thousand partitions.
func BenchmarkAssignors(b *testing.B) {
	topic := &coordinator.Topic{ID: segments.TopicID{1}, Name: "log", Partitions: 10_000}
	var assignees []*assignee
	for i := range 1000 {
		assignees = append(assignees, &assignee{id: fmt.Sprint("m", i), topics: []*coordinator.Topic{topic}})
	}
	uniform(assignees)
	for name, assign := range assignors {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next := []*assignee{{id: "new", topics: []*coordinator.Topic{topic}}}
				for _, s := range assignees {
					next = append(next, &assignee{id: s.id, topics: s.topics, had: s.gets})
				}
				assign(next)
			}
		})
	}
}
