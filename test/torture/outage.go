package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// outages measures how long clients cannot write after a strike: until the first record that was sent after it is acknowledged, and until that has
// happened in every partition.
type outages struct {
	partitions int

	mu      sync.Mutex
	kind    Strike
	since   time.Time
	first   time.Duration
	reached map[int32]bool // partitions that have acknowledged something sent after the strike
	all     chan struct{}  // closed when that is all of them
	found   map[Strike][]outage
}

// outage is how long one strike was felt.
type outage struct{ first, all time.Duration }

func newOutages(partitions int) *outages {
	return &outages{partitions: partitions, found: map[Strike][]outage{}}
}

// begin says that a strike falls now. What was measured of the one before, if that is not over, is dropped.
func (o *outages) begin(kind Strike) (over <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kind, o.since, o.first, o.reached, o.all = kind, time.Now(), 0, map[int32]bool{}, make(chan struct{})
	return o.all
}

// acknowledged says that a record which was sent at that time has been acknowledged.
func (o *outages) acknowledged(partition int32, sent time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || sent.Before(o.since) || o.reached[partition] || len(o.reached) == o.partitions {
		return
	}
	o.reached[partition] = true
	took := time.Since(o.since)
	if len(o.reached) == 1 {
		o.first = took
	}
	if len(o.reached) == o.partitions {
		o.found[o.kind] = append(o.found[o.kind], outage{o.first, took})
		close(o.all)
	}
}

// missing lists the partitions that have acknowledged nothing since the strike.
func (o *outages) missing() []int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []int32
	for p := range int32(o.partitions) {
		if !o.reached[p] {
			list = append(list, p)
		}
	}
	return list
}

// String is a table: for each kind of strike, how long it was felt.
func (o *outages) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(o.found)) {
		var first, all []time.Duration
		for _, f := range o.found[kind] {
			first, all = append(first, f.first), append(all, f.all)
		}
		fmt.Fprintf(&b, "%-28s %d: first acknowledgement p50 / max %s, every partition %s\n", "outage after "+string(kind), len(all), spread(first), spread(all))
	}
	return b.String()
}
