package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Rows of the table that are no kind of strike.
const (
	Calm     Strike = "(none yet)" // before the first strike
	Together Strike = "(together)" // strikes that fell before clients had recovered from the one before
)

// Felt is how long clients stood still because of one strike.
type Felt struct {
	Produce      time.Duration // the longest that a producer, for one partition, was acknowledged nothing
	ProduceAfter time.Duration // what of that came when everything ran again
	Any          time.Duration // the longest that no producer was acknowledged anything
	// the longest that an acknowledged record waited for its reader, who reads where Metadata sends it
	Fetch      time.Duration
	FetchAfter time.Duration
}

// stalls measures how long clients stand still, strike by strike. A stall counts, in full, for the
// strike in whose window most of it lies: from the moment at which it falls until the next one
// does.
type stalls struct {
	producers, partitions int

	mu      sync.Mutex
	windows []*window
	acked   map[stream]time.Time  // when it was last acknowledged something
	unread  map[int32][]unreadOne // what the reader has not seen, by partition
	next    map[int32]int64       // offset that the reader has not seen yet
	since   time.Time             // when the newest strike fell
	reached map[stream]bool       // those that have been acknowledged something sent after the newest strike
	all     chan struct{}         // closed when that is all of them
}

// window is one strike, or several that fell together.
type window struct {
	kind  Strike
	start time.Time
	back  time.Time // when everything ran again; zero: not yet
	felt  Felt
}

// stream is what one producer sends to one partition; everybody is all of them.
type stream struct{ producer, partition int32 }

var everybody = stream{-1, -1}

type unreadOne struct {
	offset int64
	since  time.Time
}

func newStalls(producers, partitions int) *stalls {
	return &stalls{producers: producers, partitions: partitions,
		windows: []*window{{kind: Calm, start: time.Now(), back: time.Now()}},
		acked:   map[stream]time.Time{}, unread: map[int32][]unreadOne{}, next: map[int32]int64{}}
}

// begin says that a strike falls now, together with the one before if clients have not recovered
// from that. The channel is closed when they have recovered.
func (s *stalls) begin(kind Strike, together bool) (over <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.windows[len(s.windows)-1]; together {
		w.kind, w.back = Together, time.Time{}
	} else {
		s.windows = append(s.windows, &window{kind: kind, start: time.Now()})
	}
	s.since, s.reached, s.all = time.Now(), map[stream]bool{}, make(chan struct{})
	return s.all
}

// back says that everything runs again.
func (s *stalls) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows[len(s.windows)-1].back = time.Now()
}

// acknowledged says that a record which was sent at that time has been acknowledged.
func (s *stalls) acknowledged(producer, partition int32, offset int64, sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	one := stream{producer, partition}
	if last, known := s.acked[one]; known {
		w, after := s.window(last, now)
		w.felt.Produce, w.felt.ProduceAfter = max(w.felt.Produce, now.Sub(last)), max(w.felt.ProduceAfter, after)
	}
	if last, known := s.acked[everybody]; known {
		w, _ := s.window(last, now)
		w.felt.Any = max(w.felt.Any, now.Sub(last))
	}
	s.acked[one], s.acked[everybody] = now, now
	if offset >= s.next[partition] {
		s.unread[partition] = append(s.unread[partition], unreadOne{offset, now})
	}
	s.reach(one, sent)
}

// reach takes note of a producer that can write to a partition again.
func (s *stalls) reach(one stream, sent time.Time) {
	everywhere := s.producers * s.partitions
	if s.all == nil || sent.Before(s.since) || len(s.reached) == everywhere {
		return
	}
	s.reached[one] = true
	if len(s.reached) == everywhere {
		close(s.all)
	}
}

// read says that the reader was given everything up to this offset.
func (s *stalls) read(partition int32, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.next[partition] = offset + 1
	waiting := s.unread[partition]
	for len(waiting) > 0 && waiting[0].offset <= offset {
		since := waiting[0].since
		w, after := s.window(since, now)
		w.felt.Fetch, w.felt.FetchAfter = max(w.felt.Fetch, now.Sub(since)), max(w.felt.FetchAfter, after)
		waiting = waiting[1:]
	}
	s.unread[partition] = waiting
}

// window is the one in which most of a stall lies, and how much of the stall came when everything
// ran again.
func (s *stalls) window(from, to time.Time) (w *window, after time.Duration) {
	newest := len(s.windows) - 1
	w = s.windows[newest]
	if newest > 0 && 2*to.Sub(later(from, w.start)) < to.Sub(from) {
		w = s.windows[newest-1]
	}
	if w.back.IsZero() {
		return w, 0
	}
	return w, max(0, to.Sub(later(from, w.back)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// missing says which partitions have acknowledged nothing since the strike, and to how many
// producers.
func (s *stalls) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for p := range int32(s.partitions) {
		silent := 0
		for producer := range int32(s.producers) {
			if !s.reached[stream{producer, p}] {
				silent++
			}
		}
		if silent > 0 {
			fmt.Fprintf(&b, " %d (%d of %d producers)", p, silent, s.producers)
		}
	}
	return b.String()
}

// fill puts what was felt into the table.
func (s *stalls) fill(t Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.windows {
		row := t.row(w.kind)
		row.Felt = append(row.Felt, w.felt)
		if w.kind == Together {
			row.Injected++
		}
	}
}
