package history

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// happening is what one test tells the checker, in order. All of it is about one partition.
type happening func(c *Checker, readers map[string]*Reader)

func rec(producer int32, number int64) Record {
	return Record{Producer: producer, Number: number, Hash: uint64(producer)<<32 | uint64(number)}
}

func sent(producer int32, number int64) happening {
	return func(c *Checker, _ map[string]*Reader) { c.Sent(0, rec(producer, number)) }
}

func acked(producer int32, number, offset int64) happening {
	return func(c *Checker, _ map[string]*Reader) { c.Acknowledged(0, rec(producer, number), offset) }
}

func struck() happening {
	return func(c *Checker, _ map[string]*Reader) { c.Strike(); c.Struck() }
}

func strikeBegins() happening { return func(c *Checker, _ map[string]*Reader) { c.Strike() } }

func strikeEnds() happening { return func(c *Checker, _ map[string]*Reader) { c.Struck() } }

func seek(reader string, offset int64) happening {
	return func(_ *Checker, rs map[string]*Reader) { rs[reader].Seek(0, offset) }
}

func readRecord(reader string, offset int64, r Record) happening {
	return func(_ *Checker, rs map[string]*Reader) { rs[reader].Read(0, offset, r) }
}

func read(reader string, offset int64, producer int32, number int64) happening {
	return readRecord(reader, offset, rec(producer, number))
}

func end(known, end int64) happening {
	return func(c *Checker, _ map[string]*Reader) { c.End(0, Known{known, c.age}, end) }
}

