package redis_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
)

// stateOf has partitions with a producer and a request each: enough for several parts.
func stateOf(t testing.TB, in coordinator.Incarnation, cluster string, partitions int32) *coordinator.State {
	t.Helper()
	state := coordinator.NewState(in, cluster)
	topic := segments.NewTopicID()
	created := &coordinator.TopicFact{ID: topic, Name: "t", Version: 1, Partitions: partitions}
	commit := &coordinator.Commit{}
	key := coordinator.RequestKey{ID: [16]byte{1}}
	for i := range partitions {
		commit.Spans = append(commit.Spans, coordinator.CommitSpan{
			Partition: segments.Partition{Topic: topic, Index: i},
			Span:      coordinator.Span{Segment: segments.NewID(time.Now()), Last: 4, Length: 1},
			Producers: []coordinator.ProducerBatch{{ProducerID: 1}},
			Keyed:     []coordinator.Keyed{{RequestKey: key, Records: 1, Time: time.Now().UnixMilli()}},
		})
	}
	for _, f := range []*coordinator.Fact{{Topic: created}, {Commit: commit}} {
		f.Incarnation = in
		if err := state.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

// Nothing is left of an incarnation when the next one is open, except the end of its stream; and
// nothing of a topic's partitions when it is deleted.
func TestKeysGo(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	count := func() (generations map[string]int, producers, keyed int) {
		keys, err := c.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		generations = map[string]int{}
		for _, k := range keys {
			if parts := strings.Split(k, ":"); len(parts) > 4 {
				generations[parts[3]]++
			}
			if strings.Contains(k, ":producers:") {
				producers++
			}
			if strings.Contains(k, ":keyed:") {
				keyed++
			}
		}
		return generations, producers, keyed
	}
	var state *coordinator.State
	for in := coordinator.Incarnation(1); in < 4; in++ {
		state = stateOf(t, in, "x", 700)
		if err := c.Open(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	generations, producers, keyed := count()
	if producers != 700 || keyed != 700 {
		t.Errorf("there are producers of %d partitions and requests of %d, should be 700", producers, keyed)
	}
	for name, n := range generations {
		if !strings.HasPrefix(name, "3.") && n > 1 {
			t.Errorf("generation %s has %d keys left", name, n)
		}
	}
	for topic := range state.Topics() {
		change := coordinator.Change{ID: segments.NewID(time.Now()), DeleteTopic: &topic.ID}
		if _, err := c.Propose(t.Context(), 3, change); err != nil {
			t.Fatal(err)
		}
	}
	if _, producers, keyed = count(); producers+keyed != 0 {
		t.Errorf("there are producers of %d partitions and requests of %d partitions of a deleted topic", producers, keyed)
	}
}

// A state that is wiped, or meets another server, in the middle of its loading is not opened; nor
// is one when another recovery was faster. It is opened when it is loaded again, unless the opening
// itself was sent: that is sent once for each state.
func TestLoadingIsWhole(t *testing.T) {
	for name, disturb := range map[string]func(s *redistest.Server, other *redis.Coordinator){
		"wiped":     func(s *redistest.Server, _ *redis.Coordinator) { s.Do("FLUSHALL") },
		"restarted": func(s *redistest.Server, _ *redis.Coordinator) { s.Do("SAVE"); s.Kill(); s.Restart() },
		"overtaken": func(_ *redistest.Server, other *redis.Coordinator) {
			if err := other.Open(t.Context(), stateOf(t, 2, "x", 1)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			o := redis.Options{Addrs: []string{server.Addr}, Prefix: newPrefix()}
			c, other := connect(t, o), connect(t, o)
			if err := c.Open(t.Context(), stateOf(t, 1, "x", 10)); err != nil {
				t.Fatal(err)
			}
			disturbed := false
			c.OnPart(func(part int) {
				if part == 2 && !disturbed {
					disturbed = true
					disturb(server, other)
				}
			})
			state := stateOf(t, 3, "x", 3000)
			if err := c.Open(t.Context(), state); err == nil || errors.Is(err, coordinator.ErrIncarnation) {
				t.Errorf("what was disturbed opened: %v", err)
			}
			if now, err := c.Generation(t.Context()); err == nil && now.Incarnation == 3 {
				t.Error("half a state is open")
			}
			if sent := state.Generation() != (coordinator.Generation{}); sent != (name == "overtaken") {
				t.Errorf("the opening was sent: %v", sent)
			} else if sent {
				if err := c.Open(t.Context(), state); !errors.Is(err, coordinator.ErrOpenedBefore) {
					t.Errorf("opening it again: %v", err)
				}
				state = stateOf(t, 3, "x", 3000)
			}
			if err := c.Open(t.Context(), state); err != nil {
				t.Errorf("loading it again: %v", err)
			}
			if now, err := c.Generation(t.Context()); err != nil || now.Incarnation != 3 {
				t.Errorf("%v is open, %v", now, err)
			}
		})
	}
}

// A partition remembers a bounded number of producers, and none for ever; one that it has
// forgotten may begin anywhere.
func TestProducersAreForgotten(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{
		Addrs: []string{server.Addr}, MaxProducers: 10, ProducerExpiration: 200 * time.Millisecond,
	})
	in, at := open(t, c)
	commit := func(producer int64, sequence int32) error {
		t.Helper()
		batch := coordinator.CommitBatch{Length: 1, Records: 1, ProducerID: producer, BaseSequence: sequence}
		answer, err := c.Commit(t.Context(), in, request(at, batch))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Runs[0][0].Err
	}
	for producer := range int64(11) {
		if err := commit(producer, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(10, 5); !errors.Is(err, coordinator.ErrOutOfOrder) {
		t.Errorf("the newest producer is forgotten: %v", err)
	}
	if err := commit(0, 5); err != nil {
		t.Errorf("the oldest producer is not forgotten: %v", err)
	}
	time.Sleep(250 * time.Millisecond) // the server's clock cannot be set
	if err := commit(10, 5); err != nil {
		t.Errorf("a silent producer is not forgotten: %v", err)
	}
	forgotten, err := c.ForgetProducers(t.Context(), in)
	if err != nil || forgotten != 5 { // 6 to 9, and 0; the rest of the older half had gone, and 10 has come again
		t.Errorf("%d silent producers were forgotten, %v", forgotten, err)
	}
}

// The keys that hold requests expire: after a day, and within a day and a half, also
// when they were loaded.
func TestKeySlotsExpire(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	expire := func(what string) {
		t.Helper()
		keys, err := c.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slots := 0
		for _, k := range keys {
			if !strings.Contains(k, ":keyed:") {
				continue
			}
			slots++
			left, err := strconv.Atoi(strings.TrimPrefix(server.Do("TTL", k), ":"))
			if day := int(coordinator.KeyExpiration.Seconds()); err != nil || left < day || left > day*3/2+1 {
				t.Errorf("%s: %s goes in %d s, %v", what, k, left, err)
			}
		}
		if slots != 1 {
			t.Errorf("%s: %d slots, should be one", what, slots)
		}
	}
	if err := c.Open(t.Context(), stateOf(t, 1, "x", 1)); err != nil {
		t.Fatal(err)
	}
	expire("loaded")
	server.Do("FLUSHALL")
	c = connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, at := open(t, c)
	batch := coordinator.CommitBatch{Length: 1, Records: 1, ProducerID: -1, Key: &coordinator.RequestKey{ID: [16]byte{1}}}
	if answer, err := c.Commit(t.Context(), in, request(at, batch)); err != nil || answer.Runs[0][0].Err != nil {
		t.Fatal(answer, err)
	}
	expire("committed")
}
