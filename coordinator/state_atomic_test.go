package coordinator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firn.dev/segments"
)

// request commits an atomic request for some partitions, with offsets of a group of its own.
func (h *txnHistory) request() {
	h.version++
	offsets := &CommitOffsets{Lease: h.lease.Name, Epoch: h.lease.Epoch, Group: "functions", Version: h.version,
		Offsets: []GroupOffset{{Partition: segments.Partition{Topic: h.topics[0]}, Offset: int64(h.version),
			LeaderEpoch: -1}}}
	if rapid.IntRange(0, 9).Draw(h.T, "epoch") == 0 {
		offsets.Epoch--
	}
	req := CommitRequest{Atomic: []Atomic{{Offsets: offsets}}}
	key := RequestKey{ID: [16]byte{rapid.Byte().Draw(h.T, "key") % 16}, Partitions: 2}
	for i := range 4 {
		if i > 0 && rapid.Bool().Draw(h.T, "skip") {
			continue
		}
		req.Atomic[0].Batches++
		req.Runs = append(req.Runs, CommitRun{Partition: segments.Partition{Topic: h.topics[i/2], Index: int32(i % 2)},
			Position: int64(32 + 100*i), Batches: []CommitBatch{{Length: 70, Records: 2, ProducerID: -1, Key: &key, Atomic: 1}}})
	}
	before := len(h.facts)
	h.commit(req)
	if len(h.facts) > before && len(h.facts[before].Commit.Spans) != len(req.Runs) {
		h.Fatalf("of %d batches of a request %d were written", len(req.Runs), len(h.facts[before].Commit.Spans))
	}
}

// A recovery finds any part of what was decided. Of each atomic request it has all or nothing: its
// records at offsets where it is remembered, and the offsets that it lets count.
func TestRecoveryCompletesRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawTransactions(t)
		s := NewState(7, "cluster")
		var kept []*Commit
		for i, f := range h.facts {
			if h.lost[i] && rapid.Bool().Draw(t, "lost") {
				continue
			}
			if f.Commit != nil && len(f.Commit.Atomic) > 0 {
				kept = append(kept, f.Commit)
			}
			if err := s.Apply(f); err != nil {
				t.Fatal(err)
			}
		}
		s.truncate()
		keys := 0
		for at, p := range s.partitions {
			keys += len(p.keys)
			for id, k := range p.keys {
				if k.baseOffset+int64(k.records) > p.end {
					t.Fatalf("%s remembers request %x at %d, and ends at %d", at, id, k.baseOffset, p.end)
				}
			}
		}
		if keys != s.keys || len(s.atomic) > 0 {
			t.Fatalf("%d requests are remembered, counted are %d; %d are incomplete", keys, s.keys, len(s.atomic))
		}
		counts := uint64(0)
		for _, c := range kept {
			counts = max(counts, c.Atomic[0].version())
			for i := range c.Spans {
				s.wantSpan(t, &c.Spans[i])
			}
		}
		got := committed{}
		if g := s.groups["functions"]; g != nil {
			got = g.offsets[segments.Partition{Topic: h.topics[0]}]
		}
		if got.version != counts || got.offset != int64(counts) {
			t.Fatalf("committed is %+v, should be %d", got, counts)
		}
	})
}

// wantSpan wants the bytes of a span in its partition, at whichever offsets, and its request
// remembered there.
func (s *State) wantSpan(t *rapid.T, c *CommitSpan) {
	p := s.partitions[c.Partition]
	if topic := s.topics[c.Partition.Topic]; p == nil && topic != nil && topic.Deleted {
		return
	}
	known, remembered := p.keys[c.Keyed[0].ID]
	at := slices.IndexFunc(p.spans, func(o placed) bool {
		return o.Segment == c.Span.Segment && o.Position == c.Span.Position
	})
	switch {
	case !remembered:
		t.Fatalf("%s does not know request %x", c.Partition, c.Keyed[0].ID)
	case at < 0 && known.baseOffset+int64(known.records) > p.logStart:
		t.Fatalf("%s has no span of segment %s at %d", c.Partition, c.Span.Segment, c.Span.Position)
	case at >= 0 && p.spans[at].Base != known.baseOffset:
		t.Fatalf("%s has a request at %d, and remembers it at %d", c.Partition, p.spans[at].Base, known.baseOffset)
	}
}

// Offsets of an atomic request count when all its records are in their prefixes, and not before; of
// a deleted topic it awaits none.
func TestOffsetsCountWhenTheRequestIsComplete(t *testing.T) {
	at := func(index int32) segments.Partition {
		return segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: index}
	}
	fill := func(s *State) error {
		span := Span{Segment: segments.ID{1, 0x93, 0xb0, 9, 19}, Base: 0, Last: 3, Length: 1}
		return s.Apply(&Fact{Incarnation: 4, Commit: &Commit{Segment: span.Segment,
			Spans: []CommitSpan{{Partition: at(10), Span: span}}}})
	}
	forget := func(s *State) error {
		return s.Apply(&Fact{Incarnation: 4, Topic: &TopicFact{ID: at(0).Topic, Name: "gone", Version: 9, Deleted: true}})
	}
	for name, complete := range map[string]func(*State) error{"filled": fill, "deleted": forget} {
		s := NewState(4, "cluster")
		input := segments.Partition{Topic: segments.TopicID{9}}
		for _, f := range sampleAtomic() {
			for i := range f.Commit.Atomic {
				f.Commit.Atomic[i].Partitions[0].Partition = input
			}
			if err := s.Apply(f); err != nil {
				t.Fatal(err)
			}
		}
		v := NewView(s)
		waiting := func(group string) bool { return group == "functions" }
		if o, counts := v.Committed("functions", input); !counts || o.Offset != 300 || !v.Unstable("functions", input) ||
			!v.hasAtomic(waiting) {
			t.Errorf("%s: while a record is beyond a hole, committed is %+v, %v", name, o, counts)
		}
		if err := complete(s); err != nil {
			t.Fatal(err)
		}
		if o, _ := v.Committed("functions", input); o.Offset != 310 || v.Unstable("functions", input) ||
			v.hasAtomic(waiting) {
			t.Errorf("%s: when it is complete, committed is %+v", name, o)
		}
	}
}
