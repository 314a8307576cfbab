package cleanup

import (
	"math"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// planNow is the time in these tests.
var planNow = time.UnixMilli(1_800_000_000_000)

// ago is a span whose newest record is so old. What is not merged was written then.
func ago(age time.Duration, length int64, change func(*coordinator.Span)) coordinator.Span {
	at := planNow.Add(-age)
	s := coordinator.Span{Segment: segments.NewID(at), Length: length, MaxTimestamp: at.UnixMilli()}
	if change != nil {
		change(&s)
	}
	return s
}

func isMerged(s *coordinator.Span) { s.Version = 1 }

func isClean(s *coordinator.Span) { s.Version, s.Compacted = 1, true }

// withHorizon is a clean span whose first tombstone may go so much later than now.
func withHorizon(later time.Duration) func(*coordinator.Span) {
	return func(s *coordinator.Span) { isClean(s); s.Horizon = planNow.Add(later).UnixMilli() }
}

func TestCompactable(t *testing.T) {
	const hour = time.Hour
	configs := func(set map[string]string) topicconfig.Config {
		set["cleanup.policy"] = "compact"
		c, err := topicconfig.Parse(set)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	usual := configs(map[string]string{})
	for name, c := range map[string]struct {
		config topicconfig.Config
		spans  []coordinator.Span
		n      int // compacted; -1: none
		dirty  int
		passed bool
		next   time.Duration // when else to look again; 0: never
	}{
		"nothing":       {config: usual, n: -1},
		"clean":         {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isClean)}, n: -1},
		"never cleaned": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isMerged), ago(2*hour, 10, nil)}, n: 2},
		"too clean": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(2*hour, 100, nil)}, n: -1,
			next: math.MaxInt64},
		"dirty enough": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(2*hour, 101, nil)}, n: 2,
			dirty: 1},
		"by another ratio": {config: configs(map[string]string{"min.cleanable.dirty.ratio": "0.1"}),
			spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(2*hour, 12, nil)}, n: 2, dirty: 1},
		"young ones wait": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(2*hour, 101, nil),
			ago(time.Minute, 500, nil)}, n: 2, dirty: 1},
		"all too young": {config: usual, spans: []coordinator.Span{ago(time.Minute, 500, nil)}, n: -1,
			next: 5*time.Minute + time.Millisecond},
		"little waits": {config: usual, spans: []coordinator.Span{ago(hour/2, 999, nil)}, n: -1,
			next: hour/2 + time.Millisecond},
		"much does not":    {config: usual, spans: []coordinator.Span{ago(hour/2, 1000, nil)}, n: 1},
		"merged ones, too": {config: usual, spans: []coordinator.Span{ago(hour/2, 999, isMerged)}, n: 1},
		"min lag": {config: configs(map[string]string{"min.compaction.lag.ms": "7200000"}),
			spans: []coordinator.Span{ago(3*hour, 5000, nil), ago(hour, 5000, nil), ago(3*hour, 5000, nil)}, n: 1},
		"min lag for all": {config: configs(map[string]string{"min.compaction.lag.ms": "7200000"}),
			spans: []coordinator.Span{ago(hour, 5000, nil)}, n: -1, next: hour},
		"max lag": {config: configs(map[string]string{"max.compaction.lag.ms": "1800000"}),
			spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(hour/2+time.Second, 1, nil)}, n: 2, dirty: 1},
		"max lag to come": {config: configs(map[string]string{"max.compaction.lag.ms": "1800000"}),
			spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(hour/2-time.Second, 1, nil)}, n: -1,
			next: time.Second + time.Millisecond},
		"max lag of what was merged": {config: configs(map[string]string{"max.compaction.lag.ms": "1800000"}),
			spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(hour/2-time.Second, 1, isMerged)}, n: 2, dirty: 1},
		"max lag for old records": {config: configs(map[string]string{"max.compaction.lag.ms": "1800000"}),
			spans: []coordinator.Span{ago(9*hour, 100, isClean), ago(7*time.Minute, 1, func(s *coordinator.Span) {
				s.MaxTimestamp -= hour.Milliseconds()
			})}, n: 2, dirty: 1},
		"a horizon passed": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, isClean),
			ago(9*hour, 100, withHorizon(0)), ago(hour/2, 9, nil)},
			n: 2, dirty: 2, passed: true},
		"a horizon will pass": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, withHorizon(2*hour)),
			ago(9*hour, 100, withHorizon(hour))}, n: -1, next: hour},
		"dirty and passed": {config: usual, spans: []coordinator.Span{ago(9*hour, 100, withHorizon(-hour)),
			ago(2*hour, 101, nil)}, n: 2, dirty: 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, due, next := compactable(c.spans, c.config, compactLimits{
				now: planNow, ripe: planNow.Add(-6 * time.Minute), stale: planNow.Add(-hour), little: 1000, reach: time.Minute,
			})
			if due != (c.n >= 0) {
				t.Fatalf("due %v: %+v, next %v", due, got, next)
			}
			if due && (len(got.spans) != c.n || got.dirty != c.dirty || got.passed != c.passed) {
				t.Errorf("%d spans, %d of them clean, passed %v", len(got.spans), got.dirty, got.passed)
			}
			switch {
			case due:
			case c.next == 0 && !next.IsZero():
				t.Errorf("next in %v", next.Sub(planNow))
			case c.next == math.MaxInt64: // the maximum lag that nobody set is as good as never
			case c.next > 0 && next.Sub(planNow) != c.next:
				t.Errorf("next in %v, not %v", next.Sub(planNow), c.next)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	var spans []coordinator.Span
	for i, length := range []int64{40, 40, 40, 200, 10, 90, 1} {
		spans = append(spans, coordinator.Span{Base: int64(i), Last: int64(i), Length: length})
	}
	spans[6].Last = 3 << 31
	var got []int
	for _, g := range groups(spans, limits{target: 100}) {
		got = append(got, len(g))
	}
	want := []int{2, 1, 1, 2, 1}
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatal(got)
		}
	}
	if len(groups(nil, limits{target: 100})) > 0 {
		t.Error("a group of nothing")
	}
}

// Only what has tombstones whose time has come is rewritten for their sake.
func TestPassedGroups(t *testing.T) {
	spans := []coordinator.Span{{Horizon: 5, Length: 10}, {}, {Horizon: 3, Length: 10}, {Horizon: 5, Length: 10},
		{Horizon: 6}, {Horizon: 1, Length: 99}, {Horizon: 2, Length: 10}}
	var got []int
	for _, g := range passedGroups(spans, 5, limits{target: 100}) {
		got = append(got, len(g))
	}
	if len(got) != 4 || got[0] != 1 || got[1] != 2 || got[2] != 1 || got[3] != 1 {
		t.Error(got)
	}
}
