package main

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// TestShareJudgeFindsPlantedFaults: each redelivery has the reason that it should have, or is a
// fault. Times are seconds.
func TestShareJudgeFindsPlantedFaults(t *testing.T) {
	const second = int64(time.Second)
	strike := func(reason, member string, from, to int64) shareStrike {
		return shareStrike{reason, member, from * second, to * second, reason == redisWiped}
	}
	for name, c := range map[string]struct {
		lines   []string // member, seconds, what
		strikes []shareStrike
		again   map[string]int
		faults  int
	}{
		"nothing wrong":    {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C"}},
		"never delivered":  {lines: []string{"a 1 D 0/0/1/1+", "a 2 C"}, faults: 1},
		"never accepted":   {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2-", "a 2 C"}, faults: 1},
		"refused":          {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C 0:InvalidRecordStateException"}, faults: 2},
		"perhaps accepted": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C 0:DisconnectException"}},
		"another value":    {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/3+", "a 2 C"}, faults: 1},
		"released": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2-", "a 2 C", "b 3 D 0/1/2/2+", "b 4 C"},
			again: map[string]int{released: 1}},
		"given to two": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "b 2 D 0/1/2/2+", "a 3 C 0:InvalidRecordStateException",
			"b 4 C", "b 5 D 0/0/2/1+", "b 6 C"}, faults: 2},
		"accepted, and again": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C", "b 60 D 0/1/2/2+", "b 61 C"}, faults: 1},
		"out of time": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "b 12 D 0/1/2/2+ 0/0/2/1+", "b 13 C"},
			again: map[string]int{lockRanOut: 2}},
		"stopped, and printed late": {lines: []string{"b 12 D 0/1/2/2+ 0/0/2/1+", "b 13 C", "a 14 D 0/0/1/1+ 0/1/1/2+",
			"a 15 C 0:InvalidRecordStateException"}, strikes: []shareStrike{strike(consumerStopped, "a", 1, 13)},
			again: map[string]int{consumerStopped: 2}},
		"its consumer killed": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "b 3 D 0/1/2/2+ 0/0/2/1+", "b 4 C"},
			strikes: []shareStrike{strike(consumerKilled, "a", 2, 0)}, again: map[string]int{consumerKilled: 2}},
		"another consumer killed": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "b 3 D 0/1/2/2+ 0/0/2/1+", "b 4 C"},
			strikes: []shareStrike{strike(consumerKilled, "c", 2, 0)}, faults: 2},
		"a node killed": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "b 3 D 0/1/1/2+ 0/0/1/1+", "b 4 C"},
			strikes: []shareStrike{strike(nodeKilled, "", 2, 8)}, again: map[string]int{nodeKilled: 2}},
		"a node killed, after the answer": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C", "b 4 D 0/1/2/2+", "b 5 C"},
			strikes: []shareStrike{strike(nodeKilled, "", 3, 8)}, faults: 1},
		"a node killed long before": {lines: []string{"a 11 D 0/0/1/1+ 0/1/1/2+", "b 12 D 0/1/2/2+ 0/0/2/1+", "b 13 C"},
			strikes: []shareStrike{strike(nodeKilled, "", 2, 8)}, faults: 2},
		"the last second, with Redis": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C", "b 4 D 0/1/1/2+", "b 5 C"},
			strikes: []shareStrike{strike(redisWiped, "", 3, 8)}, again: map[string]int{redisWiped: 1}},
		"what is older, with Redis": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2+", "a 2 C", "b 14 D 0/1/2/2+", "b 15 C"},
			strikes: []shareStrike{strike(redisWiped, "", 13, 18)}, faults: 1},
		"a count that does not grow": {lines: []string{"a 1 D 0/0/1/1+ 0/1/1/2-", "a 2 C", "b 3 D 0/1/1/2+", "b 4 C"},
			again: map[string]int{released: 1}, faults: 1},
		"a delivery that nobody saw": {lines: []string{"a 1 D 0/0/1/1+ 0/1/2/2+", "a 2 C"}, faults: 1},
	} {
		j := newShareJudge(1, 10*time.Second)
		j.wrote(0, 0, 1)
		j.wrote(0, 1, 2)
		for _, line := range c.lines {
			var member, what string
			var at int64
			fmt.Sscan(line, &member, &at)
			what = line[len(fmt.Sprint(member, " ", at, " ")):]
			if err := j.line(member, fmt.Sprint(at*second, " ", what, " .")); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range c.strikes {
			j.struck(s)
		}
		if v := j.finish(); v.records != 2 || len(v.faults) != c.faults || !maps.Equal(v.again, c.again) {
			t.Errorf("%s: %v %q", name, v, v.faults)
		}
	}
	j := newShareJudge(1, time.Second)
	if err := j.line("a", "1 D 0/0/1/1+ 0/"); err == nil || j.finish().records != 0 {
		t.Error("a line that was cut short counts")
	}
}
