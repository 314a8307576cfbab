package cleanup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// layout makes spans of words: m is mixed, M merged, C compacted, L listed, each followed by its
// size; @ and minutes is how old its segment is, # and minutes its largest timestamp. Mixed ones
// are ten minutes old if nothing else is said.
func layout(t *testing.T, now time.Time, text string) []coordinator.Span {
	t.Helper()
	var spans []coordinator.Span
	for i, word := range strings.Fields(text) {
		s := coordinator.Span{Base: int64(i) * 10, Last: int64(i)*10 + 9, Position: 32, MaxTimestamp: 1}
		var kind rune
		var size int64
		var unit string
		age, stamp := 10, 0
		word, after, stamped := strings.Cut(word, "#")
		if stamped {
			fmt.Sscan(after, &stamp)
			s.MaxTimestamp = int64(stamp) * time.Minute.Milliseconds()
		}
		word, after, aged := strings.Cut(word, "@")
		if aged {
			fmt.Sscan(after, &age)
		}
		if _, err := fmt.Sscanf(word, "%c%d%s", &kind, &size, &unit); err != nil {
			t.Fatal(word, err)
		}
		s.Length = size * map[string]int64{"B": 1, "K": kib, "M": mib}[unit]
		s.Segment = segments.NewID(now.Add(-time.Duration(age) * time.Minute))
		switch kind {
		case 'M', 'C':
			s.Version, s.Compacted = 1, kind == 'C'
		case 'L':
			s.Version, s.Listed = 1, 7
		}
		spans = append(spans, s)
	}
	return spans
}

func TestPlan(t *testing.T) {
	now := time.Now()
	many := func(n int, word string) string { return strings.Repeat(word+" ", n) }
	for _, test := range []struct {
		name, spans string
		reach       time.Duration
		from, to    int
	}{
		{"nothing", "", 0, 0, 0},
		{"too little", "m100K m100K", 0, 0, 0},
		{"enough", "m600K m600K", 0, 0, 2},
		{"one is enough", "m8M", 0, 0, 1},
		{"young ones stay", "m600K m600K m600K@3", 0, 0, 2},
		{"young ones cut a run in two", "m600K m100K@3 m600K m600K", 0, 2, 4},
		{"a little that is stale", "m100B@61 m100B", 0, 0, 2},
		{"stale, then young", "m100B@61 m100B@1", 0, 0, 1},
		{"no more than the target at once", many(40, "m8M"), 0, 0, 32},
		{"behind what is merged", "M256M M20M m2M m2M", 0, 2, 4},
		{"across a slot of time", "m600K#1 m600K#9 m600K#11", 10 * time.Minute, 0, 2},
		{"too little in a slot of time", "m600K#9 m600K#11", 10 * time.Minute, 0, 0},
		{"late records do not cut", "m600K#15 m600K#2 m600K#3", 10 * time.Minute, 0, 3},

		{"merged ones side by side", many(16, "M1M"), 0, 0, 16},
		{"not enough of them", many(15, "M1M"), 0, 0, 0},
		{"the tier above first", many(16, "M16M") + many(16, "M1M"), 0, 0, 16},
		{"a tier with what is smaller", "M16M M16M " + many(15, "M1M") + "M900K M200K", 0, 2, 19},
		{"large enough ones stay", "M128M M200M M256M", 0, 0, 0},
		{"nearly large enough ones", "M127M M127M M10M", 0, 0, 3},
		{"a listed one cuts", "M127M L9M M127M M10M", 0, 0, 0},
		{"compacted ones stay", many(20, "C1M"), 0, 0, 0},
		{"tiny ones", many(64, "M1K"), 0, 0, 64},
		{"very many tiny ones", many(200, "M1B"), 0, 0, 128},
		{"fewer tiny ones", many(63, "M1K"), 0, 0, 0},
		{"a slot that is over", "M1M#1 M1M#8 M1M#12", 10 * time.Minute, 0, 2},
		{"a slot that is not over", "M1M#1 M1M#8 M1M#9", 10 * time.Minute, 0, 0},
		{"one alone in its slot", "M1M#1 M1M#12 M1M#22", 10 * time.Minute, 0, 0},
		{"a slot that is over, before a mixed one", "M1M#1 M1M#8 m1K#12", 10 * time.Minute, 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := limits{target: 256 * mib, reach: test.reach, ripe: now.Add(-6 * time.Minute), stale: now.Add(-time.Hour)}
			spans := layout(t, now, test.spans)
			if from, to := plan(spans, math.MinInt64, l); from != test.from || to != test.to {
				t.Errorf("spans %d to %d of %s, should be %d to %d", from, to, test.spans, test.from, test.to)
			}
		})
	}
}

