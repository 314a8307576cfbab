package rest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// TestTrackHasGaps: a number that is not known at some samples is null there, and stays known where
// it was; what is older than the ring is forgotten.
func TestTrackHasGaps(t *testing.T) {
	h, of := newHistory(), map[string]*track{}
	for _, known := range []bool{false, true, true, false, false, true, false} {
		if known {
			h.note(of, map[string]float64{"x": float64(h.taken)})
		}
		h.taken++
	}
	text := func() (s string) {
		for _, v := range h.timeline(of, time.Second).Series["x"] {
			if math.IsNaN(v) {
				s += "-"
			} else {
				s += string('0' + rune(v))
			}
		}
		return s
	}
	if diff := cmp.Diff("-12--5-", text()); diff != "" {
		t.Error(diff)
	}
	h.taken += historySamples - 3 // the ring has turned, but for the last of them
	if got := text(); len(got) != historySamples || got[:2] != "-5" && got[:2] != "5-" {
		t.Errorf("%.10s…", got)
	}
	h.taken++
	h.note(of, map[string]float64{"x": 7})
	h.taken++
	if got := text(); got[historySamples-1] != '7' || got[historySamples-2] != '-' {
		t.Errorf("…%s", got[historySamples-10:])
	}
}

// TestRemembered: a thousand topics and groups are remembered, those first that were there first,
// in the order of their names. One that goes makes room for another.
func TestRemembered(t *testing.T) {
	state := coordinator.NewState(1, "cluster")
	at := segments.Partition{Topic: segments.NewTopicID()}
	facts := []coordinator.Fact{{Topic: &coordinator.TopicFact{ID: at.Topic, Name: "t", Version: 1, Partitions: 1}}}
	var topics []*coordinator.Topic
	name := func(i int) string { return fmt.Sprintf("%04d", i) }
	for i := range maxTracked + 2 {
		topics = append(topics, &coordinator.Topic{ID: segments.NewTopicID(), Name: name(i)})
		facts = append(facts, coordinator.Fact{Offsets: &coordinator.Offsets{Group: name(i), Version: 1,
			Partitions: []coordinator.GroupOffset{{Partition: at}}}})
	}
	for i := range facts {
		facts[i].Incarnation = 1
		if err := state.Apply(&facts[i]); err != nil {
			t.Fatal(err)
		}
	}
	h, view := newHistory(), coordinator.NewView(state)
	h.groups["gone"], h.groups[name(maxTracked+1)] = map[string]*track{}, map[string]*track{}
	groups := h.keepGroups(view)
	slices.Sort(groups)
	if len(groups) != maxTracked || groups[0] != name(0) || groups[maxTracked-2] != name(maxTracked-2) ||
		groups[maxTracked-1] != name(maxTracked+1) {
		t.Errorf("%d groups are remembered: %.10q and so on", len(groups), groups)
	}
	h.keepTopics(topics)
	h.keepTopics(topics[1:])
	has := func(i int) bool { return h.topics[topics[i].ID] != nil }
	if len(h.topics) != maxTracked || has(0) || !has(1) || !has(maxTracked) || has(maxTracked+1) {
		t.Errorf("%d topics are remembered, and not the first of those that there are", len(h.topics))
	}
}

// TestDeletedTopicsAreNoRate: a topic that goes takes its records with it, and the rate
// is that of the others.
func TestDeletedTopicsAreNoRate(t *testing.T) {
	one, gone, fresh := segments.NewTopicID(), segments.NewTopicID(), segments.NewTopicID()
	at := time.Unix(1000, 0)
	before := &measurement{at: at, topics: map[segments.TopicID]topicCounts{one: {end: 100}, gone: {end: 5000}}}
	now := &measurement{at: at.Add(10 * time.Second),
		topics: map[segments.TopicID]topicCounts{one: {end: 150}, fresh: {end: 10}}}
	if got := now.since(before)["records_per_second"]; got != 5 {
		t.Errorf("%v records a second, want 5", got)
	}
	if n := 4 + len(historyRates) + len(historyGauges) + len(historyTimes)*len(historyQuantiles); n > historySeries {
		t.Errorf("a node has %d series, and memory is taken for %d", n, historySeries)
	}
}

// TestNumbers: what is not known is null, and no list is longer than a history.
func TestNumbers(t *testing.T) {
	want := numbers{1.5, math.NaN(), 0}
	text, err := json.Marshal(want)
	if err != nil || string(text) != "[1.5,null,0]" {
		t.Fatalf("%s, %v", text, err)
	}
	var got numbers
	if err := json.Unmarshal(text, &got); err != nil || !cmp.Equal(want, got, cmpopts.EquateNaNs()) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{`{}`, `["x"]`, `[1`, "[1" + strings.Repeat(",1", historySamples) + "]"} {
		if json.Unmarshal([]byte(bad), &got) == nil {
			t.Errorf("%.20s is taken", bad)
		}
	}
}
