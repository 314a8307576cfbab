package coordinatortest

import (
	"slices"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Callers without a View look up topics, of which they see what commits may use, and partitions, of
// which they see what is confirmed.
func testLookups(t *testing.T, f *fixture) {
	named := func(what, name string, want error) coordinator.TopicFact {
		t.Helper()
		got, err := f.Topic(t.Context(), f.in, name)
		f.want(what, err, want)
		return got
	}
	named("a topic that nobody created", "a", coordinator.ErrUnknownTopic)

	id := segments.NewTopicID()
	created, err := f.propose(coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: "a", Partitions: 2,
		Configs: map[string]string{"max.message.bytes": "1000"}}})
	f.want("creating", err, nil)
	named("a topic whose creation is not confirmed", "a", coordinator.ErrUnknownTopic)
	f.confirm(created)
	got := named("a topic", "a", nil)
	if got.ID != id || got.Name != "a" || got.Partitions != 2 || got.Configs["max.message.bytes"] != "1000" {
		t.Errorf("the topic is %+v", got)
	}
	grown, err := f.propose(coordinator.Change{Grow: &coordinator.Grow{Topic: id, Partitions: 3}})
	f.want("growing", err, nil)
	got = named("growth that is not confirmed", "a", nil)
	if got.Partitions != 2 || got.Configs["max.message.bytes"] != "1000" {
		t.Errorf("before its growth is confirmed the topic is %+v", got)
	}
	f.confirm(grown)
	if got := named("a topic that has grown", "a", nil); got.Partitions != 3 {
		t.Errorf("the topic has %d partitions, want 3", got.Partitions)
	}

	at := []segments.Partition{
		{Topic: id}, {Topic: id, Index: 1}, {Topic: id, Index: 3}, {Topic: segments.NewTopicID()}, {Topic: id},
	}
	marks := func(what string, want ...int64) {
		t.Helper()
		if got, err := f.HighWatermarks(t.Context(), f.in, at); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: high watermarks are %v, %v, want %v", what, got, err, want)
		}
	}
	marks("nothing written", 0, 0, -1, -1, 0)
	first := f.commit(request(at[0], plain(3))).Entry
	second := f.commit(request(at[0], plain(2))).Entry
	other := f.commit(request(at[1], plain(7))).Entry
	marks("nothing confirmed", 0, 0, -1, -1, 0)
	f.confirm(second, other)
	marks("confirmed behind what is not", 0, 7, -1, -1, 0)
	f.confirm(first)
	marks("all confirmed", 5, 7, -1, -1, 5)

	key := coordinator.RequestKey{ID: [16]byte{7}, Body: [16]byte{8}, Partitions: 3, Timestamp: 99}
	written := plain(4)
	written.Key = &key
	keyed := f.commit(request(at[1], written)).Entry
	for _, when := range []string{"pending", "confirmed"} {
		got, err := f.Keyed(t.Context(), f.in, id, [16]byte{9}, key.ID)
		if err != nil || len(got) != 2 || got[0] != nil || got[1] == nil || *got[1] != key {
			t.Errorf("requests, one of which nobody made, %s: %+v, %v", when, got, err)
		}
		f.confirm(keyed)
	}
	elsewhere, err := f.Keyed(t.Context(), f.in, segments.NewTopicID(), key.ID)
	if err != nil || len(elsewhere) != 1 || elsewhere[0] != nil {
		t.Errorf("a request of another topic: %+v, %v", elsewhere, err)
	}

	if _, err := f.propose(coordinator.Change{DeleteTopic: &id}); err != nil {
		t.Error(err)
	}
	named("a deleted topic", "a", coordinator.ErrUnknownTopic)
	marks("a deleted topic", -1, -1, -1, -1, -1)
	_, err = f.Topic(t.Context(), f.in+1, "a")
	f.want("topic in another incarnation", err, coordinator.ErrIncarnation)
	_, err = f.Keyed(t.Context(), f.in+1, id, key.ID)
	f.want("keyed in another incarnation", err, coordinator.ErrIncarnation)
	_, err = f.HighWatermarks(t.Context(), f.in+1, at)
	f.want("high watermarks in another incarnation", err, coordinator.ErrIncarnation)
}