// simulate merges a steady stream as rounds would, for some time, and returns how many bytes were
// written in merges for each that came, the number of spans in the end, and how many merges there
// were. Every second brings a span.
func simulate(perSecond int64, length time.Duration,
	reach time.Duration) (amplification float64, spans []coordinator.Span, merges int) {
	begun := time.UnixMilli(1_700_000_000_000)
	random := rand.New(rand.NewPCG(1, 2))
	var came, written, offset int64
	for second := range int64(length / time.Second) {
		now := begun.Add(time.Duration(second) * time.Second)
		size := max(1, perSecond/2+random.Int64N(perSecond+1))
		spans = append(spans, coordinator.Span{Segment: segments.NewID(now), Base: offset, Last: offset, Length: size,
			MaxTimestamp: now.UnixMilli()})
		came, offset = came+size, offset+1
		if second%30 > 0 {
			continue
		}
		l := limits{target: 256 * mib, reach: reach, ripe: now.Add(-6 * time.Minute), stale: now.Add(-time.Hour)}
		for from, to := plan(spans, math.MinInt64, l); to > from; from, to = plan(spans, math.MinInt64, l) {
			s := spans[to-1]
			s.Version, s.Base, s.Length = 1, spans[from].Base, sumLength(spans[from:to])
			spans = slices.Replace(spans, from, to, s)
			written += s.Length
			merges++
		}
	}
	for _, s := range spans {
		if s.Version == 0 {
			came -= s.Length
		}
	}
	return float64(written) / float64(came), spans, merges
}

// A steady stream is written by merges a bounded number of times, and becomes few segments.
func TestWriteAmplification(t *testing.T) {
	for _, test := range []struct {
		perSecond int64
		length    time.Duration
		most      float64
	}{
		{100, 24 * time.Hour, 5},
		{10 * kib, 24 * time.Hour, 3},
		{100 * kib, 6 * time.Hour, 3},
		{mib, 3 * time.Hour, 3},
		{10 * mib, time.Hour, 3},
		{50 * mib, time.Hour, 3},
	} {
		for _, reach := range []time.Duration{0, 21 * time.Hour, time.Hour} {
			amplification, spans, merges := simulate(test.perSecond, test.length, reach)
			merged, most := 0, int64(0)
			for _, s := range spans {
				if s.Version > 0 {
					merged++
					most = max(most, s.Length)
				}
			}
			t.Logf("%8d bytes/s for %s, slots of %s: every byte is written %.2f times, in %d merges; %d merged segments, of "+
				"up to %d MiB", test.perSecond, test.length,
				reach, amplification, merges, merged, most/mib)
			if amplification > test.most {
				t.Errorf("%d bytes/s: write amplification %.2f", test.perSecond, amplification)
			}
			if most > 400*mib {
				t.Errorf("%d bytes/s: a segment of %d MiB", test.perSecond, most/mib)
			}
			slots := 1 + int64(test.length/max(reach, time.Hour))
			written := int64(test.length.Seconds()) * test.perSecond
			if int64(merged) > 40+20*slots+written/(128*mib) {
				t.Errorf("%d bytes/s: %d merged segments", test.perSecond, merged)
			}
		}
	}
}
