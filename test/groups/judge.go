package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// event is one line that a member printed.
type event struct {
	at     int64 // when it became true, nanoseconds
	member string
	// A all that it has now; + got; V gave up; P processed; E an error that it was shown; K killed
	// (the harness's own)
	what string
	args string
}

// judge collects what members say, and says whether a group's rules were kept: no two members have
// a partition at one time, every record is processed, and none twice unless somebody died.
type judge struct {
	mu     sync.Mutex
	events []event
	counts map[string]int // of processed records, by member
	last   map[string]int // events, by member
}

func newJudge() *judge { return &judge{counts: map[string]int{}, last: map[string]int{}} }

func (j *judge) take(e event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	j.last[e.member]++
	if e.what == "P" {
		j.counts[e.member]++
	}
}

// line takes a member's line in: nanoseconds, what, arguments.
func (j *judge) line(member, text string) error {
	stamp, rest, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%s printed %q", member, text)
	}
	what, args, _ := strings.Cut(rest, " ")
	j.take(event{at, member, what, args})
	return nil
}

// processed is how many records a member has processed.
func (j *judge) processed(member string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.counts[member]
}

// distinct is how many different records have been processed by all.
func (j *judge) distinct() int { return len(j.records()) }

// records counts how often each record was processed, by "partition offset".
func (j *judge) records() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := map[string]int{}
	for _, e := range j.events {
		if e.what == "P" {
			seen[e.args]++
		}
	}
	return seen
}

// verdict is what the judge found.
type verdict struct {
	Records, Missing, Twice int
	Overlaps                []string
	Moves                   int // partitions that were given to a member
	Errors                  map[string]int
}

func (v verdict) String() string {
	return fmt.Sprintf("%d records, %d missing, %d processed again, %d partitions given, %d overlaps, errors shown: %v",
		v.Records, v.Missing, v.Twice, v.Moves, len(v.Overlaps), v.Errors)
}

// finish judges everything, against how many records each partition has.
func (j *judge) finish(ends map[int32]int64) verdict {
	v := verdict{Errors: map[string]int{}}
	seen := j.records()
	for p, end := range ends {
		for offset := range end {
			v.Records++
			switch n := seen[fmt.Sprintf("%d %d", p, offset)]; {
			case n == 0:
				v.Missing++
			case n > 1:
				v.Twice += n - 1
			}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.SortStableFunc(j.events, func(a, b event) int { return int(a.at - b.at) })
	owners := owners{held: map[string]string{}}
	for _, e := range j.events {
		if e.what == "E" {
			v.Errors[strings.Fields(e.member)[0]+": "+e.args]++
		}
		v.Overlaps = append(v.Overlaps, owners.apply(e, &v.Moves)...)
	}
	return v
}

// owners is who has which partition.
type owners struct{ held map[string]string }

func (o *owners) apply(e event, moves *int) (overlaps []string) {
	release := func(p string) {
		if o.held[p] == e.member {
			delete(o.held, p)
		}
	}
	switch e.what {
	case "K":
		maps.DeleteFunc(o.held, func(_, holder string) bool { return holder == e.member })
		return nil
	case "A", "V":
		if e.what == "A" || e.args == "*" {
			maps.DeleteFunc(o.held, func(_, holder string) bool { return holder == e.member })
		}
	case "+":
	default:
		return nil
	}
	for p := range strings.SplitSeq(e.args, ",") {
		switch {
		case p == "" || p == "*":
		case e.what == "V":
			release(p)
		default:
			if holder := o.held[p]; holder != "" && holder != e.member {
				overlaps = append(overlaps, fmt.Sprintf("partition %s was given to %s while %s had it", p, e.member, holder))
			}
			o.held[p] = e.member
			*moves++
		}
	}
	return overlaps
}
