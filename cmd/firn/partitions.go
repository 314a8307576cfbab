package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxPartitionsListed bounds what one flag may name.
const maxPartitionsListed = 100_000

// partitionList is a flag value like 0,3-5. It may be given several times.
type partitionList struct{ of map[int32]bool }

// Set adds the partitions of a text.
func (l *partitionList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		low, err := strconv.ParseUint(first, 10, 31)
		high := low
		if err == nil && isRange {
			high, err = strconv.ParseUint(last, 10, 31)
		}
		switch {
		case err != nil || high < low:
			return fmt.Errorf("%q is no partition; give numbers from 0 on and ranges, such as 0,3-5", part)
		case high-low >= maxPartitionsListed:
			return fmt.Errorf("%q names more than %d partitions", part, maxPartitionsListed)
		}
		for p := low; p <= high; p++ {
			if l.of == nil {
				l.of = map[int32]bool{}
			}
			l.of[int32(p)] = true
		}
	}
	return nil
}

// sorted are the partitions in order; nil: none was named.
func (l *partitionList) sorted() []int32 { return slices.Sorted(maps.Keys(l.of)) }

// choose leaves the stretches of the partitions alone that were named, if any was.
func (l *partitionList) choose(topic string, parts map[int32]stretch) error {
	if len(l.of) == 0 {
		return nil
	}
	for _, partition := range l.sorted() {
		if _, ok := parts[partition]; !ok {
			return fmt.Errorf("topic %q has partitions 0 to %d, not %d", topic, len(parts)-1, partition)
		}
	}
	maps.DeleteFunc(parts, func(partition int32, _ stretch) bool { return !l.of[partition] })
	return nil
}

// String has no ranges: it is for the help, which shows a default of none.
func (l *partitionList) String() string {
	if len(l.of) == 0 {
		return ""
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(l.sorted()), " ", ","), "[]")
}

func (*partitionList) Type() string { return "partitions" }
