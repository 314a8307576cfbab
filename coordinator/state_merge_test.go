package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

var mergeAt = segments.Partition{Topic: segments.TopicID{1}}

// filled is a state with a span of ten records for each timestamp, with ids of that age.
func filled(t testing.TB, age time.Duration, timestamps ...int64) *State {
	t.Helper()
	s := NewState(1, "cluster")
	facts := []*Fact{{Topic: &TopicFact{ID: mergeAt.Topic, Name: "a", Version: 1, Partitions: 1}}}
	for i, ts := range timestamps {
		id := segments.NewID(time.Now().Add(-age))
		facts = append(facts, &Fact{Commit: &Commit{Segment: id, Spans: []CommitSpan{{Partition: mergeAt,
			Span: Span{Segment: id, Base: int64(i) * 10, Last: int64(i)*10 + 9, Position: 32, Length: 100, MaxTimestamp: ts}}}}})
	}
	for _, f := range facts {
		f.Incarnation = 1
		if err := s.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// merged is a merge of what lies in [base, last] into one span with that timestamp.
func merged(version uint64, base, last, timestamp int64) *Fact {
	span := Span{Segment: segments.NewID(time.Now()), Base: base, Last: last,
		Position: 32, Length: 90, MaxTimestamp: timestamp, Version: version}
	return &Fact{Incarnation: 1, Merge: &Merge{Partition: mergeAt, Version: version, Base: base, Last: last,
		Spans: []Span{span}}}
}

// oneBatch asks for an offset for a segment of one batch.
func oneBatch(segment segments.ID, at segments.Partition, b CommitBatch) CommitRequest {
	return CommitRequest{
		Segment: segment,
		Runs:    []CommitRun{{Partition: at, Position: 32, Batches: []CommitBatch{b}}},
	}
}

// Readers see a merge at once and whole, what they hold stays as it was, and lookups by time find
// the first span again.
func TestMergeInView(t *testing.T) {
	v := NewView(filled(t, time.Hour, 5, 90, 7, 20, 95, 30))
	held := v.spans(mergeAt)
	before := slices.Clone(held)
	merge := merged(1, 10, 39, 60) // a record with the largest timestamp did not survive
	for i, entry := range []Entry{{Seq: 1, Fact: merge}, {Seq: 2, Confirmed: []uint64{1}}} {
		if spans, after := v.Plan(mergeAt, 0, 10); len(spans) != 6 || after != 0 {
			t.Fatalf("before entry %d the view shows %d spans after merge %d", i, len(spans), after)
		}
		if err := v.follow(entry, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(held, before) {
		t.Error("what a reader holds has changed")
	}
	spans, after := v.Plan(mergeAt, 0, 10)
	if len(spans) != 4 || after != 1 || spans[1] != merge.Merge.Spans[0] {
		t.Fatalf("after merge %d the spans are %+v", after, spans)
	}
	if p, _ := v.Partition(mergeAt); p.Bytes != 3*100+90 || p.HighWatermark != 60 {
		t.Errorf("partition is %+v", p)
	}
	for timestamp, want := range map[int64]int64{0: 0, 6: 10, 60: 10, 61: 40, 96: -1} {
		if s, ok := v.SpanByTime(mergeAt, timestamp); ok != (want >= 0) || ok && s.Base != want {
			t.Errorf("time %d is found in %+v, %v; should be in the span at %d", timestamp, s, ok, want)
		}
	}
	if s, _ := v.SpanOfMaxTimestamp(mergeAt); s.Base != 40 {
		t.Errorf("the largest timestamp is found in %+v", s)
	}
}

// A merge that would cut a span in two is refused by its proposer: the coordinator cannot see it.
// So is one that was planned before another.
func TestMergeable(t *testing.T) {
	v := NewView(filled(t, time.Hour, 1, 2, 3))
	for _, test := range []struct {
		base, last int64
		after      uint64
		want       error
	}{
		{0, 29, 0, nil}, {10, 19, 0, nil}, {0, 35, 0, nil},
		{5, 19, 0, errCuts}, {10, 15, 0, errCuts}, {12, 15, 0, errCuts},
		{0, 9, 1, ErrMergedMeanwhile},
	} {
		c := &ProposeMerge{After: test.after, Merge: Merge{Partition: mergeAt, Base: test.base, Last: test.last}}
		if err := v.mergeable(c); !errors.Is(err, test.want) {
			t.Errorf("%d-%d after %d: %v, want %v", test.base, test.last, test.after, err, test.want)
		}
	}
}

// A span that stands for others stands alone, and says how many and how long they are; and a span
// that was not compacted has no tombstones. Neither a proposal nor bytes may say otherwise.
func TestKindsOfSpans(t *testing.T) {
	id := segments.NewID(time.Now())
	for name, test := range map[string]struct {
		change func(*Span)
		more   bool // one more span
		good   bool
	}{
		"plain":                   {func(*Span) {}, true, true},
		"compacted":               {func(s *Span) { s.Compacted, s.Horizon = true, 5 }, true, true},
		"compacted, nothing left": {func(s *Span) { s.Compacted = true }, true, true},
		"listed":                  {func(s *Span) { s.Position, s.Listed = 0, 10 }, false, true},
		"one listed":              {func(s *Span) { s.Position, s.Listed = 0, 1 }, false, true},
		"listed beside another":   {func(s *Span) { s.Position, s.Listed = 0, 10 }, true, false},
		"listed at a position":    {func(s *Span) { s.Listed = 10 }, false, false},
		"more than offsets":       {func(s *Span) { s.Position, s.Listed = 0, 11 }, false, false},
		"too many":                {func(s *Span) { s.Position, s.Last, s.Listed = 0, 1<<20, maxListed+1 }, false, false},
		"without bytes":           {func(s *Span) { s.Position, s.Length, s.Listed = 0, 0, 10 }, false, false},
		"horizon of nothing":      {func(s *Span) { s.Horizon = 5 }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			spans := []Span{{Segment: id, Base: 0, Last: 9, Position: 32, Length: 90}}
			test.change(&spans[0])
			if test.more {
				base := spans[0].Last + 1
				spans = append(spans, Span{Segment: id, Base: base, Last: base + 9, Position: 122, Length: 90})
			}
			p := ProposeMerge{Segment: id, Merge: Merge{Partition: mergeAt, Last: spans[len(spans)-1].Last, Spans: spans}}
			if err := p.Validate(); (err == nil) != test.good || err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("proposed: %v", err)
			}
			fact := p.Fact(1)
			again, err := DecodeFact(AppendFact(nil, fact))
			switch {
			case name == "horizon of nothing": // cannot even be written
			case (err == nil) != test.good || err != nil && !errors.Is(err, ErrMalformed):
				t.Fatalf("decoded: %v", err)
			case test.good && !reflect.DeepEqual(again, fact):
				t.Fatalf("decoded %+v, was %+v", again.Merge, fact.Merge)
			}
		})
	}
}

// Segments are merged only when they cannot be committed any more, for this reason: a recovery
// knows by a segment's spans which of its batches have offsets. Without them a commit that is
// repeated, because its answer was lost together with the coordinator, writes its records again.
func TestYoungSegmentsAreNotMerged(t *testing.T) {
	for name, test := range map[string]struct {
		merge bool
		want  int64
	}{"left alone": {false, 0}, "merged all the same": {true, 10}} {
		t.Run(name, func(t *testing.T) {
			s := filled(t, time.Minute, 1)
			segment := s.partitions[mergeAt].spans[0].Segment
			if test.merge {
				if err := s.Apply(merged(1, 0, 9, 1)); err != nil {
					t.Fatal(err)
				}
			}
			e := NewEmbedded(EmbeddedOptions{})
			if err := e.Open(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			batch := CommitBatch{Length: 100, Records: 10, ProducerID: -1}
			answer, err := e.Commit(t.Context(), 1, oneBatch(segment, mergeAt, batch))
			if err != nil || answer.Runs[0][0].BaseOffset != test.want {
				t.Errorf("committed again it got %+v, %v; want offset %d", answer.Runs, err, test.want)
			}
		})
	}
}

// Raising the log start copies nothing where timestamps grow, and lookups by time are right
// where they do not.
func TestRaiseLogStart(t *testing.T) {
	for name, timestamps := range map[string][]int64{
		"growing":  {1, 2, 3, 4, 5, 6},
		"a leader": {9, 2, 3, 4, 5, 6},
		"falling":  {6, 5, 4, 3, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for from := range len(timestamps) + 1 {
				s := filled(t, time.Hour, timestamps...)
				p := s.partitions[mergeAt]
				p.raiseLogStart(int64(from) * 10)
				newest, size := int64(math.MinInt64), int64(0)
				for i, span := range p.spans {
					newest, size = max(newest, timestamps[from+i]), size+span.Length
					if span.runningMax != newest || span.Base != int64(from+i)*10 {
						t.Fatalf("from %d: span %d is %+v, largest timestamp up to it %d", from, i, span, newest)
					}
				}
				if len(p.spans) != len(timestamps)-from || p.bytes != size {
					t.Fatalf("from %d: %d spans, %d bytes", from, len(p.spans), p.bytes)
				}
			}
		})
	}
}

// Through a node: what a merge made superfluous is garbage when it is old enough; what is needed
// or young is not.
func TestUnreferenced(t *testing.T) {
	store := &dated{Store: memory.New()}
	deadline := time.Minute
	n, err := Join(t.Context(), NodeOptions{
		Store:          store,
		Coordinator:    NewEmbedded(EmbeddedOptions{CommitDeadline: deadline}),
		CommitDeadline: deadline,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	create := &CreateTopic{ID: mergeAt.Topic, Name: "a", Partitions: 1}
	if _, err := n.Change(t.Context(), Change{CreateTopic: create}); err != nil {
		t.Fatal(err)
	}
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put := func(age time.Duration) segments.ID {
		id := segments.NewID(time.Now().Add(-age))
		if err := store.Put(t.Context(), id.Key(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		return id
	}
	mixed, merged, lost, young := put(50*time.Second), put(time.Second), put(2*time.Hour), put(10*time.Minute)
	batch := CommitBatch{Length: 100, Records: 10, ProducerID: -1}
	answer, err := life.Commit(t.Context(), oneBatch(mixed, mergeAt, batch))
	if err == nil {
		err = life.Settle(t.Context(), answer.Entry)
	}
	if err == nil {
		err = n.CatchUp(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	store.newest.Store(merged.Key())
	unreferenced := func(ahead time.Duration) string {
		store.ahead.Store(int64(ahead))
		g, err := n.Unreferenced(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, o := range g.Objects {
			ids = append(ids, o.Key)
		}
		if g.Listed != 4 || g.Bytes != int64(len(ids)) {
			t.Errorf("garbage is %+v", g)
		}
		return fmt.Sprint(ids)
	}
	want := func(what, got string, ids ...segments.ID) {
		t.Helper()
		keys := []string{}
		for _, id := range ids {
			keys = append(keys, id.Key())
		}
		slices.Sort(keys)
		if got != fmt.Sprint(keys) {
			t.Errorf("%s: garbage is %s, should be %s", what, got, keys)
		}
	}
	want("all is young", unreferenced(0))
	lease, err := life.Acquire(t.Context(), "merges", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	proposal := &ProposeMerge{Lease: lease.Name, Epoch: lease.Epoch, Segment: merged,
		Merge: Merge{Partition: mergeAt, Base: 0, Last: 9,
			Spans: []Span{{Segment: merged, Base: 0, Last: 9, Position: 32, Length: 90}}}}
	if _, err := n.Change(t.Context(), Change{Merge: proposal}); err != nil {
		t.Fatal(err)
	}
	want("young by the store's clock", unreferenced(0))
	want("an hour later", unreferenced(time.Hour), mixed, lost, young)
}

// dated is a store whose clock, for one object, says that some time has passed since
// the object was created.
type dated struct {
	segments.Store
	newest atomic.Value // string: key of that object
	ahead  atomic.Int64 // nanoseconds
}

func (d *dated) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		for o, err := range d.Store.List(ctx, prefix, after) {
			if d.newest.Load() == o.Key {
				o.Modified = o.Modified.Add(time.Duration(d.ahead.Load()))
			}
			if !yield(o, err) {
				return
			}
		}
	}
}
