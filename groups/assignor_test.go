package groups

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
		topics = append(topics, &coordinator.Topic{ID: segments.TopicID{byte(i + 1)}, Name: fmt.Sprint("t", i), Partitions: int32(rapid.IntRange(1, 9).Draw(t, "partitions"))})
	}
	return topics
}

// drawSeats makes members: all with the same subscription, or each with its own.
func drawSeats(t *rapid.T, topics []*coordinator.Topic, alike bool) []*seat {
	var seats []*seat
	for i := range rapid.IntRange(1, 7).Draw(t, "members") {
		s := &seat{id: fmt.Sprint("m", i)}
		if rapid.Bool().Draw(t, "static") {
			s.instance = fmt.Sprint("i", 9-i)
		}
		for _, topic := range topics {
			if alike || rapid.Bool().Draw(t, "subscribed") {
				s.topics = append(s.topics, topic)
			}
		}
		seats = append(seats, s)
	}
	return seats
}

// wantDivided sees to it that every partition of a subscribed topic went to one subscriber.
func wantDivided(t *rapid.T, topics []*coordinator.Topic, seats []*seat) {
	owners := map[segments.Partition]*seat{}
	for _, s := range seats {
		for _, p := range s.gets {
			if owners[p] != nil {
				t.Fatalf("%s goes to %s and %s", p, owners[p].id, s.id)
			}
			if !slices.ContainsFunc(s.topics, func(topic *coordinator.Topic) bool { return topic.ID == p.Topic && p.Index < topic.Partitions }) {
				t.Fatalf("%s goes to %s, who is not subscribed", p, s.id)
			}
			owners[p] = s
		}
	}
	for _, topic := range topics {
		subscribed := slices.ContainsFunc(seats, func(s *seat) bool { return slices.Contains(s.topics, topic) })
		for n := range topic.Partitions {
			if _, owned := owners[segments.Partition{Topic: topic.ID, Index: n}]; owned != subscribed {
				t.Fatalf("partition %d of %s: owned %t, subscribed %t", n, topic.Name, owned, subscribed)
			}
		}
	}
}

// Whoever is subscribed to what: uniform divides everything, no single move would make it more even, and with equal subscriptions nobody has two more than another
// and no more partitions move than that takes. Equal input has equal results.
func TestUniform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics, alike := drawTopics(t), rapid.Bool().Draw(t, "alike")
		seats := drawSeats(t, topics, alike)
		uniform(seats)
		for range rapid.IntRange(0, 4).Draw(t, "rounds") {
			next := drawSeats(t, topics, alike)
			for i := range min(len(seats), len(next)) {
				next[i].had = seats[i].gets
			}
			seats = next
			uniform(seats)
			again := make([]*seat, len(seats))
			for i, s := range seats {
				again[i] = &seat{id: s.id, instance: s.instance, topics: s.topics, had: s.had}
			}
			uniform(again)
			for i, s := range seats {
				if !slices.Equal(s.gets, again[i].gets) {
					t.Fatalf("%s gets %v, and %v of the same", s.id, s.gets, again[i].gets)
				}
			}
			if alike {
				wantSticky(t, seats)
			}
		}
		wantDivided(t, topics, seats)
		for _, a := range seats {
			for _, b := range seats {
				for _, p := range a.gets {
					if len(a.gets)-len(b.gets) > 1 && slices.ContainsFunc(b.topics, func(topic *coordinator.Topic) bool { return topic.ID == p.Topic }) {
						t.Fatalf("%s has %d, %s has %d and could have %s", a.id, len(a.gets), b.id, len(b.gets), p)
					}
				}
			}
		}
	})
}

// wantSticky sees to it that members with the same subscriptions kept as much as an even division allows: each its share, and one more for as many as there
// are partitions over.
func wantSticky(t *rapid.T, seats []*seat) {
	total, kept, may, above := 0, 0, 0, 0
	for _, s := range seats {
		total += len(s.gets)
	}
	least, over := total/len(seats), total%len(seats)
	for _, s := range seats {
		may += min(len(s.had), least)
		if len(s.had) > least {
			above++
		}
		for _, p := range s.had {
			if slices.Contains(s.gets, p) {
				kept++
			}
		}
	}
	if may += min(above, over); kept != may {
		t.Fatalf("%d partitions stayed, %d could have", kept, may)
	}
}

// Range gives neighbouring partitions, in the order of instance ids and ids, and divides equal topics alike.
func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := drawTopics(t)
		seats := drawSeats(t, topics, rapid.Bool().Draw(t, "alike"))
		ranges(seats)
		wantDivided(t, topics, seats)
		for _, s := range seats {
			for i := 1; i < len(s.gets); i++ {
				if a, b := s.gets[i-1], s.gets[i]; a.Topic == b.Topic && a.Index+1 != b.Index {
					t.Fatalf("%s gets %v", s.id, s.gets)
				}
			}
		}
	})
	a, b, c := &coordinator.Topic{ID: segments.TopicID{1}, Name: "a", Partitions: 5}, &coordinator.Topic{ID: segments.TopicID{2}, Name: "b", Partitions: 5}, segments.TopicID{1}
	seats := []*seat{{id: "z", topics: []*coordinator.Topic{a, b}}, {id: "x", topics: []*coordinator.Topic{a, b}}, {id: "y", instance: "i", topics: []*coordinator.Topic{a, b}}}
	ranges(seats)
	for i, want := range [][]int32{{4}, {2, 3}, {0, 1}} {
		var got []int32
		for _, p := range seats[i].gets {
			if p.Topic == c {
				got = append(got, p.Index)
			}
		}
		if !slices.Equal(got, want) || len(seats[i].gets) != 2*len(want) {
			t.Errorf("%s gets %v, want %v of each topic", seats[i].id, seats[i].gets, want)
		}
	}
}

// A member joins a thousand others, who share ten thousand partitions.
func BenchmarkAssignors(b *testing.B) {
	topic := &coordinator.Topic{ID: segments.TopicID{1}, Name: "log", Partitions: 10_000}
	var seats []*seat
	for i := range 1000 {
		seats = append(seats, &seat{id: fmt.Sprint("m", i), topics: []*coordinator.Topic{topic}})
	}
	uniform(seats)
	for name, assign := range assignors {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next := []*seat{{id: "new", topics: []*coordinator.Topic{topic}}}
				for _, s := range seats {
					next = append(next, &seat{id: s.id, topics: s.topics, had: s.gets})
				}
				assign(next)
			}
		})
	}
}