func TestVerdicts(t *testing.T) {
	tests := map[string]struct {
		retries bool
		history []happening
		faults  map[Kind]int
		check   func(Report) bool
	}{
		"nothing": {},
		"acknowledged and read": {
			history: []happening{sent(1, 0), sent(1, 1), acked(1, 0, 0), acked(1, 1, 1), read("final", 0, 1, 0),
				read("final", 1, 1, 1)},
			check: func(r Report) bool { return r.Acknowledged == 2 && r.Records == 2 && r.Read == 2 },
		},
		"two producers interleaved": {
			history: []happening{sent(1, 0), sent(2, 0), sent(1, 1), acked(1, 0, 0), acked(2, 0, 1), acked(1, 1, 2),
				read("final", 0, 1, 0), read("final", 1, 2, 0), read("final", 2, 1, 1)},
		},
		"never acknowledged, and there": {
			history: []happening{sent(1, 0), struck(), read("final", 0, 1, 0)},
			check:   func(r Report) bool { return r.MaybeWritten == 1 && r.MaybeNot == 0 },
		},
		"never acknowledged, and not there": {
			history: []happening{sent(1, 0), sent(1, 1), struck(), acked(1, 1, 0), read("final", 0, 1, 1)},
			check:   func(r Report) bool { return r.MaybeWritten == 0 && r.MaybeNot == 1 },
		},
		"acknowledged at an offset unknown": {
			history: []happening{sent(1, 0), acked(1, 0, -1), read("final", 0, 1, 0)},
		},
		"acknowledged at an offset unknown, and lost": {
			history: []happening{sent(1, 0), acked(1, 0, -1)},
			faults:  map[Kind]int{Lost: 1},
		},
		"acknowledged and lost at the end": { // the offset and the record are both missed
			history: []happening{sent(1, 0), acked(1, 0, 0)},
			faults:  map[Kind]int{Lost: 2},
		},
		"acknowledged, lost, and its offset given to another": {
			history: []happening{sent(1, 0), sent(2, 0), acked(1, 0, 0), acked(2, 0, 0), read("final", 0, 2, 0)},
			faults:  map[Kind]int{Moved: 2, Lost: 1},
		},
		"served, never acknowledged, then gone": {
			history: []happening{sent(1, 0), read("tail", 0, 1, 0), struck()},
			faults:  map[Kind]int{Lost: 1},
		},
		"served differently to two readers": {
			history: []happening{sent(1, 0), sent(2, 0), read("tail", 0, 1, 0), read("final", 0, 2, 0)},
			faults:  map[Kind]int{Moved: 1},
		},
		"moved up by one": {
			history: []happening{sent(1, 0), sent(2, 0), acked(1, 0, 0), struck(), read("final", 0, 2, 0),
				read("final", 1, 1, 0)},
			faults: map[Kind]int{Moved: 1, Duplicate: 1},
		},
		"twice": {
			history: []happening{sent(1, 0), acked(1, 0, 1), read("final", 0, 1, 0), read("final", 1, 1, 0)},
			faults:  map[Kind]int{Duplicate: 1},
		},
		"twice after a strike, with idempotence": {
			history: []happening{sent(1, 0), struck(), acked(1, 0, 1), read("final", 0, 1, 0), read("final", 1, 1, 0)},
			faults:  map[Kind]int{Duplicate: 1},
		},
		"twice after a strike, by plain retries": {
			retries: true,
			history: []happening{sent(1, 0), struck(), acked(1, 0, 1), read("final", 0, 1, 0), read("final", 1, 1, 0)},
			check:   func(r Report) bool { return r.Retried == 1 },
		},
		"twice during a strike, by plain retries": {
			retries: true,
			history: []happening{strikeBegins(), sent(1, 0), acked(1, 0, 1), strikeEnds(), read("final", 0, 1, 0),
				read("final", 1, 1, 0)},
			check: func(r Report) bool { return r.Retried == 1 },
		},
		"twice without a strike, by plain retries": {
			retries: true,
			history: []happening{sent(1, 0), acked(1, 0, 1), struck(), read("final", 0, 1, 0), read("final", 1, 1, 0)},
			faults:  map[Kind]int{Duplicate: 1},
		},
		"a batch twice keeps its order": {
			retries: true,
			history: []happening{sent(1, 0), sent(1, 1), struck(), acked(1, 0, 2), acked(1, 1, 3),
				read("final", 0, 1, 0), read("final", 1, 1, 1), read("final", 2, 1, 0), read("final", 3, 1, 1)},
		},
		"reordered": {
			history: []happening{sent(1, 0), sent(1, 1), acked(1, 0, 1), acked(1, 1, 0), read("final", 0, 1, 1),
				read("final", 1, 1, 0)},
			faults: map[Kind]int{Reordered: 1},
		},
		"a hole": {
			history: []happening{sent(1, 0), acked(1, 0, 1), read("final", 1, 1, 0)},
			faults:  map[Kind]int{Hole: 1},
		},
		"an offset served twice to one reader": {
			history: []happening{sent(1, 0), read("final", 0, 1, 0), read("final", 0, 1, 0)},
			faults:  map[Kind]int{Hole: 1},
		},
		"a reader that begins in the middle": {
			history: []happening{sent(1, 0), sent(1, 1), seek("tail", 1), read("tail", 1, 1, 1), read("final", 0, 1, 0),
				read("final", 1, 1, 1)},
		},
		"a reader that is given less than it asked for": {
			history: []happening{sent(1, 0), sent(1, 1), seek("tail", 1), read("tail", 0, 1, 0), read("final", 0, 1, 0),
				read("final", 1, 1, 1)},
			faults: map[Kind]int{Hole: 1},
		},
		"never sent": {
			history: []happening{read("final", 0, 1, 0)},
			faults:  map[Kind]int{Foreign: 1},
		},
		"sent with other bytes": {
			history: []happening{sent(1, 0), acked(1, 0, 0), readRecord("final", 0, Record{Producer: 1, Number: 0, Hash: 1})},
			faults:  map[Kind]int{Foreign: 1},
		},
		"an offset out of all proportion": {
			history: []happening{sent(1, 0), acked(1, 0, 1<<60), read("final", 0, 1, 0)},
			faults:  map[Kind]int{Hole: 1},
		},
		"the high watermark went back": {
			history: []happening{sent(1, 0), acked(1, 0, 0), end(1, 0), end(1, 1), read("final", 0, 1, 0)},
			faults:  map[Kind]int{Rewound: 1},
		},
		"a fenced server gives an old high watermark": {
			history: []happening{sent(1, 0), acked(1, 0, 0), strikeBegins(), end(1, 0), strikeEnds(), end(1, 1),
				read("final", 0, 1, 0)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := New(tt.retries)
			readers := map[string]*Reader{"tail": c.Reader("tail"), "final": c.Reader("final")}
			for _, happens := range tt.history {
				happens(c, readers)
			}
			report := c.Finish(readers["final"])
			want := maps.Clone(tt.faults)
			if want == nil {
				want = map[Kind]int{}
			}
			if diff := cmp.Diff(want, report.Faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s%v", diff, report.First)
			}
			if (report.Err() != nil) != (len(want) > 0) {
				t.Errorf("Err() = %v", report.Err())
			}
			if tt.check != nil && !tt.check(report) {
				t.Errorf("counts are wrong: %+v", report)
			}
		})
	}
}

func TestNumbersWithoutGaps(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a producer that skips a number is a mistake of the test and was not noticed")
		}
	}()
	New(false).Sent(0, rec(1, 1))
}

func TestKnown(t *testing.T) {
	c := New(false)
	if c.Known(0).End != 0 {
		t.Error("something is known of an empty partition")
	}
	c.Sent(0, rec(1, 0))
	c.Acknowledged(0, rec(1, 0), 6)
	if c.Known(0).End != 7 || c.Known(1).End != 0 {
		t.Errorf("Known = %v and %v, want ends 7 and 0", c.Known(0), c.Known(1))
	}
}
