package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger is what a reader of committed records finds in the end, by partition.
type ledger struct {
	records map[int32][]string // of which transfer each is, by offset
	endings map[int32][]string // the transfers, in the order of their markers
	open    map[producerAt][]string
}

// producerAt is a producer in a partition, where it has one transaction at a time.
type producerAt struct {
	producer  int64
	partition int32
}

func newLedger() ledger {
	return ledger{map[int32][]string{}, map[int32][]string{}, map[producerAt][]string{}}
}

// add takes the next record of a partition, or the next marker.
func (l ledger) add(r *kgo.Record) {
	at := producerAt{r.ProducerID, r.Partition}
	if r.Attrs.IsControl() {
		l.endings[r.Partition] = append(l.endings[r.Partition], l.open[at]...)
		delete(l.open, at)
		return
	}
	name := string(r.Value)
	l.records[r.Partition] = append(l.records[r.Partition], name)
	l.open[at] = append(l.open[at], name)
}

// check says what is wrong with a ledger. Of each committed transfer both records are there, of
// each aborted one none, and of the others both or none. All partitions have them in one order,
// that of their markers, in which a transfer comes behind those that were answered before it began:
// so at each moment of that order the sum of all accounts is the same. And what a reader was served
// all along is what is there (G0, G1a and G1b of Adya, and real time).
func (t *transfers) check(l ledger) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	faults := []error{t.checkOrder(l.endings)}
	found := map[string]int{}
	for p, names := range l.records {
		for _, name := range names {
			found[name]++
		}
		if seen := t.followed[p]; len(seen) > len(names) || !slices.Equal(seen, names[:len(seen)]) {
			faults = append(faults, fmt.Errorf("of partition %d a reader was served other transfers than are there", p))
		}
	}
	for name, one := range t.known {
		switch n := found[name]; {
		case n != 0 && n != 2, one.fate == committed && n != 2, one.fate == aborted && n != 0:
			faults = append(faults, fmt.Errorf("%s, which was %s, has %d records",
				name, [...]string{"in doubt", "committed", "aborted"}[one.fate], n))
		}
	}
	return errors.Join(faults...)
}

// checkOrder looks for transfers that two partitions have in different orders, also by way of
// others, and for those that are before one that was answered before they began.
func (t *transfers) checkOrder(endings map[int32][]string) error {
	before := map[string]int{} // how many come right before a transfer, somewhere
	after := map[string][]string{}
	for p, names := range endings {
		var latest time.Time // beginning so far
		for i, name := range names {
			one := t.known[name]
			if one.fate == committed && one.told.Before(latest) {
				return fmt.Errorf("in partition %d, %s is behind a transfer that began after its end", p, name)
			}
			if one.began.After(latest) {
				latest = one.began
			}
			before[name] += min(i, 1)
			if i > 0 {
				after[names[i-1]] = append(after[names[i-1]], name)
			}
		}
	}
	var first []string
	for name, n := range before {
		if n == 0 {
			first = append(first, name)
		}
	}
	left := len(before)
	for ; len(first) > 0; left-- {
		name := first[len(first)-1]
		first = first[:len(first)-1]
		for _, next := range after[name] {
			if before[next]--; before[next] == 0 {
				first = append(first, next)
			}
		}
	}
	if left > 0 {
		return fmt.Errorf("%d transfers are in a circle: partitions have them in different orders", left)
	}
	return nil
}
